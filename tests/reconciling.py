"""A daemon with one order under way, whose job and workers do what a test says."""

from datetime import timedelta
from typing import Any

from daemon.estimator import Costs
from daemon.ports import Job, JobEnd, JobStatus
from daemon.simulation import clock
from neuron_worker.contract import InHand, Order, Outcome, Reason, ShardReport
from tests.scripted_services import ScriptedBatch
from tests.simulated import LANE, LEDGER, Core, Services, outcome

RUNNING = JobEnd(None, "", "")
OK = JobEnd(0, "", "", 1)
DIED = JobEnd(139, "", "", 1)
SPOT = JobEnd(None, "", "Host EC2 (instance i-0a) terminated.", 1)
NO_IMAGE = JobEnd(None, "CannotPullContainerError: no such image", "", 1)


class Shop:
    """A daemon with one order under way: each word names the requests of a shard."""

    def __init__(self) -> None:
        self.services = Services()
        self.batch = ScriptedBatch()
        self.core = Core(self.services, batch=self.batch)

    async def order(self, *shards: str) -> "Shop":
        for request_id in " ".join(shards).split():
            self.services.send(request_id)
        await self.core.take()
        await self.core.place(*shards)
        return self

    async def cut(self, request_id: str, count: int) -> "Shop":
        """An order for the ranges of one recording."""
        self.services.send(request_id)
        await self.core.take()
        await self.core.place_cut(request_id, count)
        return self

    @property
    def placed(self) -> Order:
        return self.core.orders.under_way()[0].order

    def job(self, status: JobStatus, end: JobEnd = RUNNING, child: str = "", **more: Any) -> None:
        """Have Batch describe the order's job, or a child of it, so."""
        job_id = f"job-1{child}"
        self.batch.jobs[job_id] = Job(job_id, status, end, **more)

    def array(self, status: JobStatus, *, of: int, failed: tuple[int, ...] = ()) -> None:
        """Have Batch describe the order's array so."""
        succeeded = of - len(failed) if status.ended else 0
        children = {JobStatus.FAILED: len(failed), JobStatus.SUCCEEDED: succeeded}
        self.job(status, children={name: count for name, count in children.items() if count})
        self.batch.failed["job-1"] = list(failed)

    def report(
        self,
        *outcomes: Outcome,
        in_hand: str = "",
        shard: int = 0,
        attempt: int = 1,
        took_seconds: float | None = None,
    ) -> None:
        """Have a shard's worker report; it began so long ago."""
        began_at = None if took_seconds is None else clock.now() - timedelta(seconds=took_seconds)
        hands = [InHand(request_id=name, started_at=clock.now()) for name in in_hand.split()]
        report = ShardReport(
            order_id=self.placed.order_id,
            shard_index=shard,
            job_attempt=attempt,
            updated_at=clock.now(),
            began_at=began_at,
            in_hand=tuple(hands),
            outcomes=outcomes,
        )
        self.services.objects.put(LEDGER.report(report.order_id, shard), report.to_json())

    def outcome(self, request_id: str, reason: Reason | None = None, **more: Any) -> Outcome:
        return outcome(request_id, self.placed.order_id, reason, **more)

    @property
    def costs(self) -> Costs:
        """What work is thought to take."""
        return self.core.estimator.costs(LANE)

    async def round(self) -> None:
        await self.core.reconciler.round()

    def held(self) -> list[str]:
        return [owed.item.request_id for owed in self.core.outstanding.held()]

    def under_way(self) -> list[str]:
        return [owed.item.request_id for owed in self.core.outstanding.ordered()]

    def blamed(self, request_id: str) -> int:
        return self.services.record(request_id).blamed_attempts

    def reasons(self, request_id: str) -> list[Reason | None]:
        return [known.reason for known in self.services.record(request_id).outcomes]
