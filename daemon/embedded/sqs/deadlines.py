"""Messages by the time at which something is to happen to each."""

import heapq
from itertools import count

from daemon.embedded.sqs.messages import Message

SPARE_ENTRIES = 64
"""So many forgotten entries are never worth a clean-up."""


class Deadlines:
    """At most one time for each message. Everything costs O(log n), `len` and `in` O(1)."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Message]] = []
        self._numbers = count()
        self._current: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._current)

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._current

    def set(self, message: Message, due_seconds: float) -> None:
        """Give the message a time; an earlier one is forgotten."""
        number = next(self._numbers)
        self._current[message.message_id] = number
        heapq.heappush(self._heap, (due_seconds, number, message))
        self._clean_up()

    def drop(self, message_id: str) -> None:
        """Forget the message; one without a time does not matter."""
        if self._current.pop(message_id, None) is not None:
            self._clean_up()

    def clear(self) -> None:
        """Forget all."""
        self._heap.clear()
        self._current.clear()

    def first(self) -> float | None:
        """The earliest time; None if there is none."""
        while self._heap and not self._stands(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, now_seconds: float) -> Message | None:
        """Forget and return the message whose time came first; None if none has come."""
        first = self.first()
        if first is None or first > now_seconds:
            return None
        message = heapq.heappop(self._heap)[2]
        del self._current[message.message_id]
        return message

    def _stands(self, entry: tuple[float, int, Message]) -> bool:
        return self._current.get(entry[2].message_id) == entry[1]

    def _clean_up(self) -> None:
        """Drop forgotten entries once they are the most, so that they never pile up."""
        if len(self._heap) > 2 * len(self._current) + SPARE_ENTRIES:
            self._heap = [entry for entry in self._heap if self._stands(entry)]
            heapq.heapify(self._heap)
