"""The request queue of a workload: a message comes to be when it is received, not when it arrives.

To whoever asks it, the queue holds what has arrived; in memory it holds what has been received and
is not deleted. So a backlog of a million costs its arrival times only.
"""

import random

from daemon.embedded.sqs import limits
from daemon.embedded.sqs.messages import Counts, Delivery
from daemon.embedded.sqs.queue import Queue
from daemon.embedded.sqs.settings import QueueSettings
from daemon.simulation.workload import Workload


class ArrivingQueue(Queue):
    """`began_at` is when the simulation began, in the queue's own Unix seconds."""

    def __init__(
        self, arn: str, source: random.Random, workload: Workload, began_at: float
    ) -> None:
        settings = QueueSettings(retention_seconds=limits.RETENTION_MAX_SECONDS)
        super().__init__(arn, source, settings)
        self.requests: dict[str, int] = {}
        """The requests whose messages are not deleted, by message id."""
        self._workload = workload
        self._began_at = began_at
        self._next = 0

    def receive(
        self, most: int, now_seconds: float, visibility_seconds: int | None = None
    ) -> list[Delivery]:
        """Deliver what came back first, then what has arrived."""
        self._advance(now_seconds)
        arrived = self._arrived(now_seconds)
        while self._next < arrived and len(self._visible) < most:
            at = self._began_at + self._workload.at_seconds[self._next]
            sent = self.send(self._workload.body(self._next), {}, at)
            self.requests[sent.message_id] = self._next
            self._next += 1
        return super().receive(most, now_seconds, visibility_seconds)

    def counts(self, now_seconds: float) -> Counts:
        """What has arrived counts as visible."""
        known = super().counts(now_seconds)
        waiting = self._arrived(now_seconds) - self._next
        return Counts(known.visible + waiting, known.in_flight, known.delayed)

    def next_visible_at(self, now_seconds: float) -> float | None:
        """The next arrival, if nothing is there before."""
        known = super().next_visible_at(now_seconds)
        if self._next >= len(self._workload):
            return known
        arrival = max(now_seconds, self._began_at + self._workload.at_seconds[self._next])
        return arrival if known is None else min(known, arrival)

    def _arrived(self, now_seconds: float) -> int:
        return self._workload.arrived_by(now_seconds - self._began_at)
