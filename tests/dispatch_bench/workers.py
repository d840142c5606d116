"""Workers that take no time: a shard is done at the moment its job starts.

They keep the worker's contract as far as anybody can see it from outside: of each request the
transcripts, then the record, and at the end the report and two rings of the bell, the first one's
and the last. They work in the process of the services, so their calls are nobody's: the daemon's
are counted where they arrive over HTTP. A job that names no order has nothing to do.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from daemon.embedded.batch.effects import Run, StopSignal
from daemon.embedded.batch.executor import Exit
from daemon.orders import ORDER_VARIABLE
from daemon.simulation.store import Objects
from neuron_worker.contract import (
    ExitCode,
    Ledger,
    Order,
    Outcome,
    OutcomeKind,
    Record,
    Ring,
    S3Uri,
    ShardReport,
    WorkItem,
)

AUDIO_SECONDS = 300.0


class FinishedAttendant:
    """An attempt that is over."""

    async def wait(self) -> Exit:
        """Its end."""
        return Exit(ExitCode.FINISHED)

    def signal(self, stop_signal: StopSignal) -> None:
        """It is gone."""


class InstantExecutor:
    """Does an attempt's work where others start a process; `ring` puts a text on the queue."""

    def __init__(self, objects: Objects, ring: Callable[[str], None]) -> None:
        self._objects = objects
        self._ring = ring

    async def start(self, run: Run) -> FinishedAttendant:
        """Do the work of the attempt."""
        if ORDER_VARIABLE in run.environment:
            self._work(S3Uri.parse(run.environment[ORDER_VARIABLE]), run.array_index or 0)
        return FinishedAttendant()

    async def close(self) -> None:
        """Nothing runs."""

    def _work(self, open_order: S3Uri, shard_index: int) -> None:
        found = self._objects.get(open_order)
        if found is None:
            raise LookupError(f"a job was submitted before its order was written: {open_order}")
        order = Order.model_validate_json(found[0])
        ledger = Ledger.holding(open_order)
        outcomes = tuple(
            self._transcribe(item, order.order_id, shard_index, ledger)
            for item in order.shards[shard_index].items
        )
        report = ShardReport(
            order_id=order.order_id,
            shard_index=shard_index,
            updated_at=datetime.now(UTC),
            outcomes=outcomes,
        )
        self._objects.put(ledger.report(order.order_id, shard_index), report.to_json())
        ring = Ring(
            source="whisper-fleet.worker", order_id=order.order_id, shard_index=shard_index
        ).to_json()
        self._ring(ring.decode())
        self._ring(ring.decode())

    def _transcribe(
        self, item: WorkItem, order_id: str, shard_index: int, ledger: Ledger
    ) -> Outcome:
        here = {"order_id": order_id, "shard_index": shard_index}
        record = ledger.record(item.request_id)
        if known := self._objects.get(record):
            done = Record.model_validate_json(known[0]).done
            if done is not None:
                return done.model_copy(update=here)
        transcripts = {one: item.transcript(one) for one in item.options.formats}
        for uri in transcripts.values():
            self._objects.put(uri, f"the transcript of {item.audio}".encode())
        outcome = Outcome(
            request_id=item.request_id,
            **here,
            kind=OutcomeKind.DONE,
            finished_at=datetime.now(UTC),
            transcripts={one: str(uri) for one, uri in transcripts.items()},
            audio_seconds=AUDIO_SECONDS,
            speech_seconds=AUDIO_SECONDS,
            language="en",
        )
        self._objects.put_if(
            record, Record(request_id=item.request_id, outcomes=(outcome,)).to_json(), None
        )
        return outcome
