"""Workers that sleep through many requests at once: the fast kind, for fleets and long days.

They do what `workers` do, request by request, with the same documents and the same order of writes:
the report names a request before work on it begins; first the record, then the report. Only when
the writes are made differs: at intervals of virtual time, at the end of the shard, and when the
process is killed, with all that a worker would have written by then. So a lost instance costs the
request in hand and nothing more. Transcripts are not written: nobody reads them here. Calls of
workers take no time.
"""

from datetime import datetime, timedelta
from typing import Any

from daemon.embedded.batch.effects import Run
from daemon.embedded.batch.executor import Exit
from daemon.orders import EVENTS_VARIABLE
from daemon.ports import Outgoing
from daemon.simulation.bench import Bench
from daemon.simulation.clock import EPOCH
from daemon.simulation.workers import SEGMENTATION_FAULT, Nature
from daemon.simulation.workload import index_of
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
    ShardReport,
    WorkItem,
)

WRITE_PERIOD_SECONDS = 60.0
"""How often a worker writes what it has finished."""


class Shard:
    """One attempt at one shard, as far as its worker has come."""

    def __init__(
        self,
        bench: Bench,
        run: Run,
        order: Order,
        ledger: Ledger,
        began_at: float,
        now_seconds: float,
    ) -> None:
        self._bench = bench
        self._order = order
        self._ledger = ledger
        self._index = run.array_index or 0
        self._attempt = run.key.attempt
        self._began_at = began_at
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
            if nature is Nature.POISON and (item.range is None or item.range.number == 0):
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
            began_at=_time(self._began_at),
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
        core_seconds = own_seconds = self._core_seconds(item)
        if item.range is not None and good:
            self._bench.history.finish_range(index, item.range.number, core_seconds)
            if not self._join(item, item.range):
                seconds = self._bench.workload.audio_seconds[index] / item.range.count
                done = self._outcome(item, None, audio_seconds=seconds, wall_seconds=own_seconds)
                self._outcomes.append(done.model_copy(update={"kind": OutcomeKind.RANGE_DONE}))
                return
            core_seconds = 0.0
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
            wall_seconds=own_seconds,
        )
        if record is None or record.done is None:
            before = record.outcomes if record and record.dead_lettered_at is None else ()
            fresh = Record.model_construct(request_id=item.request_id, outcomes=(*before, outcome))
            self._bench.objects.put(self._ledger.record(item.request_id), fresh.to_json())
        self._outcomes.append(outcome)

    def _join(self, item: WorkItem, part: Range) -> bool:
        """Save a range; whether all of its recording are, which are not needed any more then."""
        objects = self._bench.objects
        places = [
            self._ledger.range(item.request_id, number, part.count) for number in range(part.count)
        ]
        objects.put(places[part.number], b"{}")
        if not all(map(objects.get, places)):
            return False
        for uri in places:
            objects.delete(uri)
        return True

    def _given_up(self, record: Record) -> bool:
        return record.given_up_since(self._order.asked_at(record.request_id))

    def _record(self, item: WorkItem) -> Record | None:
        uri = self._ledger.record(item.request_id)
        found = self._bench.objects.get(uri)
        return Record.read(found[0], uri) if found else None

    def _core_seconds(self, item: WorkItem) -> float:
        """What a request takes; each range opens the file for itself."""
        whole = self._bench.workload.core_seconds[index_of(item.request_id)]
        if item.range is None:
            return whole
        saved = self._ledger.range(item.request_id, item.range.number, item.range.count)
        if self._bench.objects.get(saved):
            return 0.0
        opening = self._bench.parameters.file_seconds
        return opening + max(0.0, whole - opening) / item.range.count

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
