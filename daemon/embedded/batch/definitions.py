"""Job definitions, and what a job becomes when one of them is submitted.

Where this departs from AWS: a `Ref::` placeholder is replaced where it is a whole argument of the
command, as in all of AWS's examples; what AWS does with one inside a longer argument is UNVERIFIED.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from daemon.embedded.batch.arns import Arns
from daemon.embedded.batch.errors import NotFoundError
from daemon.embedded.batch.retry import ExitRule, RetryAction, RetryStrategy

_REFERENCE = re.compile(r"(?:arn:.*:job-definition/)?(?P<name>[^:/]+)(?::(?P<revision>\d+))?")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a job reserves on an instance."""

    vcpus: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class JobDefinition:
    """One revision of a job definition; `request` is what it was registered with."""

    name: str
    revision: int
    arn: str
    request: Mapping[str, Any]
    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class JobSpec:
    """All that a job, or each child of an array, is to run with.

    `container` is the definition's containerProperties with the submission's overrides applied,
    in the protocol's own form; the image in it is recorded and never pulled.
    """

    name: str
    queue: str
    definition: JobDefinition
    container: Mapping[str, Any]
    parameters: Mapping[str, str]
    retry: RetryStrategy
    timeout_seconds: int | None
    propagate_tags: bool

    @property
    def shape(self) -> Shape:
        """What the job reserves."""
        return requested_shape(self.container)

    @property
    def command(self) -> tuple[str, ...]:
        """The command with its `Ref::` placeholders filled in."""
        return tuple(
            self.parameters.get(part.removeprefix("Ref::"), part)
            if part.startswith("Ref::")
            else part
            for part in self.container.get("command", ())
        )

    @property
    def environment(self) -> dict[str, str]:
        """The container's environment variables."""
        pairs = self.container.get("environment", ())
        return {pair["name"]: pair.get("value", "") for pair in pairs if "name" in pair}


class Definitions:
    """Every job definition by name and revision."""

    def __init__(self, arns: Arns) -> None:
        self._arns = arns
        self._revisions: dict[str, list[JobDefinition]] = {}

    def register(self, request: Mapping[str, Any]) -> JobDefinition:
        """Add a revision, numbered from 1; a checked RegisterJobDefinition request."""
        name = request["jobDefinitionName"]
        revisions = self._revisions.setdefault(name, [])
        revision = len(revisions) + 1
        arn = self._arns.job_definition(name, revision)
        definition = JobDefinition(name, revision, arn, request, dict(request.get("tags", {})))
        revisions.append(definition)
        return definition

    def resolve(self, reference: str) -> JobDefinition:
        """Find `name`, `name:revision` or an ARN with or without revision; latest by default."""
        match = _REFERENCE.fullmatch(reference)
        revisions = self._revisions.get(match["name"], []) if match else []
        number = int(match["revision"] or len(revisions)) if match else 0
        if not 1 <= number <= len(revisions):
            raise NotFoundError(kind="Job definition", name=reference)
        return revisions[number - 1]

    def all(self) -> Iterable[JobDefinition]:
        """Every revision of every name."""
        return chain.from_iterable(self._revisions.values())


def requested_shape(container: Mapping[str, Any]) -> Shape:
    """Read vCPUs and memory from `resourceRequirements`, or from the older `vcpus`, `memory`."""
    required = {item["type"]: item["value"] for item in container.get("resourceRequirements", ())}
    return Shape(
        vcpus=int(required.get("VCPU", container.get("vcpus", 0))),
        memory_mib=int(required.get("MEMORY", container.get("memory", 0))),
    )


def retry_strategy(request: Mapping[str, Any]) -> RetryStrategy:
    """Read a checked `retryStrategy`; one attempt where it says nothing."""
    rules = tuple(
        ExitRule(
            RetryAction(rule["action"].upper()),
            on_exit_code=rule.get("onExitCode"),
            on_reason=rule.get("onReason"),
            on_status_reason=rule.get("onStatusReason"),
        )
        for rule in request.get("evaluateOnExit", ())
    )
    return RetryStrategy(request.get("attempts", 1), rules)


def job_spec(definition: JobDefinition, submission: Mapping[str, Any], queue: str) -> JobSpec:
    """Apply a checked SubmitJob request to the definition that it names."""
    registered = definition.request
    timeout = submission.get("timeout", registered.get("timeout", {}))
    retry = submission.get("retryStrategy", registered.get("retryStrategy", {}))
    return JobSpec(
        name=submission["jobName"],
        queue=queue,
        definition=definition,
        container=_override(
            registered["containerProperties"], submission.get("containerOverrides", {})
        ),
        parameters={**registered.get("parameters", {}), **submission.get("parameters", {})},
        retry=retry_strategy(retry),
        timeout_seconds=timeout.get("attemptDurationSeconds"),
        propagate_tags=submission.get("propagateTags", registered.get("propagateTags", False)),
    )


def _override(container: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(container)
    if "command" in overrides:
        merged["command"] = overrides["command"]
    for field, identity in (("environment", "name"), ("resourceRequirements", "type")):
        entries = [*container.get(field, ()), *overrides.get(field, ())]
        merged[field] = list({entry.get(identity): entry for entry in entries}.values())
    return merged
