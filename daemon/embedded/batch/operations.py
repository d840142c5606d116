"""Batch's API without a wire: a request goes in, an answer comes out, or a refusal is raised."""

from collections.abc import Callable
from typing import Any

from daemon.embedded.batch import definition_operations as definitions
from daemon.embedded.batch import job_operations as jobs
from daemon.embedded.batch import resource_operations as resources
from daemon.embedded.batch import rules
from daemon.embedded.batch import tag_operations as tags
from daemon.embedded.batch.descriptions import Document
from daemon.embedded.batch.errors import NotEmulatedError
from daemon.embedded.batch.model import BatchModel

Operation = Callable[[BatchModel, rules.Parameters, float], Document]
"""Answers a checked request at the present time."""

OPERATIONS: dict[str, Operation] = {
    "CancelJob": jobs.cancel_job,
    "CreateComputeEnvironment": resources.create_environment,
    "CreateJobQueue": resources.create_queue,
    "DescribeComputeEnvironments": resources.describe_environments,
    "DescribeJobDefinitions": definitions.describe_definitions,
    "DescribeJobQueues": resources.describe_queues,
    "DescribeJobs": jobs.describe_jobs,
    "ListJobs": jobs.list_jobs,
    "ListTagsForResource": tags.list_tags,
    "RegisterJobDefinition": definitions.register_definition,
    "SubmitJob": jobs.submit_job,
    "TagResource": tags.tag,
    "TerminateJob": jobs.terminate_job,
    "UntagResource": tags.untag,
    "UpdateComputeEnvironment": resources.update_environment,
}
"""Every operation that is emulated."""


def perform(
    model: BatchModel,
    operation: str,
    parameters: dict[str, Any],
    payload_bytes: int,
    now_seconds: float,
) -> Document:
    """Answer one request; RefusedError where Batch, or the embedded one, would refuse it.

    `parameters` have the shape of the operation (see `protocol`); `payload_bytes` is how long the
    request was on the wire.
    """
    handler = OPERATIONS.get(operation)
    if handler is None:
        raise NotEmulatedError(operation=operation, emulated=", ".join(OPERATIONS))
    rules.check(operation, parameters, payload_bytes)
    return handler(model, parameters, now_seconds)
