"""SQS's API without a wire: a request goes in, an answer comes out, or a refusal is raised."""

from collections.abc import Callable

from daemon.embedded.sqs import message_operations as messages
from daemon.embedded.sqs import move_operations as moves
from daemon.embedded.sqs import queue_operations as queues
from daemon.embedded.sqs.context import Context, Document, Parameters
from daemon.embedded.sqs.errors import NotEmulatedError

Operation = Callable[[Context, Parameters, float], Document]
"""Answers a checked request at the present time."""

OPERATIONS: dict[str, Operation] = {
    "CancelMessageMoveTask": moves.cancel_move,
    "ChangeMessageVisibility": messages.change_visibility,
    "ChangeMessageVisibilityBatch": messages.change_visibility_batch,
    "CreateQueue": queues.create_queue,
    "DeleteMessage": messages.delete_message,
    "DeleteMessageBatch": messages.delete_message_batch,
    "DeleteQueue": queues.delete_queue,
    "GetQueueAttributes": queues.get_attributes,
    "GetQueueUrl": queues.get_queue_url,
    "ListDeadLetterSourceQueues": queues.list_sources,
    "ListMessageMoveTasks": moves.list_moves,
    "ListQueueTags": queues.list_tags,
    "ListQueues": queues.list_queues,
    "PurgeQueue": queues.purge_queue,
    "ReceiveMessage": messages.receive_message,
    "SendMessage": messages.send_message,
    "SendMessageBatch": messages.send_message_batch,
    "SetQueueAttributes": queues.set_attributes,
    "StartMessageMoveTask": moves.start_move,
    "TagQueue": queues.tag_queue,
    "UntagQueue": queues.untag_queue,
}
"""Every operation that is emulated; permissions are not, as any credentials are accepted."""


def perform(
    context: Context, operation: str, parameters: Parameters, now_seconds: float
) -> Document:
    """Answer one request; SqsError where SQS, or the embedded one, would refuse it.

    `parameters` have the shape of the operation (see `protocol`).
    """
    handler = OPERATIONS.get(operation)
    if handler is None:
        remedy = f"Use one of: {', '.join(OPERATIONS)}"
        raise NotEmulatedError(what=operation, remedy=remedy)
    context.model.advance(now_seconds)
    answer = handler(context, parameters, now_seconds)
    context.model.advance(now_seconds)
    return answer
