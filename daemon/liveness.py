"""Signs of life: a long round of a loop that gets on is no stall.

How long a round takes depends on how much there is to do and on how slow AWS is; what tells a slow
round from one that hangs is whether it still does something.
"""

from collections.abc import Callable
from contextvars import ContextVar


class Stopping(Exception):
    """The daemon stops: what is left of this round is for the next one."""


_beat: ContextVar[Callable[[], None] | None] = ContextVar("beat", default=None)


def listen(beat: Callable[[], None]) -> None:
    """Have `beat` called for every sign of life of this task, and of those that it starts."""
    _beat.set(beat)


def getting_on() -> None:
    """Give a sign of life."""
    beat = _beat.get()
    if beat is not None:
        beat()
