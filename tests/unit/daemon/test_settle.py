from datetime import UTC, datetime

import pytest

from daemon.settings import RetrySettings
from daemon.settle import Fate, verdict
from neuron_worker.contract import Outcome, OutcomeKind, Reason, Record

SETTINGS = RetrySettings(
    attempts_max=3, infrastructure_attempts_max=5, backoff_seconds=10, backoff_max_seconds=25
)


def outcome(reason: Reason | None, order_id: str = "o1") -> Outcome:
    return Outcome(
        request_id="r1",
        order_id=order_id,
        shard_index=0,
        kind=reason.kind if reason else OutcomeKind.DONE,
        reason=reason,
        finished_at=datetime(2026, 11, 23, tzinfo=UTC),
    )


def record(*reasons: Reason) -> Record:
    outcomes = tuple(outcome(reason, f"o{number}") for number, reason in enumerate(reasons))
    return Record(request_id="r1", outcomes=outcomes)


def test_done_is_finished() -> None:
    assert verdict(outcome(None), record(), SETTINGS).fate is Fate.FINISH


@pytest.mark.parametrize("reason", [r for r in Reason if r.kind is OutcomeKind.BAD_INPUT])
def test_bad_input_is_given_up_at_once(reason: Reason) -> None:
    assert verdict(outcome(reason), record(reason), SETTINGS).fate is Fate.DEAD_LETTER


def test_a_passing_fault_is_retried_in_company_and_later_each_time() -> None:
    fault = Reason.STORE_REFUSED
    first = verdict(outcome(fault), record(fault), SETTINGS)
    second = verdict(outcome(fault), record(fault, fault), SETTINGS)

    assert (first.fate, first.delay_seconds, first.alone) == (Fate.RETRY, 10, False)
    assert second.delay_seconds == 20


SUSPICIOUS = [r for r in Reason if r.kind is OutcomeKind.CRASHED or r is Reason.SUSPECTED]


@pytest.mark.parametrize("reason", SUSPICIOUS)
def test_a_crash_is_retried_alone(reason: Reason) -> None:
    judged = verdict(outcome(reason), record(reason), SETTINGS)

    assert (judged.fate, judged.alone) == (Fate.RETRY, True)


def test_the_third_blamed_failure_is_the_last() -> None:
    crash = Reason.WORKER_DIED

    judged = verdict(outcome(crash), record(crash, Reason.STORE_REFUSED, crash), SETTINGS)

    assert judged.fate is Fate.DEAD_LETTER


def test_infrastructure_never_counts_as_blame() -> None:
    lost = Reason.INTERRUPTED

    many = verdict(outcome(lost), record(lost, lost, lost, lost), SETTINGS)
    crash_between = verdict(
        outcome(Reason.WORKER_DIED), record(lost, lost, lost, Reason.WORKER_DIED), SETTINGS
    )

    assert (many.fate, many.delay_seconds) == (Fate.RETRY, 25)
    assert crash_between.fate is Fate.RETRY


def test_infrastructure_has_its_own_bound() -> None:
    lost = Reason.NOT_STARTED

    assert verdict(outcome(lost), record(*[lost] * 5), SETTINGS).fate is Fate.DEAD_LETTER


def test_every_reason_has_a_kind() -> None:
    without = {OutcomeKind.DONE, OutcomeKind.RANGE_DONE}
    assert {reason.kind for reason in Reason} == set(OutcomeKind) - without
