"""How much of the fleet was used: the numbers a console shows."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InstanceFigures:
    """One instance, living or gone; times are Unix seconds, one entry per core."""

    instance_id: str
    instance_type: str
    compute_environment: str
    launched_at: float
    ready_at: float | None
    ended_at: float | None
    core_busy_seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """The whole fleet since the service began; an array counts as many jobs as it has children."""

    jobs_submitted: int
    attempts_started: int
    instances: tuple[InstanceFigures, ...]

    @property
    def instances_booted(self) -> int:
        """How many instances ever became ready for jobs."""
        return sum(instance.ready_at is not None for instance in self.instances)

    @property
    def core_busy_seconds(self) -> Mapping[tuple[str, int], float]:
        """Seconds that each core of each instance ran a job, by instance id and core."""
        return {
            (instance.instance_id, core): seconds
            for instance in self.instances
            for core, seconds in enumerate(instance.core_busy_seconds)
        }
