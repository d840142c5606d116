"""The operations on job definitions."""

from collections.abc import Iterable

from daemon.embedded.batch.definitions import JobDefinition
from daemon.embedded.batch.descriptions import Document
from daemon.embedded.batch.errors import NotFoundError
from daemon.embedded.batch.model import BatchModel
from daemon.embedded.batch.paging import describe_page
from daemon.embedded.batch.rules import Parameters

RECORDED = (
    "type",
    "parameters",
    "retryStrategy",
    "containerProperties",
    "timeout",
    "propagateTags",
    "platformCapabilities",
)
"""What DescribeJobDefinitions shows as it was registered."""


def register_definition(model: BatchModel, parameters: Parameters, _: float) -> Document:
    """RegisterJobDefinition: every call makes a new revision."""
    definition = model.definitions.register(parameters)
    return {
        "jobDefinitionName": definition.name,
        "jobDefinitionArn": definition.arn,
        "revision": definition.revision,
    }


def describe_definitions(model: BatchModel, parameters: Parameters, _: float) -> Document:
    """DescribeJobDefinitions, all of them ACTIVE: deregistering is not emulated."""
    page, next_token = describe_page(
        _chosen(model, parameters), parameters, "DescribeJobDefinitions"
    )
    return {"jobDefinitions": [_definition(definition) for definition in page], **next_token}


def _chosen(model: BatchModel, parameters: Parameters) -> Iterable[JobDefinition]:
    if parameters.get("status", "ACTIVE") != "ACTIVE":
        return
    if "jobDefinitions" in parameters:
        for reference in parameters["jobDefinitions"]:
            try:
                yield model.definitions.resolve(reference)
            except NotFoundError:
                continue
    else:
        name = parameters.get("jobDefinitionName")
        for definition in model.definitions.all():
            if name in (None, definition.name):
                yield definition


def _definition(definition: JobDefinition) -> Document:
    request = definition.request
    return {
        "jobDefinitionName": definition.name,
        "jobDefinitionArn": definition.arn,
        "revision": definition.revision,
        "status": "ACTIVE",
        "containerOrchestrationType": "ECS",
        "tags": definition.tags,
        **{name: request[name] for name in RECORDED if name in request},
    }
