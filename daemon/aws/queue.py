"""An SQS queue behind the dispatcher's `Queue` port."""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from daemon.aws.calls import Calls
from daemon.aws.limits import MESSAGE_BATCH_MAX_BYTES, QUEUE_BATCH_MAX, attribute_bytes
from daemon.ports import Outgoing, QueueDepth, Received, Refused, Unavailable


class SqsQueue:
    """One queue, by URL. A batch call's partial failures are told to the caller."""

    def __init__(self, sqs: Any, url: str, calls: Calls | None = None) -> None:
        self._sqs = sqs
        self._url = url
        self._calls = calls or Calls()

    async def receive(
        self, max_messages: int, wait_seconds: int, visibility_seconds: int
    ) -> list[Received]:
        """Long-poll once; at most 10 messages, hidden from others for `visibility_seconds`."""
        answer = await self._calls.make(
            "sqs",
            "ReceiveMessage",
            lambda: self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(max_messages, QUEUE_BATCH_MAX),
                WaitTimeSeconds=wait_seconds,
                VisibilityTimeout=visibility_seconds,
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
                MessageAttributeNames=["All"],
            ),
        )
        return [_received(message) for message in answer.get("Messages", [])]

    async def extend(self, receipt_handles: Sequence[str], seconds: int) -> set[str]:
        """Hide messages for `seconds` from now (0: show them). Returns the handles that failed."""
        return await self._in_batches(
            "ChangeMessageVisibilityBatch",
            self._sqs.change_message_visibility_batch,
            [{"ReceiptHandle": h, "VisibilityTimeout": seconds} for h in receipt_handles],
        )

    async def delete(self, receipt_handles: Sequence[str]) -> set[str]:
        """Delete messages. Returns the handles that failed."""
        return await self._in_batches(
            "DeleteMessageBatch",
            self._sqs.delete_message_batch,
            [{"ReceiptHandle": h} for h in receipt_handles],
        )

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Send messages; returns once all are accepted, raises `Unavailable` otherwise."""
        for batch in _within_limits(messages):
            request = {
                "QueueUrl": self._url,
                "Entries": [_entry(number, message) for number, message in enumerate(batch)],
            }
            answer = await self._calls.make(
                "sqs", "SendMessageBatch", partial(self._sqs.send_message_batch, **request)
            )
            if answer.get("Failed"):
                raise Unavailable("sqs", f"messages were not accepted: {answer['Failed']}")

    async def depth(self) -> QueueDepth:
        """Roughly how many messages there are."""
        answer = await self._calls.make(
            "sqs",
            "GetQueueAttributes",
            lambda: self._sqs.get_queue_attributes(
                QueueUrl=self._url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesNotVisible",
                ],
            ),
        )
        counts = answer["Attributes"]
        return QueueDepth(
            int(counts["ApproximateNumberOfMessages"]),
            int(counts["ApproximateNumberOfMessagesNotVisible"]),
        )

    async def _in_batches(
        self, operation: str, call: Any, entries: Sequence[dict[str, Any]]
    ) -> set[str]:
        batches = [
            entries[start : start + QUEUE_BATCH_MAX]
            for start in range(0, len(entries), QUEUE_BATCH_MAX)
        ]
        return await all_failed(self._batch(operation, call, batch) for batch in batches)

    async def _batch(
        self, operation: str, call: Any, entries: Sequence[dict[str, Any]]
    ) -> set[str]:
        handles = {str(number): entry["ReceiptHandle"] for number, entry in enumerate(entries)}
        numbered = [{"Id": str(number), **entry} for number, entry in enumerate(entries)]
        try:
            answer = await self._calls.make(
                "sqs", operation, lambda: call(QueueUrl=self._url, Entries=numbered)
            )
        except Refused as refusal:
            # A handle that is no handle refuses the batch as a whole.
            if refusal.code == "ReceiptHandleIsInvalid":
                return set(handles.values())
            raise
        return {handles[failure["Id"]] for failure in answer.get("Failed", [])}


async def all_failed(batches: Iterable[Awaitable[set[str]]]) -> set[str]:
    """The handles that failed in any of the batches. All are tried, even when one raises."""
    ends = await asyncio.gather(*batches, return_exceptions=True)
    failed: set[str] = set()
    for end in ends:
        if isinstance(end, BaseException):
            raise end
        failed |= end
    return failed


def _received(message: dict[str, Any]) -> Received:
    system = message["Attributes"]
    return Received(
        message["MessageId"],
        message["ReceiptHandle"],
        message["Body"],
        int(system["ApproximateReceiveCount"]),
        datetime.fromtimestamp(int(system["SentTimestamp"]) / 1000, UTC),
        # Only text: a producer's binary attributes mean nothing here.
        {
            name: attribute["StringValue"]
            for name, attribute in message.get("MessageAttributes", {}).items()
            if "StringValue" in attribute
        },
    )


def _entry(number: int, message: Outgoing) -> dict[str, Any]:
    return {
        "Id": str(number),
        "MessageBody": message.body,
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value}
            for name, value in message.attributes.items()
        },
    }


def _within_limits(messages: Sequence[Outgoing]) -> Iterator[list[Outgoing]]:
    """Batches of at most ten messages and one mebibyte."""
    batch: list[Outgoing] = []
    size = 0
    for message in messages:
        weight = len(message.body.encode()) + sum(
            attribute_bytes(name, value) for name, value in message.attributes.items()
        )
        if batch and (len(batch) == QUEUE_BATCH_MAX or size + weight > MESSAGE_BATCH_MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += weight
    if batch:
        yield batch
