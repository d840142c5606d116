"""Workers that sleep through many requests at once: the fast kind, for fleets and long days.

They do what `workers` do, request by request, with the same documents and the same order of writes:
the report names a request before work on it begins; first the record, then the report. Only when
the writes are made differs: at intervals of virtual time, at the end of the shard, and when the
process is killed, with all that a worker would have written by then. So a lost instance costs the
request in hand and nothing more. Transcripts are not written: nobody reads them here. Calls of
workers take no time.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from daemon.embedded.batch.effects import Run, StopSignal
from daemon.embedded.batch.executor import Exit
from daemon.orders import EVENTS_VARIABLE, ORDER_VARIABLE
from daemon.ports import Outgoing
from daemon.simulation.clock import EPOCH, elapsed_seconds
from daemon.simulation.history import Cores, History
from daemon.simulation.parameters import Parameters
from daemon.simulation.store import Objects
from daemon.simulation.workers import KILLED, SEGMENTATION_FAULT, Nature
from daemon.simulation.workload import Workload, index_of
from neuron_worker.contract import (
    ExitCode,
    InHand,
    Ledger,
    Order,
    Outcome,
    OutcomeKind,
    Reason,
    Record,
    S3Uri,
    ShardReport,
    WorkItem,
)

WRITE_PERIOD_SECONDS = 60.0
"""How often a worker writes what it has finished."""

ORDERS_READ_MAX = 64
"""Orders that are kept as they were read: every shard of one reads the same."""


class Bench:
    """What all workers share: the workload, the store, and where they tell what they did."""

    def __init__(
        self,
        workload: Workload,
        parameters: Parameters,
        history: History,
        objects: Objects,
        ring: Callable[[Outgoing], object],
    ) -> None:
        self.workload = workload
        self.parameters = parameters
        self.history = history
        self.objects = objects
        self.ring = ring
        self.cores = Cores()
        self._orders: dict[S3Uri, Order] = {}
        self._images: dict[str, float] = {}

    def order(self, uri: S3Uri) -> Order | None:
        """The order that stands there; None if there is none."""
        if uri not in self._orders:
            found = self.objects.get(uri)
            if found is None:
                return None
            if len(self._orders) >= ORDERS_READ_MAX:
                del self._orders[next(iter(self._orders))]
            self._orders[uri] = Order.read(found[0], uri)
        return self._orders[uri]

    def start_seconds(self, instance_id: str, now_seconds: float) -> float:
        """How long a container of an instance takes to start; the first one pulls the image."""
        pulled_at = self._images.setdefault(
            instance_id, now_seconds + self.parameters.image_pull_seconds
        )
        return max(0.0, pulled_at - now_seconds) + self.parameters.container_start_seconds


class ShardExecutor:
    """Runs attempts; the `Executor` of a simulated fleet."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def start(self, run: Run) -> "ShardAttendant":
        """Pull the image if need be, and start the container."""
        await asyncio.sleep(self._bench.start_seconds(run.instance_id, elapsed_seconds()))
        return ShardAttendant(self._bench, run)

    async def close(self) -> None:
        """There is nothing to stop: attempts are their own waiters' tasks."""


class ShardAttendant:
    """One attempt under way; `wait` is its life."""

    def __init__(self, bench: Bench, run: Run) -> None:
        self._bench = bench
        self._run = run
        self._began_at = elapsed_seconds()
        self._signalled = asyncio.Event()
        self._shard: Shard | None = None
        self._end: Exit | None = None

    async def wait(self) -> Exit:
        """Load the model, work through the shard; how the process ends."""
        load_seconds = self._bench.parameters.profile(self._profile).load_seconds
        await self._sleep_until(self._began_at + load_seconds)
        if self._end is None:
            self._end = self._open()
        while self._end is None and self._shard is not None:
            await self._sleep_until(self._shard.wakes_at(elapsed_seconds()))
            if self._end is None:
                self._end = self._shard.advance(elapsed_seconds())
                self._shard.write()
        core = (self._run.instance_id, self._run.core)
        self._bench.cores.add(*core, self._began_at, elapsed_seconds())
        return self._end or KILLED

    def signal(self, stop_signal: StopSignal) -> None:
        """End the worker, with its last words in the store."""
        if self._end is not None:
            return
        self._end = KILLED if stop_signal is StopSignal.KILL else Exit(ExitCode.INTERRUPTED)
        if self._shard is not None:
            over = self._shard.advance(elapsed_seconds())
            self._shard.stop(elapsed_seconds(), killed=stop_signal is StopSignal.KILL)
            self._end = over or self._end
        self._signalled.set()

    @property
    def _profile(self) -> str:
        return self._bench.workload.scenario.profile

    def _open(self) -> Exit | None:
        uri = S3Uri.parse(self._run.environment[ORDER_VARIABLE])
        order = self._bench.order(uri)
        if order is None:
            return Exit(ExitCode.ORDER_UNREADABLE)
        self._shard = Shard(self._bench, self._run, order, Ledger.holding(uri), elapsed_seconds())
        end = self._shard.advance(elapsed_seconds())
        self._shard.write()
        return end

    async def _sleep_until(self, at_seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, at_seconds - elapsed_seconds())):
                await self._signalled.wait()


class Shard:
    """One attempt at one shard, as far as its worker has come."""

    def __init__(
        self, bench: Bench, run: Run, order: Order, ledger: Ledger, now_seconds: float
    ) -> None:
        self._bench = bench
        self._order = order
        self._ledger = ledger
        self._index = run.array_index or 0
        self._attempt = run.key.attempt
        self._rings = EVENTS_VARIABLE in run.environment
        self._items = order.shards[self._index].items
        self._next = 0
        self._at = now_seconds
        self._hand: WorkItem | None = None
        self._hand_since = now_seconds
        self._hand_until = now_seconds
        self._report_uri = ledger.report(order.order_id, self._index)
        before = bench.objects.get(self._report_uri)
        report = ShardReport.read(before[0], self._report_uri) if before else None
        self._outcomes = list(report.outcomes) if report else []
        self._known = {outcome.request_id for outcome in self._outcomes}

    def wakes_at(self, now_seconds: float) -> float:
        """When there is something to write: in a period, or sooner if the shard ends sooner."""
        at, until = self._hand_until, now_seconds + WRITE_PERIOD_SECONDS
        for item in self._items[self._next :]:
            if at >= until:
                return until
            at += self._core_seconds(item)
        return min(at, until)

    def advance(self, now_seconds: float) -> Exit | None:
        """Do what is over by now; an exit when the process has ended."""
        while True:
            if self._hand is None and not self._take():
                self.write()
                return Exit(ExitCode.FINISHED)
            if self._hand_until > now_seconds:
                return None
            self._at = self._hand_until
            item = self._hand
            if item is None:
                continue
            index = index_of(item.request_id)
            nature = self._bench.workload.nature(index)
            if nature is Nature.POISON:
                self._bench.history.kill(index, self._core_seconds(item))
                self.write()
                return SEGMENTATION_FAULT
            self._hand = None
            self._finish(item, index, good=nature is Nature.GOOD)

    def stop(self, now_seconds: float, *, killed: bool) -> None:
        """The process ends now; one that is killed has a request in hand."""
        if self._hand is not None:
            self._bench.history.work.cut_short += now_seconds - self._hand_since
            if not killed:
                self._hand = None
        self.write()

    def write(self) -> None:
        """Write the report, and ring for it."""
        hand = self._hand
        report = ShardReport.model_construct(
            order_id=self._order.order_id,
            shard_index=self._index,
            job_attempt=self._attempt,
            updated_at=_time(self._at),
            in_hand=(
                ()
                if hand is None
                else (InHand(request_id=hand.request_id, started_at=_time(self._hand_since)),)
            ),
            outcomes=tuple(self._outcomes),
        )
        self._bench.objects.put(self._report_uri, report.to_json())
        if self._rings:
            body = (
                f'{{"source": "whisper-fleet.worker", "order_id": "{self._order.order_id}", '
                f'"shard_index": {self._index}}}'
            )
            self._bench.ring(Outgoing(body))

    def _take(self) -> bool:
        """Take the next request that is still to be done; False when there is none."""
        while self._next < len(self._items):
            item = self._items[self._next]
            self._next += 1
            if item.request_id in self._known:
                continue
            record = self._record(item)
            if record is not None and record.done is not None:
                here = {"order_id": self._order.order_id, "shard_index": self._index}
                self._outcomes.append(record.done.model_copy(update=here))
            elif record is not None and self._given_up(record):
                self._outcomes.append(self._outcome(item, Reason.GIVEN_UP))
            else:
                self._hand = item
                self._hand_since = self._at
                self._hand_until = self._at + self._core_seconds(item)
                return True
        return False

    def _finish(self, item: WorkItem, index: int, *, good: bool) -> None:
        core_seconds = self._core_seconds(item)
        self._bench.history.finish(index, self._at, core_seconds, good=good)
        if not good:
            self._outcomes.append(self._outcome(item, Reason.NOT_AUDIO))
            return
        record = self._record(item)
        if record is not None and self._given_up(record):
            self._outcomes.append(self._outcome(item, Reason.GIVEN_UP))
            return
        audio_seconds = self._bench.workload.audio_seconds[index]
        outcome = self._outcome(
            item,
            None,
            transcripts={name: str(item.transcript(name)) for name in item.options.formats},
            audio_seconds=audio_seconds,
            speech_seconds=audio_seconds,
            wall_seconds=core_seconds,
        )
        if record is None or record.done is None:
            before = record.outcomes if record and record.dead_lettered_at is None else ()
            fresh = Record.model_construct(request_id=item.request_id, outcomes=(*before, outcome))
            self._bench.objects.put(self._ledger.record(item.request_id), fresh.to_json())
        self._outcomes.append(outcome)

    def _given_up(self, record: Record) -> bool:
        return record.given_up_since(self._order.asked_at(record.request_id))

    def _record(self, item: WorkItem) -> Record | None:
        uri = self._ledger.record(item.request_id)
        found = self._bench.objects.get(uri)
        return Record.read(found[0], uri) if found else None

    def _core_seconds(self, item: WorkItem) -> float:
        return self._bench.workload.core_seconds[index_of(item.request_id)]

    def _outcome(self, item: WorkItem, reason: Reason | None, **facts: Any) -> Outcome:
        return Outcome.model_construct(
            request_id=item.request_id,
            order_id=self._order.order_id,
            shard_index=self._index,
            kind=reason.kind if reason else OutcomeKind.DONE,
            reason=reason,
            detail=f"the recording is {reason}" if reason else "",
            finished_at=_time(self._at),
            **facts,
        )


def _time(at_seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=at_seconds)
