"""The operations on tasks that move dead letters back: start, list, cancel."""

from daemon.embedded.sqs import limits
from daemon.embedded.sqs.context import Context, Document, Parameters
from daemon.embedded.sqs.errors import InvalidParameterError
from daemon.embedded.sqs.moves import MoveStatus, MoveTask
from daemon.embedded.sqs.wire_messages import milliseconds


def start_move(context: Context, parameters: Parameters, now_seconds: float) -> Document:
    """StartMessageMoveTask."""
    rate = parameters.get("MaxNumberOfMessagesPerSecond")
    if rate is not None:
        _check("MaxNumberOfMessagesPerSecond", rate, limits.MOVES_PER_SECOND_MAX)
    task = context.model.start_move(
        parameters["SourceArn"], parameters.get("DestinationArn"), rate, now_seconds
    )
    return {"TaskHandle": task.handle}


def list_moves(context: Context, parameters: Parameters, _: float) -> Document:
    """ListMessageMoveTasks, the newest first."""
    most = parameters.get("MaxResults", 1)
    _check("MaxResults", most, limits.MOVE_TASKS_LISTED_MAX)
    tasks = context.model.move_tasks(parameters["SourceArn"])[:most]
    return {"Results": [_describe(task) for task in tasks]} if tasks else {}


def cancel_move(context: Context, parameters: Parameters, _: float) -> Document:
    """CancelMessageMoveTask."""
    task = context.model.cancel_move(parameters["TaskHandle"])
    return {"ApproximateNumberOfMessagesMoved": task.moved}


def _describe(task: MoveTask) -> Document:
    entry: Document = {
        "Status": str(task.status),
        "SourceArn": task.source_arn,
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.to_move,
        "StartedTimestamp": milliseconds(task.started_at),
    }
    if task.status is MoveStatus.RUNNING:
        entry["TaskHandle"] = task.handle
    if task.destination_arn is not None:
        entry["DestinationArn"] = task.destination_arn
    if task.rate is not None:
        entry["MaxNumberOfMessagesPerSecond"] = task.rate
    if task.failure is not None:
        entry["FailureReason"] = task.failure
    return entry


def _check(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        problem = f"Must be between 1 and {most}, if provided"
        raise InvalidParameterError(name=name, value=value, problem=problem)
