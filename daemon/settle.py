"""Settle: what an outcome means for its request, and for the messages that owe it.

`verdict` is pure; `Settlement` acts on it. The order of its writes keeps the promise that nothing
is lost: a failure goes to the record; that a request is given up is decided there, then its dead
letter is sent, then the record says so, and only then are messages deleted. Whatever is interrupted
is settled once more, by whoever comes upon it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import structlog

from daemon.breaker import Breakers, Gate
from daemon.clock import Clock
from daemon.dead_letters import dead_letter
from daemon.estimator import Estimator
from daemon.liveness import Stopping, getting_on
from daemon.metrics import Metrics
from daemon.outstanding import Outstanding, Owed
from daemon.ports import Batch, Outgoing, Queue, ServiceError
from daemon.records import Records
from daemon.settings import RetrySettings
from daemon.unreadable import tell_unreadable
from neuron_worker.contract import Outcome, OutcomeKind, Reason, Record, UnreadableDocument

log = structlog.get_logger()


class Fate(StrEnum):
    """What happens to a request next."""

    FINISH = "finish"
    RETRY = "retry"
    DEAD_LETTER = "dead_letter"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A fate; for a retry, how long to wait and whether to run alone."""

    fate: Fate
    delay_seconds: float = 0.0
    alone: bool = False


def verdict(
    outcome: Outcome, record: Record, settings: RetrySettings, *, outage: bool = False
) -> Verdict:
    """Judge an outcome, given the request's record, which counts this outcome already.

    In an outage of its lane, infrastructure's failures say nothing of the request.
    """
    if outcome.kind is OutcomeKind.DONE:
        return Verdict(Fate.FINISH)
    if outcome.kind is OutcomeKind.BAD_INPUT:
        return Verdict(Fate.DEAD_LETTER)
    if outcome.kind is OutcomeKind.INFRASTRUCTURE:
        failures = infrastructure_failures(record)
        spent = failures >= settings.infrastructure_attempts_max and not outage
    else:
        failures = record.blamed_attempts
        spent = failures >= settings.attempts_max
    if spent:
        return Verdict(Fate.DEAD_LETTER)
    doublings = min(max(failures, 1), DOUBLINGS_MAX) - 1
    delay = min(settings.backoff_seconds * 2**doublings, settings.backoff_max_seconds)
    alone = outcome.kind is OutcomeKind.CRASHED or outcome.reason is Reason.SUSPECTED
    return Verdict(Fate.RETRY, delay, alone)


DOUBLINGS_MAX = 30
"""Any wait is at its longest by then."""


def infrastructure_failures(record: Record) -> int:
    """How many tries failed through no fault of the request."""
    return sum(outcome.kind is OutcomeKind.INFRASTRUCTURE for outcome in record.outcomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """Acts on outcomes: finishes, retries or dead-letters the requests they belong to."""

    requests: Queue
    dead_letters: Queue
    batch: Batch
    records: Records
    outstanding: Outstanding
    breakers: Breakers
    estimator: Estimator
    stopping: asyncio.Event
    settings: RetrySettings
    metrics: Metrics
    clock: Clock

    async def settle(
        self, outcomes: Sequence[Outcome], lane: str, job_of: Callable[[int], str | None]
    ) -> None:
        """Settle each outcome whose request is still under way in that order.

        `job_of` names the Batch job of a shard. Raises `Stopping` between two of them: a graceful
        stop does not wait for a long row of them while S3 is slow.
        """
        finished: list[Owed] = []
        done: list[tuple[Owed, Outcome]] = []
        for outcome in outcomes:
            getting_on()
            if self.stopping.is_set():
                break
            owed = self.outstanding.get(outcome.request_id)
            if owed is None or owed.order_id != outcome.order_id:
                continue
            fate, known = await self._settle_one(owed, outcome, lane, job_of(outcome.shard_index))
            if fate is Fate.FINISH:
                done.append((owed, known))
            elif fate is Fate.DEAD_LETTER:
                finished.append(owed)
        await self._delete([*finished, *(owed for owed, _ in done)])
        for owed in finished:
            # Not remembered as finished: whoever sends it again asks anew.
            self.outstanding.forget([owed.item.request_id])
        for owed, outcome in done:
            self.outstanding.finish(owed.item.request_id)
            self._note_done(owed, outcome)
        if self.stopping.is_set():
            raise Stopping

    async def _settle_one(
        self, owed: Owed, outcome: Outcome, lane: str, job_id: str | None
    ) -> tuple[Fate, Outcome]:
        """What becomes of a request, and by which outcome; all is done but for its messages."""
        self.estimator.ended(lane, interrupted=outcome.reason is Reason.INTERRUPTED)
        if outcome.kind is OutcomeKind.DONE:
            return Fate.FINISH, outcome
        try:
            return await self._settle_failure(owed, outcome, lane, job_id)
        except UnreadableDocument as error:
            tell_unreadable(error, self.metrics)
            await self._give_up_unread(owed, outcome, error, job_id)
            return Fate.DEAD_LETTER, outcome

    async def _settle_failure(
        self, owed: Owed, outcome: Outcome, lane: str, job_id: str | None
    ) -> tuple[Fate, Outcome]:
        """Give up or retry; or find that another daemon's order was sooner, and done."""
        record = await self.records.add(outcome, owed.asked_at)
        outage = self.breakers.gate(lane) is not Gate.OPEN
        judged = verdict(outcome, record, self.settings, outage=outage)
        gone = judged.fate is Fate.DEAD_LETTER or record.given_up_since(owed.asked_at)
        if record.done is None and gone:
            record = await self._give_up(owed, record, outcome, job_id)
        if record.done is not None:
            return Fate.FINISH, record.done
        if gone:
            return Fate.DEAD_LETTER, outcome
        self._retry(owed, outcome, record, judged)
        return Fate.RETRY, outcome

    async def _delete(self, finished: Sequence[Owed]) -> None:
        failed: set[str] = set()
        deleted: set[str] = set()
        # A second copy may join while the others are deleted.
        while handles := [h for owed in finished for h in owed.receipt_handles if h not in deleted]:
            failed |= await self.requests.delete(handles)
            deleted.update(handles)
        if failed:
            # The messages come back when their visibility ends; intake knows them as finished.
            log.warning("messages_not_deleted", count=len(failed))

    def _note_done(self, owed: Owed, outcome: Outcome) -> None:
        self.estimator.heard(owed.hints, outcome.audio_seconds)
        profile, metrics = owed.profile, self.metrics.requests
        metrics.settled.labels(profile, Fate.FINISH, "").inc()
        metrics.audio_seconds.labels(profile).inc(outcome.audio_seconds)
        metrics.speech_seconds.labels(profile).inc(outcome.speech_seconds)
        if outcome.warnings:
            metrics.warned.labels(profile).inc()
        metrics.turnaround_seconds.labels(profile).observe(
            (self.clock() - owed.message.received_at).total_seconds()
        )
        self.metrics.workers.worked(profile, outcome)
        log.info(
            "request_done",
            request_id=owed.item.request_id,
            order_id=outcome.order_id,
            audio_seconds=outcome.audio_seconds,
            wall_seconds=outcome.wall_seconds,
            warnings=outcome.warnings,
        )

    def _retry(self, owed: Owed, outcome: Outcome, record: Record, judged: Verdict) -> None:
        now = self.clock()
        self.outstanding.move(owed, None)
        owed.held_since = now
        owed.not_before = now + timedelta(seconds=judged.delay_seconds)
        owed.alone = judged.alone
        owed.item = owed.item.model_copy(update={"attempt": record.blamed_attempts + 1})
        self.metrics.requests.retried.labels(owed.profile, outcome.reason or "").inc()
        log.warning(
            "request_retried",
            request_id=owed.item.request_id,
            order_id=outcome.order_id,
            reason=outcome.reason,
            detail=outcome.detail,
            delay_seconds=judged.delay_seconds,
            alone=judged.alone,
        )

    async def _give_up(
        self, owed: Owed, record: Record, outcome: Outcome, job_id: str | None
    ) -> Record:
        """Decide it, then send the dead letter; returns the record, which may say otherwise."""
        now = self.clock()
        record = await self.records.give_up(record, tuple(owed.messages), now)
        if record.done is not None or record.letter_sent:
            return record
        await bury(
            owed.message.body,
            record,
            self.dead_letters,
            self.records,
            log_stream=await self._log_stream(job_id),
        )
        self._note_given_up(owed, outcome, len(record.outcomes))
        return record

    async def _give_up_unread(
        self, owed: Owed, outcome: Outcome, error: UnreadableDocument, job_id: str | None
    ) -> None:
        """Send the dead letter of a request whose record nobody can go by."""
        reason = Reason.RECORD_UNREADABLE
        last = outcome.model_copy(
            update={"kind": reason.kind, "reason": reason, "detail": str(error)}
        )
        record = Record(request_id=owed.item.request_id, outcomes=(last,))
        letter = letter_about(owed.message.body, record, await self._log_stream(job_id))
        await self.dead_letters.send([letter])
        self._note_given_up(owed, last, 1)

    def _note_given_up(self, owed: Owed, outcome: Outcome, attempts: int) -> None:
        reason = outcome.reason or ""
        self.metrics.requests.settled.labels(owed.profile, Fate.DEAD_LETTER, reason).inc()
        log.error(
            "request_dead_lettered",
            request_id=owed.item.request_id,
            order_id=outcome.order_id,
            reason=outcome.reason,
            detail=outcome.detail,
            attempts=attempts,
        )

    async def _log_stream(self, job_id: str | None) -> str:
        """Where the log of a job stands; empty when Batch cannot say."""
        if job_id is None:
            return ""
        try:
            jobs = await self.batch.describe([job_id])
        except ServiceError as error:
            log.warning("log_stream_unknown", job_id=job_id, cause=str(error))
            return ""
        return jobs[job_id].log_stream if job_id in jobs else ""


async def bury(
    body: str, record: Record, dead_letters: Queue, records: Records, *, log_stream: str = ""
) -> None:
    """Send the dead letter of a request that the record calls given up, and note that it is."""
    await dead_letters.send([letter_about(body, record, log_stream)])
    await records.letter_sent(record)


def letter_about(body: str, record: Record, log_stream: str) -> Outgoing:
    """The dead letter of a request: its message with what is known of it."""
    last = record.outcomes[-1]
    return dead_letter(
        body,
        reason=last.reason or last.kind,
        detail=last.detail,
        facts={
            "request_id": record.request_id,
            "attempts": str(len(record.outcomes)),
            "order_ids": ",".join(known.order_id for known in record.outcomes),
            "log": log_stream,
        },
    )
