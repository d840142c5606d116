"""SQS in memory: the embedded SQS's own model behind the `Queue` port, by one process's line."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from daemon.aws.limits import QUEUE_BATCH_MAX
from daemon.aws.queue import all_failed
from daemon.embedded.sqs.errors import OverLimitError, SqsError
from daemon.embedded.sqs.messages import Delivery, MessageAttribute
from daemon.embedded.sqs.queue import Queue as QueueModel
from daemon.ports import Outgoing, QueueDepth, Received, Throttled, Unavailable
from daemon.simulation.clock import unix_seconds
from daemon.simulation.line import Line


class SharedQueue:
    """One queue, its clock, and those that wait at it.

    `skew_seconds` is how far the queue's clock is ahead of everybody's. `on_send` is told of every
    message that is taken up. `lost` says whether one is not, although its sender is told so: no
    queue of AWS does that, but events may get lost before it.
    """

    def __init__(
        self,
        model: QueueModel,
        on_send: Callable[[Outgoing], None] = lambda _: None,
        lost: Callable[[], bool] = lambda: False,
    ) -> None:
        self.model = model
        self.skew_seconds = 0.0
        self.arrived = asyncio.Event()
        self._on_send = on_send
        self._lost = lost

    def now_seconds(self) -> float:
        """The queue's own time."""
        return unix_seconds() + self.skew_seconds

    def send(self, message: Outgoing) -> str:
        """Take up a message; returns its id."""
        if self._lost():
            return ""
        attributes = {n: MessageAttribute("String", v) for n, v in message.attributes.items()}
        sent = self.model.send(message.body, attributes, self.now_seconds())
        self._on_send(message)
        self.arrived.set()
        return sent.message_id


class SimulatedQueue:
    """The `Queue` port; `on_delete` is told the message id of each delete that is carried out,
    `on_receive` of each message that is handed out.
    """

    def __init__(
        self,
        shared: SharedQueue,
        line: Line,
        on_delete: Callable[[str], None] = lambda _: None,
        on_receive: Callable[[Received], None] = lambda _: None,
    ) -> None:
        self._shared = shared
        self._line = line
        self._on_delete = on_delete
        self._on_receive = on_receive

    async def receive(
        self, max_messages: int, wait_seconds: int, visibility_seconds: int
    ) -> list[Received]:
        """Long-poll once; at most 10 messages, hidden from others for `visibility_seconds`."""
        until = unix_seconds() + wait_seconds
        while True:
            # The answer to a receive may be lost like any other: then its messages stay hidden.
            got = await self._line.call(
                "sqs", "ReceiveMessage", lambda: self._take(max_messages, visibility_seconds)
            )
            left_seconds = until - unix_seconds()
            if got or left_seconds <= 0:
                return got
            await self._wait(left_seconds)

    async def extend(self, receipt_handles: Sequence[str], seconds: int) -> set[str]:
        """Hide messages for `seconds` from now (0: show them). Returns the handles that failed."""

        def change(handle: str) -> None:
            self._shared.model.change_visibility(handle, seconds, self._shared.now_seconds())
            if seconds == 0:
                self._shared.arrived.set()

        return await self._each("ChangeMessageVisibilityBatch", receipt_handles, change)

    async def delete(self, receipt_handles: Sequence[str]) -> set[str]:
        """Delete messages. Returns the handles that failed."""

        def delete(handle: str) -> None:
            self._on_delete(self._shared.model.message_id(handle))
            self._shared.model.delete(handle, self._shared.now_seconds())

        return await self._each("DeleteMessageBatch", receipt_handles, delete)

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Send messages; returns once all are accepted."""
        for start in range(0, len(messages), QUEUE_BATCH_MAX):
            some = messages[start : start + QUEUE_BATCH_MAX]
            await self._line.call("sqs", "SendMessageBatch", partial(self._send, some))

    async def depth(self) -> QueueDepth:
        """How many messages there are."""
        counts = await self._line.call(
            "sqs",
            "GetQueueAttributes",
            lambda: self._shared.model.counts(self._shared.now_seconds()),
        )
        return QueueDepth(counts.visible, counts.in_flight)

    def _take(self, max_messages: int, visibility_seconds: int) -> list[Received]:
        most = min(max_messages, QUEUE_BATCH_MAX)
        try:
            got = self._shared.model.receive(most, self._shared.now_seconds(), visibility_seconds)
        except OverLimitError as error:
            raise Throttled("sqs", str(error), "OverLimit") from error
        received = [_received(delivery) for delivery in got]
        for message in received:
            self._on_receive(message)
        return received

    async def _wait(self, left_seconds: float) -> None:
        """Wait until a message may be there, or the poll is over."""
        shared = self._shared
        visible_at = shared.model.next_visible_at(shared.now_seconds())
        if visible_at is not None:
            left_seconds = min(left_seconds, max(0.01, visible_at - shared.now_seconds()))
        shared.arrived.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(left_seconds):
                await shared.arrived.wait()

    async def _each(
        self, operation: str, handles: Sequence[str], act: Callable[[str], None]
    ) -> set[str]:
        """Batch calls beside each other, in each of which single entries may fail."""
        batches = (
            handles[start : start + QUEUE_BATCH_MAX]
            for start in range(0, len(handles), QUEUE_BATCH_MAX)
        )
        return await all_failed(
            self._line.call("sqs", operation, partial(self._failed, some, act)) for some in batches
        )

    def _send(self, messages: Sequence[Outgoing]) -> None:
        refused = []
        for message in messages:
            try:
                self._shared.send(message)
            except SqsError as error:
                refused.append(str(error))
        if refused:
            raise Unavailable("sqs", f"messages were not accepted: {refused}")

    def _failed(self, handles: Sequence[str], act: Callable[[str], None]) -> set[str]:
        return {handle for handle in handles if not self._done(handle, act)}

    def _done(self, handle: str, act: Callable[[str], None]) -> bool:
        if self._line.fails(self._line.weather("sqs").entries_failed):
            return False
        try:
            act(handle)
        except SqsError:
            return False
        return True


def _received(delivery: Delivery) -> Received:
    return Received(
        message_id=delivery.message_id,
        receipt_handle=delivery.receipt_handle,
        body=delivery.body,
        receive_count=delivery.receive_count,
        attributes={name: str(one.value) for name, one in delivery.attributes.items()},
        sent_at=datetime.fromtimestamp(delivery.sent_at, UTC),
    )
