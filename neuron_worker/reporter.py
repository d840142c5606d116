"""The reporter: keeps the shard's report in S3 as true as it needs to be.

An outcome and a new request in hand are written at once, because settlement and blame rest on them;
progress inside a request is written now and then, for people who wait. Any thread may report.
"""

import threading
import time
from datetime import UTC, datetime

import structlog

from neuron_worker.bell import Bell
from neuron_worker.contract import InHand, Ledger, Order, Outcome, ShardReport, UnreadableDocument
from neuron_worker.store import Store, StoreError

log = structlog.get_logger()

PROGRESS_PERIOD_SECONDS = 1.0


class Reporter:
    """Writes one shard's report; starts from what an earlier attempt of the job reported.

    The bell is rung for each outcome, once it is written.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        order: Order,
        shard_index: int,
        job_attempt: int,
        bell: Bell,
    ) -> None:
        self._store = store
        self._bell = bell
        self._uri = ledger.report(order.order_id, shard_index)
        self._lock = threading.Lock()
        self._written = 0.0
        before = store.get(self._uri)
        self._report = ShardReport(
            order_id=order.order_id,
            shard_index=shard_index,
            job_attempt=job_attempt,
            updated_at=datetime.now(UTC),
            began_at=datetime.now(UTC),
            outcomes=self._read(before[0]) if before else (),
        )

    @property
    def is_due(self) -> bool:
        """Whether progress has not been written for a while."""
        return time.monotonic() - self._written >= PROGRESS_PERIOD_SECONDS

    def knows(self, request_id: str) -> bool:
        """Whether the request has an outcome in this order already."""
        return any(outcome.request_id == request_id for outcome in self._report.outcomes)

    def begin(self, request_id: str) -> None:
        """The request is in hand from now on."""
        with self._lock:
            begun = InHand(request_id=request_id, started_at=datetime.now(UTC))
            self._write((*self._report.in_hand, begun))

    def progress(self, request_id: str, seconds_done: float, audio_seconds: float | None) -> None:
        """How far a request in hand is; never fails."""
        with self._lock:
            moved = {"seconds_done": seconds_done, "audio_seconds": audio_seconds}
            in_hand = tuple(
                one.model_copy(update=moved) if one.request_id == request_id else one
                for one in self._report.in_hand
            )
            try:
                self._write(in_hand)
            except StoreError as error:
                log.warning("progress_not_written", cause=str(error))

    def end(self, outcome: Outcome) -> None:
        """A request has its outcome, and is not in hand any more."""
        with self._lock:
            in_hand = (one for one in self._report.in_hand if one.request_id != outcome.request_id)
            self._write(tuple(in_hand), (*self._report.outcomes, outcome))
        self._bell.ring()

    def put_down(self) -> None:
        """Nothing is in hand: an interrupted request is nobody's fault."""
        with self._lock:
            self._write(())

    def _read(self, content: bytes) -> tuple[Outcome, ...]:
        """What is reported already; what is done, the records know as well."""
        try:
            return ShardReport.read(content, self._uri).outcomes
        except UnreadableDocument as error:
            log.error("report_unreadable", cause=str(error))
            return ()

    def _write(
        self, in_hand: tuple[InHand, ...], outcomes: tuple[Outcome, ...] | None = None
    ) -> None:
        report = self._report.model_copy(
            update={
                "in_hand": in_hand,
                "outcomes": self._report.outcomes if outcomes is None else outcomes,
                "updated_at": datetime.now(UTC),
            }
        )
        self._store.put(self._uri, report.to_json())
        self._report = report
        self._written = time.monotonic()
