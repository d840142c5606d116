"""Heartbeat: keeps the messages of outstanding requests hidden from other daemons.

Each message is extended three times within its visibility timeout, so that two failures in a row
lose nothing. SQS ends the game after twelve hours: the message then comes back, is received again,
and joins its request with a fresh handle.
"""

import structlog

from daemon.metrics import Metrics
from daemon.outstanding import Outstanding
from daemon.ports import Queue

log = structlog.get_logger()

BEATS_PER_TIMEOUT = 3


class Heartbeat:
    """Extends visibility, and gives messages back."""

    def __init__(
        self, requests: Queue, outstanding: Outstanding, visibility_seconds: int, metrics: Metrics
    ) -> None:
        self._requests = requests
        self._outstanding = outstanding
        self._visibility_seconds = visibility_seconds
        self._metrics = metrics

    @property
    def period_seconds(self) -> float:
        """How often to beat."""
        return self._visibility_seconds / BEATS_PER_TIMEOUT

    async def beat(self) -> None:
        """Extend every message by a whole timeout from now."""
        owed = [*self._outstanding.held(), *self._outstanding.ordered()]
        handles = [handle for one in owed for handle in one.receipt_handles]
        failed = await self._requests.extend(handles, self._visibility_seconds)
        if failed:
            self._metrics.requests.heartbeat_failures.inc(len(failed))
            log.warning("heartbeats_failed", count=len(failed), of=len(handles))

    async def release_held(self) -> int:
        """Make the messages of held requests visible again, at once; returns how many requests."""
        held = self._outstanding.held()
        await self._requests.extend([h for owed in held for h in owed.receipt_handles], 0)
        self._outstanding.forget([owed.item.request_id for owed in held])
        return len(held)
