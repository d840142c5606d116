"""The reporter: keeps the shard's report in S3 as true as it needs to be.

An outcome and a new request in hand are written at once, because settlement and blame rest on them;
progress inside a request is written now and then, for people who wait.
"""

import time
from datetime import UTC, datetime

import structlog

from neuron_worker.contract import InHand, Ledger, Order, Outcome, ShardReport
from neuron_worker.store import Store, StoreError

log = structlog.get_logger()

PROGRESS_PERIOD_SECONDS = 1.0


class Reporter:
    """Writes one shard's report; starts from what an earlier attempt of the job reported."""

    def __init__(
        self, store: Store, ledger: Ledger, order: Order, shard_index: int, job_attempt: int
    ) -> None:
        self._store = store
        self._uri = ledger.report(order.order_id, shard_index)
        self._written = 0.0
        before = store.get(self._uri)
        outcomes = ShardReport.model_validate_json(before[0]).outcomes if before else ()
        self._report = ShardReport(
            order_id=order.order_id,
            shard_index=shard_index,
            job_attempt=job_attempt,
            updated_at=datetime.now(UTC),
            outcomes=outcomes,
        )

    def knows(self, request_id: str) -> bool:
        """Whether the request has an outcome in this order already."""
        return any(outcome.request_id == request_id for outcome in self._report.outcomes)

    def begin(self, request_id: str) -> None:
        """The request is in hand from now on."""
        self._write(in_hand=InHand(request_id=request_id, started_at=datetime.now(UTC)))

    def progress(self, seconds_done: float, audio_seconds: float | None) -> None:
        """How far the request in hand is; most calls write nothing, and none fails."""
        in_hand = self._report.in_hand
        if in_hand is None or time.monotonic() - self._written < PROGRESS_PERIOD_SECONDS:
            return
        moved = {"seconds_done": seconds_done, "audio_seconds": audio_seconds}
        try:
            self._write(in_hand=in_hand.model_copy(update=moved))
        except StoreError as error:
            log.warning("progress_not_written", cause=str(error))

    def end(self, outcome: Outcome) -> None:
        """The request in hand has an outcome, and nothing is in hand."""
        self._write(in_hand=None, outcomes=(*self._report.outcomes, outcome))

    def put_down(self) -> None:
        """Nothing is in hand: an interrupted request is nobody's fault."""
        self._write(in_hand=None)

    def _write(self, **changes: object) -> None:
        report = self._report.model_copy(update={**changes, "updated_at": datetime.now(UTC)})
        self._store.put(self._uri, report.to_json())
        self._report = report
        self._written = time.monotonic()
