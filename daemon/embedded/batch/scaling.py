"""When the fleet grows: pure functions of waiting jobs and of the environments as they stand."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from daemon.catalogue import InstanceType
from daemon.embedded.batch.definitions import Shape
from daemon.embedded.batch.fleet import ComputeEnvironment


@dataclass(frozen=True, slots=True)
class Demand:
    """Jobs of one shape that wait for room in any of some environments, the first preferred."""

    shape: Shape
    jobs: int
    environments: tuple[ComputeEnvironment, ...]


@dataclass(frozen=True, slots=True)
class Launch:
    """Instances of one size to launch."""

    environment: ComputeEnvironment
    size: InstanceType
    instances: int


def jobs_per_instance(shape: Shape, size: InstanceType) -> int:
    """How many jobs of one shape an empty instance holds."""
    by_memory = size.usable_memory_mib // max(1, shape.memory_mib)
    return min(size.cores, size.vcpus // max(1, shape.vcpus), by_memory)


def best_fit(sizes: Iterable[InstanceType], shape: Shape) -> InstanceType | None:
    """The size with the fewest vCPUs that holds the job; None if none does."""
    fitting = [size for size in sizes if jobs_per_instance(shape, size)]
    return min(fitting, key=lambda size: size.vcpus, default=None)


def plan_launches(
    demands: Iterable[Demand],
    environments: Iterable[ComputeEnvironment],
    desired_vcpus: int = 0,
) -> list[Launch]:
    """What to launch so that each environment keeps its lower bound, and at least the desired
    vCPUs, and waiting jobs get room.

    Instances that boot already count towards both. An upper bound is never passed; AWS allows
    itself one instance more with some allocation strategies.
    """
    plan = _Plan(environments)
    for environment in plan.environments:
        size = environment.capacity.sizes[0]
        missing_vcpus = max(desired_vcpus, environment.capacity.min_vcpus) - environment.vcpus
        plan.launch(environment, size, _ceiling(missing_vcpus, size.vcpus))
    for demand in demands:
        jobs = demand.jobs
        for environment in demand.environments:
            best = best_fit(environment.capacity.sizes, demand.shape)
            if best is None or not environment.takes_jobs:
                continue
            per_instance = jobs_per_instance(demand.shape, best)
            needed = _ceiling(jobs, per_instance)
            plan.launch(environment, best, needed - plan.coming[environment.name, best])
            jobs -= plan.claim(environment, best, needed) * per_instance
            if jobs <= 0:
                break
    return plan.launches


class _Plan:
    """Launches so far, and the instances that come up and nobody has claimed yet."""

    def __init__(self, environments: Iterable[ComputeEnvironment]) -> None:
        self.environments = tuple(environments)
        self.launches: list[Launch] = []
        self.coming = Counter(
            {
                (environment.name, size): instances
                for environment in self.environments
                for size, instances in environment.booting.items()
            }
        )
        self._vcpus = {environment.name: environment.vcpus for environment in self.environments}

    def launch(self, environment: ComputeEnvironment, size: InstanceType, wanted: int) -> None:
        """Launch what is wanted, as far as the upper bound and EC2 allow."""
        if not environment.can_launch:
            return
        room_vcpus = environment.capacity.max_vcpus - self._vcpus[environment.name]
        instances = min(wanted, room_vcpus // size.vcpus)
        if instances > 0:
            self.launches.append(Launch(environment, size, instances))
            self.coming[environment.name, size] += instances
            self._vcpus[environment.name] += instances * size.vcpus

    def claim(self, environment: ComputeEnvironment, size: InstanceType, wanted: int) -> int:
        """Take up to so many of the coming instances for a demand; answers how many."""
        claimed = min(wanted, self.coming[environment.name, size])
        self.coming[environment.name, size] -= claimed
        return claimed


def _ceiling(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def blocked_reason(shape: Shape, environments: Iterable[ComputeEnvironment]) -> str | None:
    """Why the job at the head of a queue cannot be placed; None if it only has to wait its turn.

    Source of the texts: docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html and
    the pages under it.
    """
    fitting = [
        (environment, size)
        for environment in environments
        if (size := best_fit(environment.capacity.sizes, shape)) is not None
    ]
    if not fitting:
        return (
            "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement "
            "(vCPU/memory/GPU) is higher than that can be met by the CE(s) attached to the job "
            "queue."
        )
    if all(size.vcpus > environment.capacity.max_vcpus for environment, size in fitting):
        return (
            "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job "
            "queue cannot meet the CPU requirement of the job."
        )
    if all(environment.out_of_capacity for environment, _ in fitting):
        return (
            "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity "
            f"requested for instance type {fitting[0][1].name}"
        )
    return None
