"""Batch's documented rules for requests, beyond the shapes that botocore knows.

A request that asks for something which the embedded Batch does not emulate is refused as well,
rather than answered as if it did.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from daemon.embedded.batch import limits
from daemon.embedded.batch.errors import InvalidRequestError, UnsupportedParameterError

Parameters = Mapping[str, Any]
"""A request that has the shape of its operation."""

UNSUPPORTED = {
    "CreateComputeEnvironment": ("unmanagedvCpus", "eksConfiguration"),
    "UpdateComputeEnvironment": ("unmanagedvCpus", "eksConfiguration", "updatePolicy"),
    "CreateJobQueue": (
        "schedulingPolicyArn",
        "serviceEnvironmentOrder",
        "jobStateTimeLimitActions",
    ),
    "RegisterJobDefinition": (
        "nodeProperties",
        "eksProperties",
        "ecsProperties",
        "consumableResourceProperties",
        "schedulingPriority",
    ),
    "SubmitJob": (
        "dependsOn",
        "shareIdentifier",
        "schedulingPriorityOverride",
        "nodeOverrides",
        "eksPropertiesOverride",
        "ecsPropertiesOverride",
        "consumableResourcePropertiesOverride",
    ),
    "ListJobs": ("multiNodeJobId",),
}
"""Parameters that ask for what is not emulated."""


def check(operation: str, parameters: Parameters, payload_bytes: int) -> None:
    """Refuse a request that breaks a rule; InvalidRequestError or UnsupportedParameterError."""
    for parameter in UNSUPPORTED.get(operation, ()):
        if parameters.get(parameter):
            raise UnsupportedParameterError(operation=operation, parameter=parameter)
    rules = _RULES.get(operation)
    if rules is not None:
        for problem in rules(parameters, payload_bytes):
            raise InvalidRequestError(operation=operation, problem=problem)


def _create_environment(parameters: Parameters, _: int) -> Iterator[str]:
    yield from _name("computeEnvironmentName", parameters["computeEnvironmentName"])
    if parameters["type"] != "MANAGED":
        yield "type must be MANAGED: the embedded Batch runs no instances of others"
    resources = parameters.get("computeResources")
    if resources is None:
        yield "computeResources is missing; a MANAGED compute environment needs it"
    elif resources["type"] not in ("EC2", "SPOT"):
        yield "computeResources.type must be EC2 or SPOT: NeuronCores are on instances"
    elif "scalingPolicy" in resources:
        yield "computeResources.scalingPolicy is not emulated; leave it out"


def _update_environment(parameters: Parameters, _: int) -> Iterator[str]:
    resources = parameters.get("computeResources", {})
    if resources.get("type", "EC2") not in ("EC2", "SPOT"):
        yield "computeResources.type must be EC2 or SPOT: NeuronCores are on instances"
    if "scalingPolicy" in resources:
        yield "computeResources.scalingPolicy is not emulated; leave it out"


def _create_queue(parameters: Parameters, _: int) -> Iterator[str]:
    yield from _name("jobQueueName", parameters["jobQueueName"])
    order = parameters.get("computeEnvironmentOrder", [])
    if not 1 <= len(order) <= limits.QUEUE_ENVIRONMENTS_MAX:
        yield (
            f"computeEnvironmentOrder has {len(order)} entries; "
            f"a queue has 1 to {limits.QUEUE_ENVIRONMENTS_MAX} compute environments"
        )
    if len({entry["order"] for entry in order}) < len(order):
        yield "two entries of computeEnvironmentOrder have the same order"


def _register(parameters: Parameters, payload_bytes: int) -> Iterator[str]:
    if payload_bytes > limits.DEFINITION_PAYLOAD_MAX_BYTES:
        yield _too_large(payload_bytes, limits.DEFINITION_PAYLOAD_MAX_BYTES)
    yield from _name("jobDefinitionName", parameters["jobDefinitionName"])
    if parameters["type"] != "container":
        yield "type must be container"
    container = parameters.get("containerProperties")
    if container is None:
        yield "containerProperties is missing"
        return
    if not container.get("image"):
        yield "containerProperties.image is missing"
    yield from _environment(container)
    yield from _resources(container)
    for kind, older in (("VCPU", "vcpus"), ("MEMORY", "memory")):
        required = [entry["type"] for entry in container.get("resourceRequirements", ())]
        if (kind in required) + (older in container) != 1:
            yield f"give {kind} once, in containerProperties.resourceRequirements"
    yield from _retry_and_timeout(parameters)


def _submit(parameters: Parameters, payload_bytes: int) -> Iterator[str]:
    if payload_bytes > limits.SUBMIT_PAYLOAD_MAX_BYTES:
        yield _too_large(payload_bytes, limits.SUBMIT_PAYLOAD_MAX_BYTES)
    if not re.fullmatch(limits.JOB_NAME_PATTERN, parameters["jobName"]):
        yield (
            f"jobName {parameters['jobName']!r} must be at most 128 letters, digits, '-' and '_', "
            "and begin with a letter or a digit"
        )
    size = parameters.get("arrayProperties", {}).get("size")
    if size is not None and not limits.ARRAY_SIZE_MIN <= size <= limits.ARRAY_SIZE_MAX:
        yield (
            f"arrayProperties.size is {size}; an array has {limits.ARRAY_SIZE_MIN} to "
            f"{limits.ARRAY_SIZE_MAX} children. Submit a single job without arrayProperties"
        )
    overrides = parameters.get("containerOverrides", {})
    for older in ("vcpus", "memory", "instanceType"):
        if older in overrides:
            yield f"containerOverrides.{older} has no effect; use resourceRequirements"
    if "" in overrides.get("command", ()):
        yield "containerOverrides.command contains an empty string"
    yield from _environment(overrides)
    yield from _resources(overrides)
    yield from _retry_and_timeout(parameters)


def _stop(parameters: Parameters, _: int) -> Iterator[str]:
    for name in ("jobId", "reason"):
        if not parameters[name]:
            yield f"{name} is empty"
    if len(parameters["reason"]) > limits.STOP_REASON_MAX_CHARACTERS:
        yield f"reason is longer than {limits.STOP_REASON_MAX_CHARACTERS} characters"


def _describe(list_name: str) -> Callable[[Parameters, int], Iterator[str]]:
    def rules(parameters: Parameters, _: int) -> Iterator[str]:
        asked = len(parameters.get(list_name, ()))
        if asked > limits.DESCRIBE_MAX:
            yield f"{list_name} has {asked} entries; ask for at most {limits.DESCRIBE_MAX} at once"
        if not 1 <= parameters.get("maxResults", 1) <= limits.DESCRIBE_MAX:
            yield f"maxResults must be between 1 and {limits.DESCRIBE_MAX}"

    return rules


def _list(parameters: Parameters, _: int) -> Iterator[str]:
    if ("jobQueue" in parameters) == ("arrayJobId" in parameters):
        yield "give either jobQueue or arrayJobId"
    if parameters.get("maxResults", 1) < 1:
        yield "maxResults must be at least 1"
    filters = parameters.get("filters", [])
    if len(filters) > 1:
        yield "only one filter can be used at a time"
    for entry in filters:
        name, values = entry.get("name"), entry.get("values", [])
        if name not in ("JOB_NAME", "JOB_DEFINITION", "BEFORE_CREATED_AT", "AFTER_CREATED_AT"):
            yield f"there is no filter {name!r}"
        elif not values:
            yield f"filter {name} has no values"
        elif name.endswith("_CREATED_AT") and not all(value.isdecimal() for value in values):
            yield f"filter {name} takes milliseconds since 1970, not {values}"


def _name(field: str, value: str) -> Iterator[str]:
    if not re.fullmatch(limits.NAME_PATTERN, value):
        yield f"{field} {value!r} must be 1 to 128 letters, digits, '-' and '_'"


def _too_large(payload_bytes: int, most_bytes: int) -> str:
    return f"the request has {payload_bytes} bytes; at most {most_bytes} are allowed"


def _environment(container: Parameters) -> Iterator[str]:
    for pair in container.get("environment", ()):
        if pair.get("name", "").startswith(limits.RESERVED_ENVIRONMENT_PREFIX):
            prefix = limits.RESERVED_ENVIRONMENT_PREFIX
            yield f"environment variable {pair['name']}: names with {prefix} are Batch's own"


def _resources(container: Parameters) -> Iterator[str]:
    least = {"VCPU": 1, "MEMORY": limits.MEMORY_MIN_MIB}
    older = {"VCPU": container.get("vcpus"), "MEMORY": container.get("memory")}
    entries = [
        (entry["type"], entry["value"]) for entry in container.get("resourceRequirements", ())
    ]
    entries += [(kind, str(value)) for kind, value in older.items() if value is not None]
    for kind, value in entries:
        if kind not in least:
            yield f"resource requirement {kind}: an Inf2 instance has none"
        elif not value.isdecimal() or int(value) < least[kind]:
            yield f"resource requirement {kind} is {value!r}; it must be at least {least[kind]}"


def _retry_and_timeout(parameters: Parameters) -> Iterator[str]:
    seconds = parameters.get("timeout", {}).get("attemptDurationSeconds")
    if seconds is not None and seconds < limits.TIMEOUT_MIN_SECONDS:
        yield (
            f"timeout.attemptDurationSeconds is {seconds}; "
            f"it must be at least {limits.TIMEOUT_MIN_SECONDS}"
        )
    strategy = parameters.get("retryStrategy", {})
    rules = strategy.get("evaluateOnExit", [])
    if rules and "attempts" not in strategy:
        yield "retryStrategy.evaluateOnExit needs retryStrategy.attempts"
    if not 1 <= strategy.get("attempts", 1) <= limits.ATTEMPTS_MAX:
        yield f"retryStrategy.attempts must be between 1 and {limits.ATTEMPTS_MAX}"
    if len(rules) > limits.EVALUATE_ON_EXIT_MAX:
        yield f"retryStrategy.evaluateOnExit has more than {limits.EVALUATE_ON_EXIT_MAX} rules"
    patterns = {
        "onReason": limits.REASON_PATTERN,
        "onStatusReason": limits.REASON_PATTERN,
        "onExitCode": limits.EXIT_CODE_PATTERN,
    }
    for rule in rules:
        if rule["action"].upper() not in ("RETRY", "EXIT"):
            yield f"evaluateOnExit.action is {rule['action']!r}; possible are RETRY and EXIT"
        for field, pattern in patterns.items():
            if not re.fullmatch(pattern, rule.get(field, "")):
                yield f"evaluateOnExit.{field} {rule[field]!r} must match {pattern}"


_RULES: dict[str, Callable[[Parameters, int], Iterator[str]]] = {
    "CreateComputeEnvironment": _create_environment,
    "UpdateComputeEnvironment": _update_environment,
    "CreateJobQueue": _create_queue,
    "RegisterJobDefinition": _register,
    "SubmitJob": _submit,
    "CancelJob": _stop,
    "TerminateJob": _stop,
    "DescribeJobs": _describe("jobs"),
    "DescribeComputeEnvironments": _describe("computeEnvironments"),
    "DescribeJobQueues": _describe("jobQueues"),
    "DescribeJobDefinitions": _describe("jobDefinitions"),
    "ListJobs": _list,
}
