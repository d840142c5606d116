"""IAM's policies, as far as the stack's go: who may make which call."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

ACCOUNT = "123456789012"
"""moto's."""

ACTIONS_OF = {
    ("s3", "HeadObject"): "s3:GetObject",
    ("s3", "ListObjectsV2"): "s3:ListBucket",
    ("sqs", "DeleteMessageBatch"): "sqs:DeleteMessage",
    ("sqs", "SendMessageBatch"): "sqs:SendMessage",
    ("sqs", "ChangeMessageVisibilityBatch"): "sqs:ChangeMessageVisibility",
}
"""Where an action is not called like the operation.

Source: docs.aws.amazon.com/service-authorization/latest/reference
"""


@dataclass(frozen=True, slots=True)
class Call:
    """An action on some resources, all of which must be allowed."""

    action: str
    resources: tuple[str, ...]


def calls(folder: Path, who: str) -> set[Call]:
    """What was recorded of one kind of process."""
    lines = [
        line for file in folder.glob(f"{who}-*.jsonl") for line in file.read_text().splitlines()
    ]
    return {_call(*json.loads(line)) for line in set(lines)}


def _call(service: str, operation: str, parameters: Mapping[str, Any]) -> Call:
    action = ACTIONS_OF.get((service, operation), f"{service}:{operation}")
    if action == "s3:GetObject" and "VersionId" in parameters:
        action = "s3:GetObjectVersion"
    return Call(action, tuple(_resources(service, operation, parameters)))


def _resources(service: str, operation: str, parameters: Mapping[str, Any]) -> Iterable[str]:
    region = "us-east-1"
    if service == "s3":
        bucket = f"arn:aws:s3:::{parameters['Bucket']}"
        yield f"{bucket}/{parameters['Key']}" if "Key" in parameters else bucket
    elif service == "sqs":
        name = parameters["QueueUrl"].rpartition("/")[2]
        yield f"arn:aws:sqs:{region}:{ACCOUNT}:{name}"
    elif operation == "SubmitJob":
        batch = f"arn:aws:batch:{region}:{ACCOUNT}"
        yield f"{batch}:job-queue/{parameters['jobQueue']}"
        yield f"{batch}:job-definition/{parameters['jobDefinition']}"
    elif operation == "UpdateComputeEnvironment":
        name = parameters["computeEnvironment"]
        yield f"arn:aws:batch:{region}:{ACCOUNT}:compute-environment/{name}"
    else:
        yield "*"


def allows(document: Mapping[str, Any], call: Call) -> bool:
    """Whether a policy of Allow statements lets a call through."""
    return all(
        any(
            _matches(statement["Action"], call.action)
            and (statement["Resource"] == "*" or _matches(statement["Resource"], resource))
            for statement in document["Statement"]
        )
        for resource in call.resources
    )


def _matches(patterns: str | list[str], value: str) -> bool:
    listed = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatchcase(value, pattern) for pattern in listed)
