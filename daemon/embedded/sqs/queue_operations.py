"""The operations on queues: create, find, list, describe, change, purge, delete, tag."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from daemon.embedded.sqs import limits, settings
from daemon.embedded.sqs.context import Context, Document, Parameters
from daemon.embedded.sqs.errors import (
    InvalidAttributeNameError,
    InvalidParameterError,
    QueueDoesNotExistError,
)
from daemon.embedded.sqs.model import QueueRecord

COUNTS = {
    "ApproximateNumberOfMessages": "visible",
    "ApproximateNumberOfMessagesNotVisible": "in_flight",
    "ApproximateNumberOfMessagesDelayed": "delayed",
}
"""Attributes that count messages, by the field of `Counts`."""

DESCRIBED = frozenset({*COUNTS, "CreatedTimestamp", "LastModifiedTimestamp", "QueueArn"})
"""Attributes that are described and cannot be set."""


def create_queue(context: Context, parameters: Parameters, now_seconds: float) -> Document:
    """CreateQueue."""
    queue = context.model.create(
        parameters["QueueName"],
        parameters.get("Attributes", {}),
        parameters.get("tags", {}),
        now_seconds,
    )
    return {"QueueUrl": context.url(queue.name)}


def get_queue_url(context: Context, parameters: Parameters, _: float) -> Document:
    """GetQueueUrl."""
    name = parameters["QueueName"]
    if parameters.get("QueueOwnerAWSAccountId", context.account.number) != context.account.number:
        raise QueueDoesNotExistError(queue=name)
    return {"QueueUrl": context.url(context.named(name).queue.name)}


def list_queues(context: Context, parameters: Parameters, _: float) -> Document:
    """ListQueues."""
    prefix = parameters.get("QueueNamePrefix", "")
    names = sorted(name for name in context.model.queues if name.startswith(prefix))
    page, next_token = _page(names, parameters)
    urls = [context.url(name) for name in page]
    return {"QueueUrls": urls, **next_token} if urls else {}


def list_sources(context: Context, parameters: Parameters, _: float) -> Document:
    """ListDeadLetterSourceQueues."""
    arn = context.record(parameters).queue.arn
    page, next_token = _page(list(context.model.sources(arn)), parameters)
    return {"queueUrls": [context.url(name) for name in page], **next_token}


def get_attributes(context: Context, parameters: Parameters, now_seconds: float) -> Document:
    """GetQueueAttributes."""
    wanted = parameters.get("AttributeNames", [])
    for name in wanted:
        known = name in DESCRIBED or name in settings.SETTABLE or name in settings.UNSUPPORTED
        if name != "All" and not known:
            raise InvalidAttributeNameError(name=name)
    attributes = _describe(context.record(parameters), now_seconds)
    if "All" not in wanted:
        attributes = {name: value for name, value in attributes.items() if name in wanted}
    return {"Attributes": attributes} if attributes else {}


def set_attributes(context: Context, parameters: Parameters, now_seconds: float) -> Document:
    """SetQueueAttributes."""
    context.model.change(context.record(parameters), parameters["Attributes"], now_seconds)
    return {}


def purge_queue(context: Context, parameters: Parameters, now_seconds: float) -> Document:
    """PurgeQueue."""
    context.record(parameters).queue.purge(now_seconds)
    return {}


def delete_queue(context: Context, parameters: Parameters, now_seconds: float) -> Document:
    """DeleteQueue."""
    context.model.delete(context.record(parameters).queue.name, now_seconds)
    return {}


def tag_queue(context: Context, parameters: Parameters, _: float) -> Document:
    """TagQueue: adds tags, and changes those of the same name."""
    context.record(parameters).tags.update(parameters["Tags"])
    return {}


def untag_queue(context: Context, parameters: Parameters, _: float) -> Document:
    """UntagQueue: names that are not there do not matter."""
    for name in parameters["TagKeys"]:
        context.record(parameters).tags.pop(name, None)
    return {}


def list_tags(context: Context, parameters: Parameters, _: float) -> Document:
    """ListQueueTags."""
    tags = context.record(parameters).tags
    return {"Tags": dict(tags)} if tags else {}


def _describe(record: QueueRecord, now_seconds: float) -> dict[str, str]:
    counts = record.queue.counts(now_seconds)
    return {
        "QueueArn": record.queue.arn,
        "CreatedTimestamp": str(int(record.created_at)),
        "LastModifiedTimestamp": str(int(record.modified_at)),
        **{name: str(getattr(counts, field)) for name, field in COUNTS.items()},
        **dict(settings.describe(record.queue.settings)),
    }


def _page(names: Sequence[str], parameters: Parameters) -> tuple[Iterable[str], Document]:
    """One page of names in their order; a token holds the last name that was handed out."""
    most = parameters.get("MaxResults", limits.LIST_MAX)
    if not 1 <= most <= limits.LIST_MAX:
        problem = f"Must be between 1 and {limits.LIST_MAX}, if provided"
        raise InvalidParameterError(name="MaxResults", value=most, problem=problem)
    start = 0
    if token := parameters.get("NextToken"):
        try:
            start = bisect_right(names, urlsafe_b64decode(token.encode()).decode())
        except ValueError:
            problem = "It is none that this service gave out"
            raise InvalidParameterError(name="NextToken", value=token, problem=problem) from None
    page = names[start : start + most]
    if "MaxResults" not in parameters or start + most >= len(names):
        return page, {}
    return page, {"NextToken": urlsafe_b64encode(page[-1].encode()).decode()}
