"""What is to happen when: timers on whatever clock the owner lives by."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count


@dataclass(order=True, slots=True)
class Timer:
    """One thing to do at one time; `cancel` makes it never happen."""

    due_seconds: float
    number: int
    action: Callable[[float], None] | None = field(compare=False)

    def fire(self, now_seconds: float) -> None:
        """Do it now, unless it was cancelled."""
        if self.action is not None:
            self.action(now_seconds)

    def cancel(self) -> None:
        """Drop the action; harmless if it has happened already."""
        self.action = None


class Agenda:
    """Timers in the order they fall due; those due together fire in the order they were set."""

    def __init__(self) -> None:
        self._timers: list[Timer] = []
        self._numbers = count()

    def at(self, due_seconds: float, action: Callable[[float], None]) -> Timer:
        """Have `action(now_seconds)` called once that time has come."""
        timer = Timer(due_seconds, next(self._numbers), action)
        heapq.heappush(self._timers, timer)
        return timer

    def next_deadline(self) -> float | None:
        """When the next timer falls due; None if there is none."""
        while self._timers and self._timers[0].action is None:
            heapq.heappop(self._timers)
        return self._timers[0].due_seconds if self._timers else None

    def take_due(self, now_seconds: float) -> Timer | None:
        """Remove and return the first timer that is due; None if none is."""
        deadline = self.next_deadline()
        if deadline is None or deadline > now_seconds:
            return None
        return heapq.heappop(self._timers)
