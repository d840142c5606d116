"""Settle: what an outcome means for its request, and for the messages that owe it.

`verdict` is pure; `Settlement` acts on it. The order of its writes keeps the promise that nothing
is lost: a failure goes to the record, a dead letter is sent before the record calls the request
given up, and only then are messages deleted. Whatever is interrupted is settled once more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import structlog

from daemon.clock import Clock
from daemon.dead_letters import dead_letter
from daemon.metrics import Metrics
from daemon.outstanding import Outstanding, Owed
from daemon.ports import Queue
from daemon.records import Records
from daemon.settings import RetrySettings
from neuron_worker.contract import Outcome, OutcomeKind, Reason, Record

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


def verdict(outcome: Outcome, record: Record, settings: RetrySettings) -> Verdict:
    """Judge an outcome, given the request's record, which counts this outcome already."""
    if outcome.kind is OutcomeKind.DONE:
        return Verdict(Fate.FINISH)
    if outcome.kind is OutcomeKind.BAD_INPUT:
        return Verdict(Fate.DEAD_LETTER)
    if outcome.kind is OutcomeKind.INFRASTRUCTURE:
        failures, most = infrastructure_failures(record), settings.infrastructure_attempts_max
    else:
        failures, most = record.blamed_attempts, settings.attempts_max
    if failures >= most:
        return Verdict(Fate.DEAD_LETTER)
    delay = min(settings.backoff_seconds * 2 ** (failures - 1), settings.backoff_max_seconds)
    alone = outcome.kind is OutcomeKind.CRASHED or outcome.reason is Reason.SUSPECTED
    return Verdict(Fate.RETRY, delay, alone)


def infrastructure_failures(record: Record) -> int:
    """How many tries failed through no fault of the request."""
    return sum(outcome.kind is OutcomeKind.INFRASTRUCTURE for outcome in record.outcomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """Acts on outcomes: finishes, retries or dead-letters the requests they belong to."""

    requests: Queue
    dead_letters: Queue
    records: Records
    outstanding: Outstanding
    settings: RetrySettings
    metrics: Metrics
    clock: Clock

    async def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Settle each outcome whose request is still under way in that order."""
        finished: list[Owed] = []
        done: list[tuple[Owed, Outcome]] = []
        for outcome in outcomes:
            owed = self.outstanding.get(outcome.request_id)
            if owed is None or owed.order_id != outcome.order_id:
                continue
            if outcome.kind is OutcomeKind.DONE:
                done.append((owed, outcome))
                continue
            record = await self.records.add(outcome)
            judged = verdict(outcome, record, self.settings)
            if judged.fate is Fate.RETRY:
                self._retry(owed, outcome, judged)
            else:
                await self._give_up(owed, outcome, record)
                finished.append(owed)
        await self._delete([*finished, *(owed for owed, _ in done)])
        for owed, outcome in done:
            self._note_done(owed, outcome)

    async def _delete(self, finished: Sequence[Owed]) -> None:
        handles = [handle for owed in finished for handle in owed.receipt_handles]
        failed = await self.requests.delete(handles)
        if failed:
            # The messages come back when their visibility ends; intake knows them as finished.
            log.warning("messages_not_deleted", count=len(failed))
        for owed in finished:
            self.outstanding.finish(owed.item.request_id)

    def _note_done(self, owed: Owed, outcome: Outcome) -> None:
        self.metrics.settled.labels(owed.profile, Fate.FINISH, "").inc()
        self.metrics.audio_seconds.labels(owed.profile).inc(outcome.audio_seconds)
        self.metrics.worker_seconds.labels(owed.profile).inc(outcome.wall_seconds)
        self.metrics.turnaround_seconds.labels(owed.profile).observe(
            (self.clock() - owed.message.received_at).total_seconds()
        )
        log.info(
            "request_done",
            request_id=owed.item.request_id,
            order_id=outcome.order_id,
            audio_seconds=outcome.audio_seconds,
            wall_seconds=outcome.wall_seconds,
            warnings=outcome.warnings,
        )

    def _retry(self, owed: Owed, outcome: Outcome, judged: Verdict) -> None:
        now = self.clock()
        owed.order_id = None
        owed.held_since = now
        owed.not_before = now + timedelta(seconds=judged.delay_seconds)
        owed.alone = judged.alone
        if outcome.kind is not OutcomeKind.INFRASTRUCTURE:
            owed.item = owed.item.model_copy(update={"attempt": owed.item.attempt + 1})
        self.metrics.retried.labels(owed.profile, outcome.reason or "").inc()
        log.warning(
            "request_retried",
            request_id=owed.item.request_id,
            order_id=outcome.order_id,
            reason=outcome.reason,
            detail=outcome.detail,
            delay_seconds=judged.delay_seconds,
            alone=judged.alone,
        )

    async def _give_up(self, owed: Owed, outcome: Outcome, record: Record) -> None:
        letter = dead_letter(
            owed.message.body,
            reason=outcome.reason or outcome.kind,
            detail=outcome.detail,
            facts={
                "request_id": owed.item.request_id,
                "attempts": str(len(record.outcomes)),
                "order_ids": ",".join(known.order_id for known in record.outcomes),
            },
        )
        await self.dead_letters.send([letter])
        await self.records.dead_letter(record, self.clock())
        self.metrics.settled.labels(owed.profile, Fate.DEAD_LETTER, outcome.reason or "").inc()
        log.error(
            "request_dead_lettered",
            request_id=owed.item.request_id,
            order_id=outcome.order_id,
            reason=outcome.reason,
            detail=outcome.detail,
            attempts=len(record.outcomes),
        )
