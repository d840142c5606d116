"""Turns requests away when there are too many of them, as Batch does; off unless asked for."""

from collections.abc import Mapping
from dataclasses import dataclass

from daemon.embedded.batch.errors import TooManyRequestsError
from daemon.embedded.batch.limits import SUBMIT_JOBS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Allowance:
    """A token bucket: so many requests at once, so many per second in the long run."""

    per_second: float
    burst: int


AWS_ALLOWANCES: Mapping[str, Allowance] = {
    "SubmitJob": Allowance(SUBMIT_JOBS_PER_SECOND, SUBMIT_JOBS_PER_SECOND)
}
"""What AWS publishes, by operation; the burst is UNVERIFIED."""


class Throttle:
    """Admits requests by operation; one that has no allowance is always admitted."""

    def __init__(self, allowances: Mapping[str, Allowance]) -> None:
        self._allowances = dict(allowances)
        self._tokens: dict[str, float] = {name: one.burst for name, one in allowances.items()}
        self._filled_at: dict[str, float] = {}

    def admit(self, operation: str, now_seconds: float) -> None:
        """Let a request in, or refuse it with TooManyRequestsError."""
        allowance = self._allowances.get(operation)
        if allowance is None:
            return
        since_seconds = now_seconds - self._filled_at.get(operation, now_seconds)
        tokens = self._tokens[operation] + since_seconds * allowance.per_second
        tokens = min(allowance.burst, tokens)
        admitted = tokens >= 1
        self._tokens[operation] = tokens - admitted
        self._filled_at[operation] = now_seconds
        if not admitted:
            raise TooManyRequestsError(operation=operation)
