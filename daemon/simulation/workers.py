"""Workers in memory: what the container does with a shard, but for the transcribing.

The order of reads and writes is the worker's own (`neuron_worker.shard`, `delivery`, `reporter`):
the report names a request before work on it begins; first the transcript, then the record, then the
report. What the recordings do to a worker is given; how long they take passes in virtual time.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import TypeVar

from daemon.embedded.batch.effects import Run, StopSignal
from daemon.embedded.batch.executor import Exit, StartError
from daemon.orders import EVENTS_VARIABLE, ORDER_VARIABLE
from daemon.ports import Conflict, Outgoing, Queue, ServiceError, Store, Unavailable
from daemon.simulation.clock import elapsed_seconds, now
from daemon.simulation.line import Killed, Line
from neuron_worker.contract import (
    ExitCode,
    InHand,
    Ledger,
    Order,
    Outcome,
    OutcomeKind,
    Range,
    Reason,
    Record,
    S3Uri,
    ShardReport,
    WorkItem,
)

T = TypeVar("T")

TRIES = 5
"""How often a worker makes a call, as boto's standard retries do in the end."""

KILLED = Exit(137)
SEGMENTATION_FAULT = Exit(139)
OUT_OF_MEMORY = Exit(137, "OutOfMemoryError: Container killed due to memory usage")


class Nature(StrEnum):
    """What a recording does to its worker."""

    GOOD = "good"
    BAD = "bad"
    FLAKY = "flaky"
    POISON = "poison"


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording: core-seconds that it takes, and what becomes of it.

    A flaky one fails on the first `failures` tries, through no fault of the worker.
    """

    seconds: float
    nature: Nature = Nature.GOOD
    failures: int = 0


@dataclass(slots=True)
class Toil:
    """What all workers did, in core-seconds, by request.

    `useful` led to a finished transcript, `cut_short` was lost with its worker; `deaths` are the
    workers that a request killed, `failures` the tries that failed through no fault of the worker.
    `orders_missing` counts the workers that did not find their order.
    """

    useful: dict[str, list[float]] = field(default_factory=dict)
    cut_short: dict[str, list[float]] = field(default_factory=dict)
    deaths: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    orders_missing: int = 0


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every worker finds: its recordings by audio location, its services, its pace."""

    recordings: Mapping[str, Recording]
    store: Callable[[Line], Store]
    events: Callable[[Line], Queue]
    line: Callable[[str], Line]
    source: random.Random
    load_seconds: float = 20.0
    starts: Callable[[], bool] = lambda: True
    """Whether a container can be started now."""
    toil: Toil = field(default_factory=Toil)


class SimulatedExecutor:
    """Runs attempts as tasks of the loop."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._running: set[asyncio.Task[Exit]] = set()

    async def start(self, run: Run) -> "SimulatedAttendant":
        """Start an attempt; StartError while no image can be pulled."""
        await asyncio.sleep(self._workshop.source.uniform(0.5, 3.0))
        if not self._workshop.starts():
            raise StartError("CannotPullContainerError: the image cannot be pulled")
        attendant = SimulatedAttendant(Worker(self._workshop, run))
        self._running.add(attendant.task)
        attendant.task.add_done_callback(self._running.discard)
        return attendant

    async def close(self) -> None:
        """Stop all that still runs."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


class SimulatedAttendant:
    """One attempt under way."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self.task = asyncio.create_task(worker.run())

    async def wait(self) -> Exit:
        """Wait for the attempt's end."""
        with suppress(asyncio.CancelledError, Killed):
            return await asyncio.shield(self.task)
        return KILLED

    def signal(self, stop_signal: StopSignal) -> None:
        """Ask the worker to stop, or end it."""
        if stop_signal is StopSignal.TERM:
            self._worker.stopping.set()
        else:
            self._worker.line.cut()
            self.task.cancel()


class Worker:
    """One worker process with its shard."""

    def __init__(self, workshop: Workshop, run: Run) -> None:
        self.stopping = asyncio.Event()
        self.line = workshop.line(f"worker {run.key.job_id} {run.key.attempt}")
        self._workshop = workshop
        self._run = run
        self._store = workshop.store(self.line)
        self._events = workshop.events(self.line)
        self._uri = S3Uri.parse(run.environment[ORDER_VARIABLE])
        self._ledger = Ledger.holding(self._uri)
        self._shard_index = run.array_index or 0
        self._began_at = now()

    async def run(self) -> Exit:
        """Work through the shard; how the process ends."""
        await self._pause(self._workshop.load_seconds)
        try:
            content = await self._try(partial(self._store.get, self._uri))
            if content is None:
                self._workshop.toil.orders_missing += 1
                return Exit(ExitCode.ORDER_UNREADABLE)
            self._order = Order.read(content, self._uri)
            return await self._shard()
        except ServiceError:
            return Exit(ExitCode.LEDGER_UNREACHABLE)

    async def _shard(self) -> Exit:
        uri = self._ledger.report(self._order.order_id, self._shard_index)
        before = await self._try(partial(self._store.get, uri))
        outcomes = ShardReport.read(before, uri).outcomes if before else ()
        self._report = ShardReport(
            order_id=self._order.order_id,
            shard_index=self._shard_index,
            job_attempt=self._run.key.attempt,
            updated_at=now(),
            began_at=self._began_at,
            outcomes=outcomes,
        )
        under_way: list[tuple[WorkItem, Record | None, str | None]] = []
        for item in self._order.shards[self._shard_index].items:
            if self.stopping.is_set():
                break
            if any(outcome.request_id == item.request_id for outcome in self._report.outcomes):
                continue
            record, etag = await self._record(item.request_id)
            if await self._is_settled(item, record):
                continue
            await self._write(
                (*self._report.in_hand, InHand(request_id=item.request_id, started_at=now()))
            )
            under_way.append((item, record, etag))
            # The feeder is one ahead now and then.
            while len(under_way) > self._workshop.source.randrange(2):
                if (end := await self._transcribe(*under_way.pop(0))) is not None:
                    return end
        while under_way and not self.stopping.is_set():
            if (end := await self._transcribe(*under_way.pop(0))) is not None:
                return end
        if self._report.in_hand:
            await self._write(())
        known = {outcome.request_id for outcome in self._report.outcomes}
        items = self._order.shards[self._shard_index].items
        through = all(item.request_id in known for item in items)
        return Exit(ExitCode.FINISHED if through else ExitCode.INTERRUPTED)

    async def _is_settled(self, item: WorkItem, record: Record | None) -> bool:
        """Whether the record says that nothing is to be done; then the report does, too."""
        if record is None:
            return False
        if record.done is not None:
            here = {"order_id": self._order.order_id, "shard_index": self._shard_index}
            await self._end(record.done.model_copy(update=here))
            return True
        if record.given_up_since(self._order.asked_at(item.request_id)):
            await self._end(self._outcome(item, Reason.GIVEN_UP))
            return True
        return False

    async def _transcribe(
        self, item: WorkItem, record: Record | None, etag: str | None
    ) -> Exit | None:
        """One request; an exit when the process does not survive it."""
        recording = await self._share(item)
        began = elapsed_seconds()
        toil = self._workshop.toil
        try:
            if recording.nature is Nature.POISON:
                await self._pause(recording.seconds / 2)
                if not self.stopping.is_set():
                    toil.deaths[item.request_id] += 1
                    return self._workshop.source.choice([SEGMENTATION_FAULT, OUT_OF_MEMORY])
            else:
                await self._pause(recording.seconds)
            if self.stopping.is_set():
                return None
            if recording.nature is Nature.BAD:
                await self._end(self._outcome(item, Reason.NOT_AUDIO))
            elif toil.failures[item.request_id] < recording.failures:
                toil.failures[item.request_id] += 1
                await self._end(self._outcome(item, Reason.STORE_REFUSED))
            else:
                await self._finish(item, record, etag)
                name = item.request_id if item.range is None else f"{item.request_id} {item.range}"
                if recording.seconds:
                    toil.useful.setdefault(name, []).append(recording.seconds)
        except (asyncio.CancelledError, Killed):
            lost = elapsed_seconds() - began
            toil.cut_short.setdefault(item.request_id, []).append(lost)
            raise
        return None

    async def _share(self, item: WorkItem) -> Recording:
        """The recording, or what of it is left to do in its range."""
        whole = self._workshop.recordings[item.audio]
        if item.range is None:
            return whole
        saved = self._ledger.range(item.request_id, item.range.number, item.range.count)
        done = await self._try(partial(self._store.get, saved)) is not None
        # What kills a worker stands in one place.
        harmless = whole.nature is Nature.POISON and item.range.number > 0
        return replace(
            whole,
            seconds=0.0 if done else whole.seconds / item.range.count,
            nature=Nature.GOOD if harmless else whole.nature,
        )

    async def _join(self, item: WorkItem, part: Range) -> bool:
        """Save a range; whether all of its recording are."""
        places = [
            self._ledger.range(item.request_id, number, part.count) for number in range(part.count)
        ]
        await self._try(partial(self._store.put, places[part.number], b"{}"))
        for uri in places:
            if await self._try(partial(self._store.get, uri)) is None:
                return False
        return True

    async def _finish(self, item: WorkItem, record: Record | None, etag: str | None) -> None:
        if item.range is not None and not await self._join(item, item.range):
            done = {"kind": OutcomeKind.RANGE_DONE}
            await self._end(self._outcome(item, None).model_copy(update=done))
            return
        files = {}
        for file_format in item.options.formats:
            uri = item.transcript(file_format)
            content = f"{item.audio} as {file_format}".encode()
            await self._try(partial(self._store.put, uri, content))
            files[file_format] = str(uri)
        recording = self._workshop.recordings[item.audio]
        outcome = self._outcome(item, None).model_copy(
            update={"transcripts": files, "audio_seconds": recording.seconds}
        )
        if not await self._write_record(outcome, record, etag):
            outcome = self._outcome(item, Reason.GIVEN_UP)
        await self._end(outcome)
        if item.range is not None:
            for number in range(item.range.count):
                uri = self._ledger.range(item.request_id, number, item.range.count)
                await self._try(partial(self._store.delete, uri))

    async def _write_record(
        self, outcome: Outcome, record: Record | None, etag: str | None
    ) -> bool:
        uri = self._ledger.record(outcome.request_id)
        while True:
            if record and record.given_up_since(self._order.asked_at(outcome.request_id)):
                return False
            before = record.outcomes if record and record.dead_lettered_at is None else ()
            fresh = Record(request_id=outcome.request_id, outcomes=(*before, outcome))
            try:
                await self._try(partial(self._store.put_if, uri, fresh.to_json(), etag))
            except Conflict:
                record, etag = await self._record(outcome.request_id)
                if record and record.done:
                    return True
            else:
                return True

    async def _record(self, request_id: str) -> tuple[Record | None, str | None]:
        uri = self._ledger.record(request_id)
        found = await self._try(partial(self._store.get_with_etag, uri))
        return (Record.read(found[0], uri), found[1]) if found else (None, None)

    def _outcome(self, item: WorkItem, reason: Reason | None) -> Outcome:
        return Outcome(
            request_id=item.request_id,
            order_id=self._order.order_id,
            shard_index=self._shard_index,
            kind=reason.kind if reason else OutcomeKind.DONE,
            reason=reason,
            detail=f"the recording is {reason}" if reason else "",
            finished_at=now(),
        )

    async def _end(self, outcome: Outcome) -> None:
        in_hand = (one for one in self._report.in_hand if one.request_id != outcome.request_id)
        await self._write(tuple(in_hand), (*self._report.outcomes, outcome))
        await self._ring()

    async def _write(
        self, in_hand: tuple[InHand, ...], outcomes: tuple[Outcome, ...] | None = None
    ) -> None:
        report = self._report.model_copy(
            update={
                "in_hand": in_hand,
                "outcomes": self._report.outcomes if outcomes is None else outcomes,
                "updated_at": now(),
            }
        )
        uri = self._ledger.report(report.order_id, report.shard_index)
        await self._try(partial(self._store.put, uri, report.to_json()))
        self._report = report

    async def _ring(self) -> None:
        if EVENTS_VARIABLE not in self._run.environment:
            return
        body = (
            f'{{"source": "whisper-fleet.worker", "order_id": "{self._order.order_id}", '
            f'"shard_index": {self._shard_index}}}'
        )
        with suppress(ServiceError):
            await self._events.send([Outgoing(body)])

    async def _try(self, call: Callable[[], Awaitable[T]]) -> T:
        for attempt in range(1, TRIES):
            with suppress(Unavailable):
                return await call()
            await asyncio.sleep(self._workshop.source.uniform(0, 2**attempt))
        return await call()

    async def _pause(self, seconds: float) -> None:
        """Work for so long, or until told to stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
