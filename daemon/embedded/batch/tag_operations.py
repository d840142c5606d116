"""The operations on tags: of compute environments, queues, job definitions and jobs."""

import re

from daemon.embedded.batch.descriptions import Document
from daemon.embedded.batch.errors import InvalidRequestError, NotFoundError
from daemon.embedded.batch.limits import TAGS_MAX
from daemon.embedded.batch.model import BatchModel
from daemon.embedded.batch.rules import Parameters

_ARN = re.compile(r"arn:aws:batch:[^:]*:[^:]*:(?P<kind>[a-z-]+)/(?P<name>.+)")


def tag(model: BatchModel, parameters: Parameters, _: float) -> Document:
    """TagResource: adds tags, and changes those of the same name."""
    tags = _tags(model, parameters["resourceArn"])
    number = len(tags.keys() | parameters["tags"].keys())
    if number > TAGS_MAX:
        problem = f"{number} tags are too many; a resource has at most {TAGS_MAX}"
        raise InvalidRequestError(operation="TagResource", problem=problem)
    tags.update(parameters["tags"])
    return {}


def untag(model: BatchModel, parameters: Parameters, _: float) -> Document:
    """UntagResource: names that are not there do not matter."""
    tags = _tags(model, parameters["resourceArn"])
    for name in parameters["tagKeys"]:
        tags.pop(name, None)
    return {}


def list_tags(model: BatchModel, parameters: Parameters, _: float) -> Document:
    """ListTagsForResource."""
    return {"tags": _tags(model, parameters["resourceArn"])}


def _tags(model: BatchModel, arn: str) -> dict[str, str]:
    """The tags of a resource, to be changed in place; an array's child has none of its own."""
    match = _ARN.fullmatch(arn)
    kind, name = (match["kind"], match["name"]) if match else ("", "")
    if kind == "job-definition":
        return model.definitions.resolve(arn).tags
    if kind == "compute-environment" and name in model.environments:
        return model.environments[name].tags
    if kind == "job-queue" and name in model.queues:
        return model.queues[name].tags
    job = model.jobs.find(name) if kind == "job" and ":" not in name else None
    if job is None:
        raise NotFoundError(kind="Resource", name=arn)
    return job.tags
