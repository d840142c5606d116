"""Delivery: writes down what became of a request, in a thread of its own.

First the transcripts, then the record that calls the request done, then the shard's report, and
last the saved progress goes. Whatever is interrupted between two of them is only done once more.
A range is saved, and only when it is the last one of its recording is there a transcript.
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Self

import structlog

from neuron_worker.contract import (
    Ledger,
    Order,
    Outcome,
    OutcomeKind,
    Reason,
    Record,
    S3Uri,
    Stage,
    TranscriptFormat,
    UnreadableDocument,
)
from neuron_worker.formats import CONTENT_TYPES, render
from neuron_worker.in_hand import RequestFailed, RequestInHand
from neuron_worker.joining import Ranges, joined, read_progress
from neuron_worker.meter import timed
from neuron_worker.progress import Progress
from neuron_worker.reporter import Reporter
from neuron_worker.store import ChangedMeanwhile, Store, StoreError
from neuron_worker.transcript import Transcript

log = structlog.get_logger()

PROGRESS_SAVE_SECONDS = 30.0
"""A long recording's progress is saved this often; a killed worker repeats at most this much."""


def given_up(order: Order, shard_index: int, request_id: str) -> Outcome:
    """The outcome of a request that a dispatcher gave up before this order came to it."""
    detail = "the request was given up meanwhile; its dead letter says why"
    return left_alone(order, shard_index, request_id, Reason.GIVEN_UP, detail)


def left_alone(
    order: Order, shard_index: int, request_id: str, reason: Reason, detail: str
) -> Outcome:
    """The outcome of a request whose record does not let a worker begin it."""
    return Outcome(
        request_id=request_id,
        order_id=order.order_id,
        shard_index=shard_index,
        kind=reason.kind,
        reason=reason,
        detail=detail,
        finished_at=datetime.now(UTC),
    )


class Delivery:
    """Writes results one after the other; `StoreError` of the ledger comes out of `check`."""

    def __init__(
        self, store: Store, ledger: Ledger, order: Order, shard_index: int, reporter: Reporter
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._order = order
        self._shard_index = shard_index
        self._reporter = reporter
        self.ranges = Ranges(store, ledger)
        self._thread = ThreadPoolExecutor(1, "delivery")
        self._pending: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def check(self) -> None:
        """Raise what went wrong in the thread, if something did."""
        done = [future for future in self._pending if future.done()]
        self._pending = [future for future in self._pending if future not in done]
        for future in done:
            future.result()

    def wait(self) -> None:
        """Wait until all is written; raises what went wrong."""
        pending, self._pending = self._pending, []
        for future in pending:
            future.result()

    def finish(self, request: RequestInHand, model: str) -> None:
        """Write down a complete request."""
        self._pending.append(self._thread.submit(self._finish, request, model))

    def note_progress(self, request: RequestInHand) -> None:
        """Report how far a request is and save what is done of it, each when it is time again."""
        if self._reporter.is_due:
            seconds = request.facts.container_seconds if request.facts else None
            moved = (request.item.request_id, request.seconds_done, seconds)
            self._pending.append(self._thread.submit(self._reporter.progress, *moved))
        if time.monotonic() - request.progress_saved_at >= PROGRESS_SAVE_SECONDS:
            request.progress_saved_at = time.monotonic()
            self._pending.append(self._thread.submit(self._save, request, request.progress()))

    def put_down(self, requests: list[RequestInHand]) -> None:
        """Save what is done of requests that are interrupted; none of them is in hand any more."""
        if not requests:
            return
        for request in requests:
            if any(track.kept() for track in request.tracks):
                self._pending.append(self._thread.submit(self._save, request, request.progress()))
            log.info("request_interrupted", request_id=request.item.request_id)
        self._pending.append(self._thread.submit(self._reporter.put_down))

    def saved(self, request: RequestInHand) -> Progress | None:
        """What an earlier attempt saved; None where nothing can be used."""
        found = self._store.get(self._progress_of(request))
        return read_progress(found[0], request.item) if found else None

    def _progress_of(self, request: RequestInHand) -> S3Uri:
        request_id, part = request.item.request_id, request.item.range
        if part is None:
            return self._ledger.progress(request_id)
        return self._ledger.range(request_id, part.number, part.count)

    def _save(self, request: RequestInHand, progress: Progress) -> None:
        try:
            with timed(Stage.WRITE, request.meter):
                self._store.put(self._progress_of(request), progress.to_json())
        except StoreError as error:
            log.warning("progress_not_saved", request_id=progress.request_id, cause=str(error))

    def _finish(self, request: RequestInHand, model: str) -> None:
        with structlog.contextvars.bound_contextvars(request_id=request.item.request_id):
            try:
                if request.failure:
                    raise request.failure
                with timed(Stage.WRITE, request.meter):
                    transcript = self._transcript(request, model)
                    files = self._write_transcripts(request, transcript) if transcript else {}
                if transcript is None:
                    self._reporter.end(self._range_done(request))
                    log.info("range_done")
                    return
            except RequestFailed as failure:
                log.warning("request_failed", reason=failure.reason, detail=str(failure))
                self._reporter.end(self._outcome(request, failure.reason, str(failure)))
                return
            except Exception as error:
                log.exception("internal_error")
                detail = f"{request.item.audio}: {type(error).__name__}: {error}"
                self._reporter.end(self._outcome(request, Reason.INTERNAL_ERROR, detail))
                return
            outcome = self._done(request, transcript, files)
            try:
                recorded = self._write_record(outcome, request.record, request.record_etag)
            except UnreadableDocument as error:
                log.error("record_unreadable", cause=str(error))
                self._reporter.end(self._outcome(request, Reason.RECORD_UNREADABLE, str(error)))
                return
            if not recorded:
                log.warning("request_given_up_meanwhile")
                outcome = given_up(self._order, self._shard_index, request.item.request_id)
            self._reporter.end(outcome)
            self._forget_progress(request)
            log.info(
                "request_done",
                audio_seconds=outcome.audio_seconds,
                wall_seconds=outcome.wall_seconds,
                warnings=outcome.warnings,
            )

    def _transcript(self, request: RequestInHand, model: str) -> Transcript | None:
        """None while other ranges of the recording are not done."""
        item = request.item
        if item.range is None:
            return request.transcript(model)
        try:
            if request.range_done is not None:
                self._store.put(self._progress_of(request), request.progress().to_json())
            parts = self.ranges.all_done(item, request.fingerprint)
        except StoreError as error:
            raise RequestFailed(error.reason, str(error)) from error
        return joined(item, parts, model) if parts else None

    def _write_transcripts(
        self, request: RequestInHand, transcript: Transcript
    ) -> dict[TranscriptFormat, str]:
        files = {}
        for file_format in request.item.options.formats:
            uri = request.item.transcript(file_format)
            try:
                self._store.put(uri, render(transcript, file_format), CONTENT_TYPES[file_format])
            except StoreError as error:
                raise RequestFailed(error.reason, str(error)) from error
            files[file_format] = str(uri)
        return files

    def _write_record(self, outcome: Outcome, record: Record | None, etag: str | None) -> bool:
        """Add `done` to the record, unless another worker was first; False if it was given up."""
        uri = self._ledger.record(outcome.request_id)
        asked_at = self._order.asked_at(outcome.request_id)
        while True:
            if record and record.given_up_since(asked_at):
                return False
            before = record.outcomes if record and record.dead_lettered_at is None else ()
            fresh = Record(request_id=outcome.request_id, outcomes=(*before, outcome))
            try:
                self._store.put_unchanged(uri, fresh.to_json(), etag)
            except ChangedMeanwhile:
                known = self._store.get(uri)
                record = Record.read(known[0], uri) if known else None
                etag = known[1] if known else None
                if record and record.done:
                    return True
            else:
                return True

    def _forget_progress(self, request: RequestInHand) -> None:
        if request.item.range:
            self.ranges.forget(request.item)
        elif request.saved or request.progress_saved_at > request.started:
            try:
                self._store.delete(self._ledger.progress(request.item.request_id))
            except StoreError as error:
                log.warning("progress_not_deleted", cause=str(error))

    def _done(
        self, request: RequestInHand, transcript: Transcript, files: dict[TranscriptFormat, str]
    ) -> Outcome:
        return self._outcome(request, None, "").model_copy(
            update={
                "transcripts": files,
                "audio_seconds": round(transcript.audio_seconds, 3),
                "speech_seconds": round(transcript.speech_seconds, 3),
                "language": transcript.language,
                "warnings": transcript.warnings,
            }
        )

    def _range_done(self, request: RequestInHand) -> Outcome:
        # One that an earlier attempt did has taken nothing now.
        done = request.range_done
        heard = (
            {}
            if done is None
            else {
                "audio_seconds": round(max(0.0, done.end_seconds - done.start_seconds), 3),
                "speech_seconds": round(done.speech_seconds, 3),
                "warnings": done.warnings,
            }
        )
        return self._outcome(request, None, "").model_copy(
            update={"kind": OutcomeKind.RANGE_DONE, **heard}
        )

    def _outcome(self, request: RequestInHand, reason: Reason | None, detail: str) -> Outcome:
        return Outcome(
            request_id=request.item.request_id,
            order_id=self._order.order_id,
            shard_index=self._shard_index,
            kind=reason.kind if reason else OutcomeKind.DONE,
            reason=reason,
            detail=detail,
            finished_at=datetime.now(UTC),
            wall_seconds=round(time.monotonic() - request.started, 3),
            effort=request.meter.effort(),
        )
