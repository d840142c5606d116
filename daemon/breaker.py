"""The breaker: orders nothing more from a lane whose jobs do not even start.

An image that cannot be pulled, no core that is free, a setting that is wrong: the next order would
end like the last, and every failure would count as one more try of each request in it. So after a
few shards in a row that ended before they began, the lane is shut for a while, longer each time.
Then one small order goes out as a probe; the first shard that begins opens the lane again. While a
lane is not open, its failures give nobody up.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import structlog

from daemon.clock import Clock
from daemon.metrics import Metrics

log = structlog.get_logger()

FAILURES_TO_SHUT = 4
"""Two chips' worth of shards: a single bad instance fails two."""

SHUT_FIRST = timedelta(seconds=60)
SHUT_MAX = timedelta(minutes=15)

PROBE_REQUESTS = 2
"""One for each core of a chip."""


class Gate(StrEnum):
    """What may be ordered from a lane now."""

    OPEN = "open"
    PROBE = "probe"
    SHUT = "shut"


@dataclass(slots=True)
class _State:
    failures: int = 0
    shut_for: timedelta | None = None
    shut_until: datetime | None = None
    probe: str | None = None


class Breakers:
    """One breaker per lane, by the lane's name."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._states: dict[str, _State] = {}

    def gate(self, lane: str) -> Gate:
        """What may be ordered from the lane."""
        state = self._states.get(lane, _State())
        if state.shut_until is None:
            return Gate.OPEN
        if state.probe is not None or self._clock() < state.shut_until:
            return Gate.SHUT
        return Gate.PROBE

    def ordered(self, lane: str, order_id: str) -> None:
        """An order goes out; from a lane that is not open, it is the probe."""
        if self.gate(lane) is Gate.PROBE:
            self._states[lane].probe = order_id

    def began(self, lane: str) -> None:
        """A shard of the lane has begun to work: the lane is well."""
        state = self._states.pop(lane, None)
        if state is not None and state.shut_until is not None:
            self._metrics.fleet.shut.labels(lane).set(0)
            log.info("lane_opened", lane=lane)

    def failed(self, lane: str, order_id: str, detail: str) -> None:
        """A shard ended before it began, or an order was refused."""
        state = self._states.setdefault(lane, _State())
        state.failures += 1
        if state.probe == order_id:
            state.probe = None
        elif state.shut_until is not None or state.failures < FAILURES_TO_SHUT:
            return
        state.shut_for = min(2 * state.shut_for, SHUT_MAX) if state.shut_for else SHUT_FIRST
        state.shut_until = self._clock() + state.shut_for
        self._metrics.fleet.shut.labels(lane).set(1)
        log.error(
            "lane_shut",
            lane=lane,
            order_id=order_id,
            seconds=state.shut_for.total_seconds(),
            detail=detail,
        )

    def closed(self, lane: str, order_id: str) -> None:
        """An order is over; a probe that told nothing leaves room for the next."""
        state = self._states.get(lane)
        if state is not None and state.probe == order_id:
            state.probe = None
