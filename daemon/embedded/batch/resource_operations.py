"""The operations on compute environments and job queues.

Where this departs from AWS: what is created is VALID at once, and stays so unless it is made
INVALID on purpose (`BatchModel.set_invalid`). Networks, roles, images and keys are
recorded and otherwise without effect.
"""

from dataclasses import replace

from daemon.catalogue import InstanceType, UnknownInstanceTypeError, instance_type
from daemon.embedded.batch.descriptions import Document
from daemon.embedded.batch.errors import InvalidRequestError, NameTakenError, NotFoundError
from daemon.embedded.batch.fleet import Capacity, ComputeEnvironment
from daemon.embedded.batch.model import BatchModel
from daemon.embedded.batch.paging import describe_page
from daemon.embedded.batch.queues import JobQueue
from daemon.embedded.batch.rules import Parameters


def bare_name(reference: str) -> str:
    """The name in an ARN of a queue or an environment; a bare name is its own."""
    return reference.rpartition("/")[2] if reference.startswith("arn:") else reference


def find_queue(model: BatchModel, reference: str) -> JobQueue:
    """The job queue of a name or ARN."""
    queue = model.queues.get(bare_name(reference))
    if queue is None:
        raise NotFoundError(kind="Job queue", name=reference)
    return queue


def find_environment(model: BatchModel, reference: str) -> ComputeEnvironment:
    """The compute environment of a name or ARN."""
    environment = model.environments.get(bare_name(reference))
    if environment is None:
        raise NotFoundError(kind="Compute environment", name=reference)
    return environment


def create_environment(model: BatchModel, parameters: Parameters, now_seconds: float) -> Document:
    """CreateComputeEnvironment."""
    operation, name = "CreateComputeEnvironment", parameters["computeEnvironmentName"]
    if name in model.environments:
        raise NameTakenError(kind="Compute environment", name=name)
    resources = parameters["computeResources"]
    bounds = Capacity(
        min_vcpus=resources.get("minvCpus", 0),
        max_vcpus=resources["maxvCpus"],
        sizes=_sizes(operation, resources.get("instanceTypes", [])),
        enabled=parameters.get("state", "ENABLED") == "ENABLED",
    )
    desired_vcpus = resources.get("desiredvCpus", bounds.min_vcpus)
    _check_bounds(operation, bounds, desired_vcpus)
    environment = model.create_environment(name, bounds, parameters, now_seconds)
    environment.tags.update(parameters.get("tags", {}))
    model.update_environment(environment, bounds, desired_vcpus, now_seconds)
    return {"computeEnvironmentName": name, "computeEnvironmentArn": environment.arn}


def update_environment(model: BatchModel, parameters: Parameters, now_seconds: float) -> Document:
    """UpdateComputeEnvironment: bounds, state and instance types act at once.

    Instances of a size that is no longer listed stay until they are idle.
    """
    operation = "UpdateComputeEnvironment"
    environment = find_environment(model, parameters["computeEnvironment"])
    changes = parameters.get("computeResources", {})
    present = environment.capacity
    bounds = replace(
        present,
        min_vcpus=changes.get("minvCpus", present.min_vcpus),
        max_vcpus=changes.get("maxvCpus", present.max_vcpus),
        enabled=parameters.get("state", "ENABLED" if present.enabled else "DISABLED") == "ENABLED",
    )
    if "instanceTypes" in changes:
        bounds = replace(bounds, sizes=_sizes(operation, changes["instanceTypes"]))
    desired_vcpus = changes.get("desiredvCpus")
    if desired_vcpus is not None and desired_vcpus < environment.vcpus:
        problem = (
            f"desiredvCpus is {desired_vcpus} and {environment.vcpus} at present. Manually scaling "
            "down a compute environment is not supported; it shrinks by itself when idle"
        )
        raise InvalidRequestError(operation=operation, problem=problem)
    _check_bounds(operation, bounds, desired_vcpus)
    recorded = {name: changes[name] for name in changes if name != "updateToLatestImageVersion"}
    environment.request = {
        **environment.request,
        "computeResources": {**environment.request["computeResources"], **recorded},
        **({"serviceRole": parameters["serviceRole"]} if "serviceRole" in parameters else {}),
    }
    model.update_environment(environment, bounds, desired_vcpus or 0, now_seconds)
    return {
        "computeEnvironmentName": environment.name,
        "computeEnvironmentArn": environment.arn,
    }


def _sizes(operation: str, names: list[str]) -> tuple[InstanceType, ...]:
    try:
        sizes = tuple(instance_type(name) for name in names)
    except UnknownInstanceTypeError as error:
        raise InvalidRequestError(operation=operation, problem=str(error)) from None
    if not sizes:
        problem = "computeResources.instanceTypes is empty; name at least one size"
        raise InvalidRequestError(operation=operation, problem=problem)
    return sizes


def _check_bounds(operation: str, bounds: Capacity, desired_vcpus: int | None) -> None:
    between = (bounds.min_vcpus,) if desired_vcpus is None else (bounds.min_vcpus, desired_vcpus)
    ascending = (0, *between, bounds.max_vcpus)
    if list(ascending) != sorted(ascending):
        problem = (
            f"minvCpus {bounds.min_vcpus}, desiredvCpus {desired_vcpus} and maxvCpus "
            f"{bounds.max_vcpus} do not ascend; desiredvCpus must be between the other two"
        )
        raise InvalidRequestError(operation=operation, problem=problem)


def describe_environments(model: BatchModel, parameters: Parameters, _: float) -> Document:
    """DescribeComputeEnvironments: `desiredvCpus` is what runs or boots at present."""
    names = {bare_name(reference) for reference in parameters.get("computeEnvironments", ())}
    found = (one for one in model.environments.values() if not names or one.name in names)
    page, next_token = describe_page(found, parameters, "DescribeComputeEnvironments")
    return {
        "computeEnvironments": [_environment(environment, model) for environment in page],
        **next_token,
    }


def _environment(environment: ComputeEnvironment, model: BatchModel) -> Document:
    capacity, request = environment.capacity, environment.request
    resources = {
        **request["computeResources"],
        "minvCpus": capacity.min_vcpus,
        "maxvCpus": capacity.max_vcpus,
        "desiredvCpus": environment.vcpus,
    }
    return {
        "computeEnvironmentName": environment.name,
        "computeEnvironmentArn": environment.arn,
        "ecsClusterArn": model.arns.cluster(environment.name),
        "tags": environment.tags,
        "type": "MANAGED",
        "state": "ENABLED" if capacity.enabled else "DISABLED",
        "status": "VALID" if environment.invalid_reason is None else "INVALID",
        "statusReason": environment.invalid_reason or "ComputeEnvironment Healthy",
        "computeResources": resources,
        "serviceRole": request.get("serviceRole", ""),
        "containerOrchestrationType": "ECS",
    }


def create_queue(model: BatchModel, parameters: Parameters, _: float) -> Document:
    """CreateJobQueue."""
    name = parameters["jobQueueName"]
    if name in model.queues:
        raise NameTakenError(kind="Job queue", name=name)
    order = sorted(parameters["computeEnvironmentOrder"], key=lambda entry: int(entry["order"]))
    queue = model.create_queue(
        name,
        parameters["priority"],
        parameters.get("state", "ENABLED") == "ENABLED",
        tuple(find_environment(model, entry["computeEnvironment"]) for entry in order),
    )
    queue.tags.update(parameters.get("tags", {}))
    return {"jobQueueName": name, "jobQueueArn": queue.arn}


def describe_queues(model: BatchModel, parameters: Parameters, _: float) -> Document:
    """DescribeJobQueues."""
    names = {bare_name(reference) for reference in parameters.get("jobQueues", ())}
    queues = (queue for queue in model.queues.values() if not names or queue.name in names)
    page, next_token = describe_page(queues, parameters, "DescribeJobQueues")
    return {"jobQueues": [_queue(queue) for queue in page], **next_token}


def _queue(queue: JobQueue) -> Document:
    return {
        "jobQueueName": queue.name,
        "jobQueueArn": queue.arn,
        "state": "ENABLED" if queue.enabled else "DISABLED",
        "status": "VALID",
        "statusReason": "JobQueue Healthy",
        "priority": queue.priority,
        "computeEnvironmentOrder": [
            {"order": number, "computeEnvironment": environment.arn}
            for number, environment in enumerate(queue.environments, start=1)
        ],
        "jobQueueType": "ECS",
        "tags": queue.tags,
    }
