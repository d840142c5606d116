"""Daemons, part by part, over simulated services: for tests on virtual time.

Nothing goes wrong but what a test asks for, and no instance ever boots: a test says itself what
becomes of a job.
"""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from daemon.catalogue import instance_type
from daemon.dispatcher import Dispatcher
from daemon.embedded.batch.pace import Pace
from daemon.planner import Plan
from daemon.ports import Batch, Outgoing
from daemon.settings import Settings
from daemon.simulation import clock
from daemon.simulation.cloud import SimulatedCloud
from neuron_worker.contract import Ledger, Order, Outcome, OutcomeKind, Reason, Record, S3Uri
from tests.scripted_services import CALM, ScriptedLine

PROFILE = "tiny.en"
LANE = "lane"
LEDGER = Ledger(S3Uri.parse("s3://ledger/"))
NEVER_SECONDS = 1e9
VISIBILITY_SECONDS = 600
"""What the daemon hides a message for, by the usual settings."""


def settings(**tables: Any) -> Settings:
    """Settings of one lane, with other tables over the usual ones."""
    document: dict[str, Any] = {
        "default_profile": PROFILE,
        "queues": {"requests": "https://sqs/requests", "dead_letters": "https://sqs/letters"},
        "locations": {"ledger": str(LEDGER.root), "output": "s3://transcripts/"},
        "lanes": [
            {
                "name": LANE,
                "profile": PROFILE,
                "instance_type": "inf2.xlarge",
                "job_queue": LANE,
                "job_definition": LANE,
                "max_vcpus": 40,
            }
        ],
        "intake": {"wait_seconds": 0, "visibility_seconds": VISIBILITY_SECONDS},
        "retries": {"attempts_max": 3, "infrastructure_attempts_max": 5, "backoff_seconds": 30},
    }
    return Settings.model_validate({**document, **tables})


class Services:
    """What several daemons share. `letters` and `deleted` message ids are kept as they came."""

    def __init__(self, *, lanes: bool = True, visible_after_seconds: float = 0.0) -> None:
        self.letters: list[Outgoing] = []
        self.deleted: list[str] = []
        self.on_delete: Callable[[str], None] = lambda _: None
        pace = Pace(boot_seconds=NEVER_SECONDS, visible_after_seconds=visible_after_seconds)
        self.cloud = SimulatedCloud(
            random.Random(0),
            {},
            CALM,
            pace=pace,
            on_delete=self._delete,
            on_letter=self.letters.append,
        )
        self.objects = self.cloud.objects
        if lanes:
            self.add_lane()

    def _delete(self, message_id: str) -> None:
        self.deleted.append(message_id)
        self.on_delete(message_id)

    def add_lane(self) -> None:
        """The lane of the settings, without which every order is refused."""
        self.cloud.add_lane(LANE, instance_type("inf2.xlarge"), 40)

    def send(self, request_id: str | None = None, **fields: Any) -> str:
        """A producer's message; its id."""
        request = {"audio": "s3://recordings/a.wav", "request_id": request_id, **fields}
        given = {name: value for name, value in request.items() if value is not None}
        return self.cloud.requests.send(Outgoing(json.dumps(given)))

    def jobs(self) -> list[tuple[str, str]]:
        """Id and name of every job that was submitted."""
        jobs = self.cloud.model.jobs.of_queue(LANE).values()
        return [(job.job_id, job.spec.name) for job in jobs]

    def counts(self) -> tuple[int, int]:
        """Visible messages and those in flight."""
        counts = self.cloud.requests.model.counts(self.cloud.requests.now_seconds())
        return counts.visible, counts.in_flight

    def record(self, request_id: str) -> Record:
        """What the ledger knows of a request."""
        found = self.objects.get(LEDGER.record(request_id))
        if found is None:
            return Record(request_id=request_id)
        return Record.model_validate_json(found[0])

    def write(self, record: Record) -> None:
        """Make the ledger know that of a request."""
        self.objects.put(LEDGER.record(record.request_id), record.to_json())

    def open_orders(self) -> list[Order]:
        """The orders in the ledger that are not closed."""
        listed = self.objects.list(LEDGER.open_orders())
        contents = (self.objects.get(entry.uri) for entry in listed)
        return [Order.model_validate_json(found[0]) for found in contents if found]

    async def lose_a_receive(self) -> None:
        """A daemon receives messages and dies; they come back after a while."""
        await Core(self, "gone").intake.poll()
        await asyncio.sleep(VISIBILITY_SECONDS + 1)


class Core:
    """One daemon's parts, without its loops."""

    def __init__(
        self,
        services: Services,
        name: str = "daemon",
        *,
        batch: Batch | None = None,
        **tables: Any,
    ) -> None:
        self.line = ScriptedLine(name)
        world = services.cloud.world(self.line)
        if batch is not None:
            world = replace(world, batch=batch)
        dispatcher = Dispatcher(
            settings(**tables), world, clock=clock.now, source=random.Random(name)
        )
        self.metrics = dispatcher.metrics
        self.outstanding = dispatcher.outstanding
        self.stopping = dispatcher.stopping
        self.orders = dispatcher._orders
        self.breakers = dispatcher._breakers
        self.intake = dispatcher._intake
        self.heartbeat = dispatcher._heartbeat
        self.reconciler = dispatcher._reconciler
        self.settlement = self.reconciler.settlement
        self.records = self.settlement.records
        self.estimator = self.settlement.estimator
        self.plan = dispatcher._plan
        self.autoscaler = dispatcher._autoscaler
        self.gauges = dispatcher._gauges
        self.settings = dispatcher.settings

    async def take(self) -> list[str]:
        """Take all messages that there are; the ids of the requests that are held then."""
        while await self.intake.poll():
            pass
        return [owed.item.request_id for owed in self.outstanding.held()]

    async def place(self, *shards: str) -> None:
        """Order what is held; each word names the requests of one shard."""
        by_shard = tuple(tuple(shard.split()) for shard in shards)
        await self.orders.place(Plan(PROFILE, LANE, by_shard, (60.0,) * len(by_shard)))

    async def place_cut(self, request_id: str, count: int) -> None:
        """Order what is held, cut into so many ranges."""
        by_shard, seconds = ((request_id,),) * count, (60.0,) * count
        await self.orders.place(Plan(PROFILE, LANE, by_shard, seconds, is_cut=True))


def outcome(request_id: str, order_id: str, reason: Reason | None = None, **more: Any) -> Outcome:
    """An outcome of the present moment: done, unless there is a reason."""
    return Outcome(
        request_id=request_id,
        order_id=order_id,
        shard_index=0,
        kind=reason.kind if reason else OutcomeKind.DONE,
        reason=reason,
        finished_at=clock.now(),
        **more,
    )
