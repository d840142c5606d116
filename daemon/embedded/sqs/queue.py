"""One standard queue of SQS as a state machine, whoever asks it.

Every method takes the present time in Unix seconds; nothing happens between two calls that the next
one does not make up for. The time may jump: forward, it ends what has run out; backward, what has
become visible stays so, and what is hidden stays so until its time is reached again.

Without mishaps, messages are delivered in the order in which they became visible; SQS promises no
order. Deleting with the receipt handle of an earlier receive succeeds and deletes nothing: SQS says
that the message "might not be deleted" (API, API_DeleteMessage), and this is the worse of both.
Changing the visibility with such a handle, or after the visibility timeout, is MessageNotInflight,
as documented (API, API_ChangeMessageVisibility). UNVERIFIED: AWS has been seen to answer it with
success and to do nothing (github.com/localstack/localstack/pull/9632).

Where else this departs from AWS: a short poll finds every visible message, counts are exact, every
change holds at once, and the groups of fair queues are delivered without fairness.
"""

import random
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from daemon.embedded.sqs import contents, limits
from daemon.embedded.sqs.deadlines import Deadlines
from daemon.embedded.sqs.errors import (
    InvalidParameterError,
    MessageNotInflightError,
    OverLimitError,
    PurgeQueueInProgressError,
)
from daemon.embedded.sqs.messages import Counts, Delivery, Message, MessageAttribute, SentMessage
from daemon.embedded.sqs.mishaps import Mishaps
from daemon.embedded.sqs.receipts import Receipt, Receipts
from daemon.embedded.sqs.settings import QueueSettings

_KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Where a queue's messages go that have been received so often and are visible again."""

    queue: "Queue"
    receives_max: int


class Queue:
    """Messages that are visible, delayed, or in flight: received and hidden until a time.

    `source` is where ids, and the mishaps, come from: the same seed gives the same ones.
    `dead_letters` is where messages go that nobody could finish, if anywhere.
    """

    def __init__(
        self,
        arn: str,
        source: random.Random,
        settings: QueueSettings | None = None,
        *,
        mishaps: Mishaps | None = None,
        in_flight_max: int = limits.IN_FLIGHT_MAX,
    ) -> None:
        self.arn = arn
        self.settings = settings or QueueSettings()
        self.dead_letters: DeadLetters | None = None
        self._source = source
        self._mishaps = mishaps or Mishaps()
        self._in_flight_max = in_flight_max
        self._receipts = Receipts(source.randbytes(_KEY_BYTES))
        self._messages: dict[str, Message] = {}
        self._visible: OrderedDict[str, Message] = OrderedDict()
        self._delayed = Deadlines()
        self._hidden = Deadlines()
        self._ages = Deadlines()
        self._second_deliveries: deque[Message] = deque()
        self._purged_at: float | None = None
        self._given_up = 0

    @property
    def name(self) -> str:
        """The queue's own name, without region and account."""
        return self.arn.rpartition(":")[2]

    @property
    def given_up(self) -> int:
        """How many messages have become dead letters."""
        return self._given_up

    def send(
        self,
        body: str,
        attributes: Mapping[str, MessageAttribute],
        now_seconds: float,
        delay_seconds: int | None = None,
        *,
        trace_header: str | None = None,
        group_id: str | None = None,
    ) -> SentMessage:
        """Take up a message; MissingParameterError, InvalidParameterError or
        InvalidMessageContentsError where SQS would refuse it.
        """
        self._advance(now_seconds)
        contents.check(body, attributes, self.settings.message_max_bytes)
        delay = self.settings.delay_seconds if delay_seconds is None else delay_seconds
        _check_range("DelaySeconds", delay, 0, limits.DELAY_MAX_SECONDS)
        message_id = str(UUID(int=self._source.getrandbits(128), version=4))
        message = Message(message_id, body, attributes, now_seconds, trace_header, group_id)
        self._take_up(message)
        if delay > 0:
            self._delayed.set(message, now_seconds + delay)
        else:
            self._visible[message_id] = message
        return SentMessage(message_id)

    def receive(
        self, most: int, now_seconds: float, visibility_seconds: int | None = None
    ) -> list[Delivery]:
        """Deliver at most `most` visible messages and hide them; OverLimitError if too many are."""
        _check_range("MaxNumberOfMessages", most, 1, limits.BATCH_MAX)
        hidden_for = self.settings.visibility_seconds
        if visibility_seconds is not None:
            _check_range("VisibilityTimeout", visibility_seconds, 0, limits.VISIBILITY_MAX_SECONDS)
            hidden_for = visibility_seconds
        self._advance(now_seconds)
        room = self._in_flight_max - len(self._hidden)
        if room <= 0:
            raise OverLimitError(in_flight=len(self._hidden))
        chosen = self._choose(min(most, room))
        return [self._deliver(message, now_seconds, hidden_for) for message in chosen]

    def change_visibility(self, receipt_handle: str, seconds: int, now_seconds: float) -> None:
        """Hide a message in flight for so long from now; 0 makes it visible.

        ReceiptHandleIsInvalidError, MessageNotInflightError, or InvalidParameterError where the
        time is out of range, the message is gone, or would be hidden for more than 12 hours since
        it was received.
        """
        _check_range("VisibilityTimeout", seconds, 0, limits.VISIBILITY_MAX_SECONDS)
        self._advance(now_seconds)
        receipt = self._receipts.read(receipt_handle)
        message = self._messages.get(receipt.message_id)
        if message is None:
            problem = "Message does not exist or is not available for visibility timeout change"
            raise InvalidParameterError(name="ReceiptHandle", value=receipt_handle, problem=problem)
        if message.receive_count != receipt.receive_count or message.message_id not in self._hidden:
            raise MessageNotInflightError
        if now_seconds + seconds - message.received_at > limits.VISIBILITY_MAX_SECONDS:
            most = limits.VISIBILITY_MAX_SECONDS
            problem = (
                f"Total VisibilityTimeout for the message is beyond the limit [{most} seconds]"
            )
            raise InvalidParameterError(name="VisibilityTimeout", value=seconds, problem=problem)
        if seconds == 0:
            self._hidden.drop(message.message_id)
            self._visible[message.message_id] = message
        else:
            self._hidden.set(message, now_seconds + seconds)

    def delete(self, receipt_handle: str, now_seconds: float) -> None:
        """Delete a message; one that is gone, or has been received again, does not matter.

        ReceiptHandleIsInvalidError for what is no receipt handle of this queue.
        """
        self._advance(now_seconds)
        receipt = self._receipts.read(receipt_handle)
        message = self._messages.get(receipt.message_id)
        if message is None or message.receive_count != receipt.receive_count:
            return
        if not message.came_back and self._happens(self._mishaps.deleted_in_vain):
            message.came_back = True
            return
        self._forget(message)

    def purge(self, now_seconds: float) -> None:
        """Delete all messages; PurgeQueueInProgressError within 60 s of the last time."""
        if self._purged_at is not None:
            since = now_seconds - self._purged_at
            if 0 <= since < limits.PURGE_PERIOD_SECONDS:
                raise PurgeQueueInProgressError(queue=self.name)
        self._purged_at = now_seconds
        self._messages.clear()
        self._visible.clear()
        self._second_deliveries.clear()
        for deadlines in (self._delayed, self._hidden, self._ages):
            deadlines.clear()

    def counts(self, now_seconds: float) -> Counts:
        """How many messages there are."""
        self._advance(now_seconds)
        return Counts(len(self._visible), len(self._hidden), len(self._delayed))

    def next_visible_at(self, now_seconds: float) -> float | None:
        """When a message can be received: now, or in time; None if only a call can change things.

        What is received may still be nothing, where the messages become dead letters.
        """
        self._advance(now_seconds)
        if len(self._hidden) >= self._in_flight_max:
            return self._hidden.first()
        if self._visible or self._second_deliveries:
            return now_seconds
        times = [self._delayed.first(), self._hidden.first()]
        return min((time for time in times if time is not None), default=None)

    def first_visible(self, now_seconds: float) -> Message | None:
        """The message whose turn it is; None if none is visible."""
        self._advance(now_seconds)
        return next(iter(self._visible.values()), None)

    def remove(self, message: Message) -> None:
        """Take out a message that has been moved elsewhere."""
        self._forget(message)

    def accept_dead_letter(self, message: Message, source_arn: str) -> None:
        """Take up another queue's message: it keeps its id, its counts and its age."""
        message.dead_letter_source = source_arn
        self._take_up(message)
        self._visible[message.message_id] = message

    def _advance(self, now_seconds: float) -> None:
        """Do all that has fallen due."""
        while expired := self._ages.take_due(now_seconds - self.settings.retention_seconds):
            self._forget(expired)
        for deadlines in (self._delayed, self._hidden):
            while message := deadlines.take_due(now_seconds):
                self._visible[message.message_id] = message

    def _choose(self, most: int) -> list[Message]:
        """The messages to deliver; what has been received too often goes to the dead letters."""
        chosen = self._choose_second_deliveries(most)
        while len(chosen) < most and self._visible:
            if self._happens(self._mishaps.out_of_order):
                self._visible.move_to_end(next(iter(self._visible)))
            _, message = self._visible.popitem(last=False)
            if self._gives_up(message):
                self._forget(message)
            else:
                chosen.append(message)
        return chosen

    def _choose_second_deliveries(self, most: int) -> list[Message]:
        chosen: list[Message] = []
        while len(chosen) < most and self._second_deliveries:
            message = self._second_deliveries.popleft()
            if message.message_id in self._hidden:
                chosen.append(message)
        return chosen

    def _gives_up(self, message: Message) -> bool:
        """Hand a message that has been received too often to the dead letters."""
        letters = self.dead_letters
        if letters is None or message.receive_count < letters.receives_max:
            return False
        letters.queue.accept_dead_letter(message, self.arn)
        self._given_up += 1
        return True

    def _deliver(self, message: Message, now_seconds: float, hidden_for: int) -> Delivery:
        message.receive_count += 1
        message.received_at = now_seconds
        if message.receive_count == 1:
            message.first_received_at = now_seconds
        self._hidden.set(message, now_seconds + hidden_for)
        if self._happens(self._mishaps.delivered_twice):
            self._second_deliveries.append(message)
        return Delivery(
            message_id=message.message_id,
            receipt_handle=self._receipts.write(Receipt(message.message_id, message.receive_count)),
            body=message.body,
            attributes=message.attributes,
            receive_count=message.receive_count,
            sent_at=message.sent_at,
            first_received_at=message.first_received_at,
            trace_header=message.trace_header,
            group_id=message.group_id,
            dead_letter_source=message.dead_letter_source,
        )

    def _take_up(self, message: Message) -> None:
        self._messages[message.message_id] = message
        self._ages.set(message, message.sent_at)

    def _forget(self, message: Message) -> None:
        message_id = message.message_id
        self._messages.pop(message_id, None)
        self._visible.pop(message_id, None)
        for deadlines in (self._delayed, self._hidden, self._ages):
            deadlines.drop(message_id)

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self._source.random() < probability


def _check_range(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        problem = f"Must be between {least} and {most}, if provided"
        raise InvalidParameterError(name=name, value=value, problem=problem)
