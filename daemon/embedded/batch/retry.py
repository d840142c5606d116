"""Whether a failed attempt of a job is followed by another.

Rules as in docs.aws.amazon.com/batch/latest/userguide/job_retries.html: the first rule whose every
condition holds decides; where no rule holds, the job IS retried, as long as attempts are left.
"""

from dataclasses import dataclass
from enum import StrEnum


class RetryAction(StrEnum):
    """What becomes of a job whose attempt failed."""

    RETRY = "RETRY"
    EXIT = "EXIT"


@dataclass(frozen=True, slots=True)
class ExitRule:
    """One entry of `evaluateOnExit`; a pattern may end in `*`, an absent one always holds."""

    action: RetryAction
    on_exit_code: str | None = None
    on_reason: str | None = None
    on_status_reason: str | None = None


@dataclass(frozen=True, slots=True)
class RetryStrategy:
    """How often a job may be tried, and which failures are worth another try."""

    attempts: int = 1
    rules: tuple[ExitRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt failed; the exit code is absent when the container never ended by itself."""

    exit_code: int | None
    reason: str | None
    status_reason: str | None


def decide(strategy: RetryStrategy, attempts_made: int, failure: Failure) -> RetryAction:
    """Decide on a job that has now been tried `attempts_made` times, the last time in vain."""
    if attempts_made >= strategy.attempts:
        return RetryAction.EXIT
    for rule in strategy.rules:
        if _holds(rule, failure):
            return rule.action
    return RetryAction.RETRY


def _holds(rule: ExitRule, failure: Failure) -> bool:
    exit_code = None if failure.exit_code is None else str(failure.exit_code)
    return (
        _matches(rule.on_exit_code, exit_code)
        and _matches(rule.on_reason, failure.reason)
        and _matches(rule.on_status_reason, failure.status_reason)
    )


def _matches(pattern: str | None, text: str | None) -> bool:
    """A bare `*` matches a field that is absent too: an ordinary exit leaves no `reason`."""
    if pattern is None:
        return True
    if pattern.endswith("*"):
        return (text or "").startswith(pattern[:-1])
    return text == pattern
