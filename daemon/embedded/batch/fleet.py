"""Instances and the compute environments that they belong to: what is free, what is held.

Where this departs from AWS: every job takes one NeuronCore of its instance. Batch itself counts
vCPUs and memory only, and would start a job that asks for less than its half beside two others, to
fail for want of a core; here that job waits.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from daemon.catalogue import InstanceType
from daemon.embedded.batch.agenda import Timer
from daemon.embedded.batch.definitions import Shape
from daemon.embedded.batch.jobs import Job


@dataclass(slots=True, eq=False)
class Instance:
    """One instance from launch to end; times are Unix seconds.

    `jobs` maps a core to the job that holds it. `busy_seconds` sums, per core, the time its past
    jobs ran; `busy_since` holds the start of each job that runs now.
    """

    instance_id: str
    size: InstanceType
    environment: str
    launched_at: float
    ready_at: float | None = None
    ended_at: float | None = None
    free_vcpus: int = 0
    free_memory_mib: int = 0
    jobs: dict[int, Job] = field(default_factory=dict)
    busy_seconds: list[float] = field(default_factory=list)
    busy_since: dict[int, float] = field(default_factory=dict)
    timer: Timer | None = None

    def __post_init__(self) -> None:
        self.free_vcpus = self.size.vcpus
        self.free_memory_mib = self.size.usable_memory_mib
        self.busy_seconds = [0.0] * self.size.cores

    @property
    def has_room(self) -> bool:
        """Whether any job at all could still be placed."""
        return len(self.jobs) < self.size.cores and self.free_vcpus > 0 and self.free_memory_mib > 0

    def fits(self, shape: Shape) -> bool:
        """Whether a job of this shape could be placed now; a core must be free besides."""
        return shape.vcpus <= self.free_vcpus and shape.memory_mib <= self.free_memory_mib

    def stop_clock(self, core: int, now_seconds: float) -> None:
        """Add the run of the job on a core, if it did run, to the core's busy time."""
        since = self.busy_since.pop(core, None)
        if since is not None:
            self.busy_seconds[core] += now_seconds - since


@dataclass(frozen=True, slots=True)
class Capacity:
    """The bounds of a compute environment, and the sizes it may launch."""

    min_vcpus: int
    max_vcpus: int
    sizes: tuple[InstanceType, ...]
    enabled: bool = True


@dataclass(slots=True, eq=False)
class ComputeEnvironment:
    """A group of instances that grows and shrinks between two bounds.

    `shared` and `idle` hold the ready instances with room: those with a job on them, and those
    without. `held` are idle ones that only the lower bound keeps. `request` is what the environment
    was created with, in the protocol's own form. One with an `invalid_reason` is INVALID: it takes
    no jobs and launches nothing, and what runs goes on. While it is `out_of_capacity`, EC2 has no
    instances for it.
    """

    name: str
    arn: str
    capacity: Capacity
    request: Mapping[str, Any]
    tags: dict[str, str] = field(default_factory=dict)
    invalid_reason: str | None = None
    out_of_capacity: bool = False
    vcpus: int = 0
    instances: dict[str, Instance] = field(default_factory=dict)
    booting: Counter[InstanceType] = field(default_factory=Counter)
    shared: dict[str, Instance] = field(default_factory=dict)
    idle: dict[str, Instance] = field(default_factory=dict)
    held: dict[str, Instance] = field(default_factory=dict)

    @property
    def takes_jobs(self) -> bool:
        """Whether jobs may be placed here at all."""
        return self.capacity.enabled and self.invalid_reason is None

    @property
    def can_launch(self) -> bool:
        """Whether an instance could be launched at all."""
        return self.invalid_reason is None and not self.out_of_capacity

    def launch(self, instance: Instance) -> None:
        """Take up an instance that begins to boot."""
        self.instances[instance.instance_id] = instance
        self.vcpus += instance.size.vcpus
        self.booting[instance.size] += 1

    def ready(self, instance: Instance, now_seconds: float) -> None:
        """Open an instance, booted, for jobs."""
        instance.ready_at = now_seconds
        self.booting[instance.size] -= 1
        self._sort(instance)

    def end(self, instance: Instance, now_seconds: float) -> None:
        """Let an instance go; its jobs must have left it."""
        instance.ended_at = now_seconds
        if instance.ready_at is None:
            self.booting[instance.size] -= 1
        self.vcpus -= instance.size.vcpus
        del self.instances[instance.instance_id]
        for group in (self.shared, self.idle, self.held):
            group.pop(instance.instance_id, None)

    def room_for(self, shape: Shape) -> Instance | None:
        """An instance for a job of this shape, one that works already before an idle one."""
        if not self.takes_jobs:
            return None
        for group in (self.shared, self.idle):
            for instance in group.values():
                if instance.fits(shape):
                    return instance
        return None

    def place(self, job: Job, instance: Instance) -> int:
        """Give a job its slot; answers the core, the lowest that is free."""
        core = next(core for core in range(instance.size.cores) if core not in instance.jobs)
        instance.jobs[core] = job
        instance.free_vcpus -= job.shape.vcpus
        instance.free_memory_mib -= job.shape.memory_mib
        self._sort(instance)
        return core

    def leave(self, instance: Instance, core: int) -> None:
        """Take a job's slot back."""
        job = instance.jobs.pop(core)
        instance.free_vcpus += job.shape.vcpus
        instance.free_memory_mib += job.shape.memory_mib
        self._sort(instance)

    def _sort(self, instance: Instance) -> None:
        key = instance.instance_id
        for group in (self.shared, self.idle, self.held):
            group.pop(key, None)
        if not instance.jobs:
            self.idle[key] = instance
        elif instance.has_room:
            self.shared[key] = instance
