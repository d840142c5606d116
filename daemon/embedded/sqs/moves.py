"""Tasks that move dead letters back, or to another queue, at a rate.

A moved message is a new one, with another id and a new age (GUIDE,
sqs-configure-dead-letter-queue-redrive.html). Failures are AWS's (GUIDE,
troubleshooting-dlq-redrive.html). UNVERIFIED: how fast a task without a rate is; here, as fast as
any may be. Where this departs from AWS: a cancelled task stops at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from daemon.embedded.sqs import limits
from daemon.embedded.sqs.errors import SqsError
from daemon.embedded.sqs.messages import Message
from daemon.embedded.sqs.queue import Queue

SOURCE_UNKNOWN = "CouldNotDetermineMessageSource"
"""Failure of a task without a destination, at a message that no queue gave up."""

QUEUE_GONE = "AWS.SimpleQueueService.NonExistentQueue"
"""Failure of a task whose queue, or whose message's queue, was deleted."""


class MoveStatus(StrEnum):
    """How a task stands; a cancelled one is never seen CANCELLING."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


@dataclass(slots=True, eq=False)
class MoveTask:
    """Moves what is visible in a queue. `rate` is messages per second, where one was asked for."""

    handle: str
    source_arn: str
    destination_arn: str | None
    rate: int | None
    started_at: float
    to_move: int
    moved: int = 0
    status: MoveStatus = MoveStatus.RUNNING
    failure: str | None = None

    @property
    def next_move_at(self) -> float:
        """When the next message is to be moved."""
        return self.started_at + self.moved / (self.rate or limits.MOVES_PER_SECOND_MAX)

    def advance(self, find: Callable[[str], Queue | None], now_seconds: float) -> None:
        """Move what the rate allows by now; `find` finds queues by ARN."""
        while self.status is MoveStatus.RUNNING and self.next_move_at <= now_seconds:
            source = find(self.source_arn)
            if source is None:
                self._fail(QUEUE_GONE)
                return
            message = source.first_visible(now_seconds)
            if message is None:
                self.status = MoveStatus.COMPLETED
                return
            self._move(message, source, find, now_seconds)

    def cancel(self) -> None:
        """Move no more."""
        self.status = MoveStatus.CANCELLED

    def _move(
        self,
        message: Message,
        source: Queue,
        find: Callable[[str], Queue | None],
        now_seconds: float,
    ) -> None:
        target_arn = self.destination_arn or message.dead_letter_source
        if target_arn is None:
            self._fail(SOURCE_UNKNOWN)
            return
        target = find(target_arn)
        if target is None:
            self._fail(QUEUE_GONE)
            return
        try:
            target.send(
                message.body,
                message.attributes,
                now_seconds,
                trace_header=message.trace_header,
                group_id=message.group_id,
            )
        except SqsError as refusal:
            self._fail(str(refusal))
            return
        source.remove(message)
        self.moved += 1

    def _fail(self, failure: str) -> None:
        self.status = MoveStatus.FAILED
        self.failure = failure
