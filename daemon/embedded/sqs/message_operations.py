"""The operations on messages: send, receive, delete and change visibility, one or in batches.

A receive answers at once; that a long poll waits is the service's part.
"""

import re
from collections.abc import Callable

from daemon.embedded.sqs import limits
from daemon.embedded.sqs.contents import size_bytes
from daemon.embedded.sqs.context import Context, Document, Parameters
from daemon.embedded.sqs.errors import (
    BatchEntryIdsNotDistinctError,
    BatchRequestTooLongError,
    EmptyBatchRequestError,
    InvalidBatchEntryIdError,
    InvalidParameterError,
    MissingParameterError,
    SqsError,
    TooManyEntriesError,
)
from daemon.embedded.sqs.queue import Queue
from daemon.embedded.sqs.wire_messages import (
    check_parameters,
    delivered,
    read_attributes,
    read_trace_header,
    sent,
    wanted_attributes,
)

Action = Callable[[Queue, Parameters, float], Document]
"""Does something to one queue, as one entry of a batch asks, and answers it."""


def send_message(context: Context, parameters: Parameters, now_seconds: float) -> Document:
    """SendMessage."""
    return _send(context.record(parameters).queue, parameters, now_seconds)


def send_message_batch(context: Context, parameters: Parameters, now_seconds: float) -> Document:
    """SendMessageBatch."""
    entries = _entries(parameters, "SendMessageBatch")
    total = sum(size_bytes(entry["MessageBody"], read_attributes(entry)) for entry in entries)
    if total > limits.MESSAGE_MAX_BYTES:
        raise BatchRequestTooLongError(most_bytes=limits.MESSAGE_MAX_BYTES, sent_bytes=total)
    return _each(context.record(parameters).queue, entries, _send, now_seconds)


def receive_message(context: Context, parameters: Parameters, now_seconds: float) -> Document:
    """ReceiveMessage, without waiting."""
    check_parameters(parameters)
    system_names = wanted_attributes(parameters)
    wait_seconds(context, parameters)
    deliveries = context.record(parameters).queue.receive(
        parameters.get("MaxNumberOfMessages", 1), now_seconds, parameters.get("VisibilityTimeout")
    )
    names = parameters.get("MessageAttributeNames", [])
    messages = [delivered(delivery, system_names, names) for delivery in deliveries]
    return {"Messages": messages} if messages else {}


def wait_seconds(context: Context, parameters: Parameters) -> int:
    """How long a receive may wait for a message."""
    wait = parameters.get("WaitTimeSeconds")
    if wait is None:
        return context.record(parameters).queue.settings.wait_seconds
    if not 0 <= wait <= limits.WAIT_MAX_SECONDS:
        problem = f"Must be >= 0 and <= {limits.WAIT_MAX_SECONDS}, if provided"
        raise InvalidParameterError(name="WaitTimeSeconds", value=wait, problem=problem)
    return int(wait)


def delete_message(context: Context, parameters: Parameters, now_seconds: float) -> Document:
    """DeleteMessage."""
    return _delete(context.record(parameters).queue, parameters, now_seconds)


def delete_message_batch(context: Context, parameters: Parameters, now_seconds: float) -> Document:
    """DeleteMessageBatch."""
    entries = _entries(parameters, "DeleteMessageBatch")
    return _each(context.record(parameters).queue, entries, _delete, now_seconds)


def change_visibility(context: Context, parameters: Parameters, now_seconds: float) -> Document:
    """ChangeMessageVisibility."""
    return _change(context.record(parameters).queue, parameters, now_seconds)


def change_visibility_batch(
    context: Context, parameters: Parameters, now_seconds: float
) -> Document:
    """ChangeMessageVisibilityBatch."""
    entries = _entries(parameters, "ChangeMessageVisibilityBatch")
    return _each(context.record(parameters).queue, entries, _change, now_seconds)


def _send(queue: Queue, parameters: Parameters, now_seconds: float) -> Document:
    check_parameters(parameters)
    body, attributes = parameters["MessageBody"], read_attributes(parameters)
    trace_header = read_trace_header(parameters)
    message = queue.send(
        body,
        attributes,
        now_seconds,
        parameters.get("DelaySeconds"),
        trace_header=None if trace_header is None else str(trace_header.value),
        group_id=parameters.get("MessageGroupId"),
    )
    return sent(message.message_id, body, attributes, trace_header)


def _delete(queue: Queue, parameters: Parameters, now_seconds: float) -> Document:
    queue.delete(parameters["ReceiptHandle"], now_seconds)
    return {}


def _change(queue: Queue, parameters: Parameters, now_seconds: float) -> Document:
    if "VisibilityTimeout" not in parameters:
        raise MissingParameterError(name="VisibilityTimeout")
    queue.change_visibility(
        parameters["ReceiptHandle"], parameters["VisibilityTimeout"], now_seconds
    )
    return {}


def _entries(parameters: Parameters, operation: str) -> list[Parameters]:
    """The entries of a batch; an SqsError where the batch is refused as a whole."""
    entries: list[Parameters] = parameters["Entries"]
    if not entries:
        raise EmptyBatchRequestError(operation=operation)
    if len(entries) > limits.BATCH_MAX:
        raise TooManyEntriesError(entries=len(entries))
    seen: set[str] = set()
    for entry in entries:
        entry_id = entry["Id"]
        if not re.fullmatch(limits.ENTRY_ID_PATTERN, entry_id):
            raise InvalidBatchEntryIdError(entry_id=entry_id)
        if entry_id in seen:
            raise BatchEntryIdsNotDistinctError(entry_id=entry_id)
        seen.add(entry_id)
    return entries


def _each(queue: Queue, entries: list[Parameters], action: Action, now_seconds: float) -> Document:
    """Do the action for each entry; what is refused fails alone."""
    successful: list[Document] = []
    failed: list[Document] = []
    for entry in entries:
        try:
            successful.append({"Id": entry["Id"], **action(queue, entry, now_seconds)})
        except SqsError as refusal:
            failed.append(
                {
                    "Id": entry["Id"],
                    "SenderFault": True,
                    "Code": refusal.shown_code(),
                    "Message": str(refusal),
                }
            )
    return {"Successful": successful, "Failed": failed}
