"""Whether what is registered in Batch is what a lane says: two jobs for each chip, never more.

Batch knows no NeuronCore. Only the vCPUs and the memory that a job asks for decide how many of them
an instance takes, so a job definition that does not go with the instances leaves every chip half
empty, or starts jobs that find no core. Such a lane is refused before anything is ordered from it.
"""

from collections.abc import Iterator

from daemon.lanes import Lane
from daemon.ports import Registration

VCPUS_MIN = 0.25
"""The least that any job can ask for (API_ResourceRequirement, for Fargate)."""


class LaneMismatch(Exception):
    """The lane {lane} and what is registered in Batch do not go together:{problems}"""

    def __init__(self, lane: str, problems: list[str]) -> None:
        super().__init__(lane, problems)
        self.lane = lane
        self.problems = problems

    def __str__(self) -> str:
        listed = "".join(f"\n  {problem}" for problem in self.problems)
        return str(self.__doc__).format(lane=self.lane, problems=listed)


def problems(lane: Lane, found: Registration) -> Iterator[str]:
    """What is wrong, with the numbers, in sentences."""
    if found.shape is None:
        yield f"there is no active job definition {lane.job_definition}: register it"
    else:
        yield from _shape_problems(lane, found.shape.vcpus, found.shape.memory_mib)
        cores = found.shape.neuron_cores
        if cores not in (None, "1"):
            yield (
                f"the job definition {lane.job_definition} sets NEURON_RT_NUM_CORES to {cores}: "
                "set it to 1, or the first job on a chip takes both of its cores"
            )
    if found.instance_types is None:
        yield f"there is no job queue {lane.job_queue}: create it"
        return
    for name, types in sorted(found.instance_types.items()):
        if set(types) != {lane.instance_type}:
            yield (
                f"the compute environment {name} launches {', '.join(sorted(types)) or 'nothing'}, "
                f"and the lane is for {lane.instance_type} alone: one job definition fits one size"
            )


def _shape_problems(lane: Lane, vcpus: float, memory_mib: int) -> Iterator[str]:
    size = lane.instance
    by_vcpus = int(size.vcpus // max(vcpus, VCPUS_MIN))
    by_memory = size.usable_memory_mib // max(memory_mib, 1)
    fitting = min(by_vcpus, by_memory)
    if fitting == size.cores:
        return
    asked = f"a job of {lane.job_definition} asks for {vcpus:g} vCPUs and {memory_mib:,} MiB"
    right = f"{size.slot_vcpus} vCPUs and at most {size.slot_memory_mib:,} MiB"
    few = "leaves cores idle" if fitting < size.cores else "starts jobs that find no core"
    yield (
        f"{asked}, so {fitting} of them fit on {size.name} with its {size.cores} NeuronCores, "
        f"which {few}: register it with {right}"
    )
