"""A shard: the requests that this process works through, in order.

For each request: skip it if it is done already, transcribe it, write its transcripts, then its
record, then the shard's report. Whatever happens to one request becomes its outcome and the next
one is taken; only SIGTERM, or a ledger out of reach, ends the shard early.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from neuron_worker.contract import (
    ExitCode,
    Ledger,
    Order,
    Outcome,
    OutcomeKind,
    Reason,
    Record,
    TranscriptFormat,
    WorkItem,
)
from neuron_worker.formats import CONTENT_TYPES, render
from neuron_worker.reporter import Reporter
from neuron_worker.store import ChangedMeanwhile, Store
from neuron_worker.transcript import Transcript
from neuron_worker.transcription import Interrupted, RequestFailed, Transcription

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ShardWorker:
    """Works through one shard; `transcription` is made when the first request needs it."""

    store: Store
    ledger: Ledger
    order: Order
    shard_index: int
    reporter: Reporter
    transcription: Callable[[], Transcription]
    stopping: threading.Event

    def run(self) -> ExitCode:
        """Work until all requests have outcomes, or until told to stop.

        Raises `StoreError` when the ledger cannot be written, and whatever making the
        `transcription` raises.
        """
        for item in self.order.shards[self.shard_index].items:
            if self.reporter.knows(item.request_id):
                continue
            if self.stopping.is_set():
                return ExitCode.INTERRUPTED
            with structlog.contextvars.bound_contextvars(request_id=item.request_id):
                try:
                    self._work(item)
                except Interrupted:
                    log.info("request_interrupted")
                    self.reporter.put_down()
                    return ExitCode.INTERRUPTED
        return ExitCode.FINISHED

    def _work(self, item: WorkItem) -> None:
        known = self.store.get(self.ledger.record(item.request_id))
        record = Record.model_validate_json(known[0]) if known else None
        if record and record.done:
            log.info("request_done_before", order_id=record.done.order_id)
            here = {"order_id": self.order.order_id, "shard_index": self.shard_index}
            self.reporter.end(record.done.model_copy(update=here))
            return
        transcription = self.transcription()
        self.reporter.begin(item.request_id)
        started = time.monotonic()
        try:
            transcript = transcription.transcribe(item, self.reporter.progress, self.stopping)
            files = self._write_transcripts(item, transcript)
        except RequestFailed as failure:
            log.warning("request_failed", reason=failure.reason, detail=str(failure))
            self.reporter.end(self._outcome(item, started, failure.reason, str(failure)))
            return
        outcome = self._outcome(item, started, None, "").model_copy(
            update={
                "transcripts": files,
                "audio_seconds": round(transcript.audio_seconds, 3),
                "speech_seconds": round(transcript.speech_seconds, 3),
                "language": transcript.language,
                "warnings": transcript.warnings,
            }
        )
        self._write_record(outcome, record, known[1] if known else None)
        self.reporter.end(outcome)
        log.info(
            "request_done",
            audio_seconds=outcome.audio_seconds,
            wall_seconds=outcome.wall_seconds,
            warnings=outcome.warnings,
        )

    def _write_transcripts(
        self, item: WorkItem, transcript: Transcript
    ) -> dict[TranscriptFormat, str]:
        files = {}
        for file_format in item.options.formats:
            uri = item.transcript(file_format)
            with RequestFailed.from_store_errors():
                self.store.put(uri, render(transcript, file_format), CONTENT_TYPES[file_format])
            files[file_format] = str(uri)
        return files

    def _write_record(self, outcome: Outcome, record: Record | None, etag: str | None) -> None:
        """Add `done` to the record; if another worker finished the request first, leave its."""
        uri = self.ledger.record(outcome.request_id)
        while True:
            before = record.outcomes if record and record.dead_lettered_at is None else ()
            fresh = Record(request_id=outcome.request_id, outcomes=(*before, outcome))
            try:
                self.store.put_unchanged(uri, fresh.to_json(), etag)
            except ChangedMeanwhile:
                known = self.store.get(uri)
                record = Record.model_validate_json(known[0]) if known else None
                etag = known[1] if known else None
                if record and record.done:
                    return
            else:
                return

    def _outcome(
        self, item: WorkItem, started: float, reason: Reason | None, detail: str
    ) -> Outcome:
        return Outcome(
            request_id=item.request_id,
            order_id=self.order.order_id,
            shard_index=self.shard_index,
            kind=reason.kind if reason else OutcomeKind.DONE,
            reason=reason,
            detail=detail,
            finished_at=datetime.now(UTC),
            wall_seconds=round(time.monotonic() - started, 3),
        )
