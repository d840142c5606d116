"""Time, as the dispatcher is told it."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present moment, with its time zone."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)
