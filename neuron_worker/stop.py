"""Told to stop: what may still be finished, and for how long."""

import threading
import time
from dataclasses import dataclass, field

DRAIN_SECONDS = 10.0
"""Windows under way may take this long after SIGTERM.

Batch kills a job 30 s after it (docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html), ECS
likewise (ECS_CONTAINER_STOP_TIMEOUT); saving progress takes the rest.
"""


@dataclass(slots=True)
class Stop:
    """Set by SIGTERM: no new windows, and after a while no more of those under way."""

    requested: threading.Event = field(default_factory=threading.Event)
    _requested_at: float | None = None

    def request(self) -> None:
        """Called by the signal's handler."""
        self._requested_at = self._requested_at or time.monotonic()
        self.requested.set()

    @property
    def overdue(self) -> bool:
        """Whether even windows under way must be put down."""
        at = self._requested_at
        return at is not None and time.monotonic() - at > DRAIN_SECONDS
