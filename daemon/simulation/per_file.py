"""The policies of the public samples: one Batch job per file, submitted as it arrives.

`job-per-file` is the first sample: EventBridge submits a job for each object, and a job takes the
whole of an inf2.8xlarge, although it works on one core at a time. `two-per-chip` is the enhanced
one: a job asks for half a chip's share, here of the scenario's own instance size. Both know no
queue, no grouping and no floor; a failed job is tried a second time, whatever the cause.

So that only the dispatching is compared, both have this project's worker, the scenario's ceiling in
chips and its market, Spot or on demand. A job waits in EventBridge while SubmitJob's quota is used
up. One that would stand far behind in Batch's queue is submitted when it comes nearer: the queue is
first in, first out, so nothing else changes, and a million jobs need no memory.

Sources: aws-samples/whisper-transcription-awsbatch-inferentia-blog, deployment.yaml; aws-samples/
aws-hpc-recipes, recipes/batch/whisper_transcription_awsbatch_inferentia, deployment.yaml.
"""

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from daemon.catalogue import InstanceType, instance_type
from daemon.embedded.batch.arns import Arns
from daemon.embedded.batch.definitions import JobSpec, job_spec
from daemon.embedded.batch.effects import AttemptKey, Changed, Run, Signal, Start, StopSignal
from daemon.embedded.batch.model import BatchModel
from daemon.embedded.batch.operations import perform
from daemon.simulation.history import Cores, History
from daemon.simulation.parameters import Parameters
from daemon.simulation.scenario import Scenario
from daemon.simulation.spot import LOOK_SECONDS, Reclaims
from daemon.simulation.workers import Nature
from daemon.simulation.workload import Workload

NAME = "sample"

ATTEMPTS = 2
TIMEOUT_SECONDS = 3_600
"""Both samples' job definitions; neither has a rule for retries."""

KILLED_EXIT_CODE = 139
TERMINATED_EXIT_CODE = 143
BAD_INPUT_EXIT_CODE = 1
"""The sample's program raises when it cannot read a file."""

RETENTION_SECONDS = 60.0
"""Nobody looks at a finished job."""

AHEAD_PER_CORE = 4
"""Jobs that stand in Batch's queue at most, per core of the ceiling."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a sample's job asks for, and of how many instances of which size."""

    size: InstanceType
    instances_max: int
    job_vcpus: int
    job_memory_mib: int
    spot: bool


def job_per_file(scenario: Scenario) -> Sample:
    """A job takes the instance."""
    size = instance_type("inf2.8xlarge")
    return Sample(
        size, scenario.chips_max, size.vcpus, size.usable_memory_mib, scenario.lanes[0].spot
    )


def two_per_chip(scenario: Scenario) -> Sample:
    """A job takes half a chip."""
    lane = scenario.lanes[0]
    size = lane.size
    instances = max(1, scenario.chips_max // size.chips)
    return Sample(size, instances, size.slot_vcpus, size.slot_memory_mib, lane.spot)


def run(
    workload: Workload,
    parameters: Parameters,
    sample: Sample,
    seed: int,
    progress: Callable[[float, int], None] = lambda _, __: None,
) -> History:
    """Run until every job has ended and every instance is gone."""
    return _PerFile(workload, parameters, sample, seed, progress).run()


class _PerFile:
    """Time goes from one event to the next: an arrival, a timer of Batch, a container's."""

    def __init__(
        self,
        workload: Workload,
        parameters: Parameters,
        sample: Sample,
        seed: int,
        progress: Callable[[float, int], None],
    ) -> None:
        self.workload = workload
        self.parameters = parameters
        self.sample = sample
        self.progress = progress
        self.load_seconds = parameters.profile(workload.scenario.profile).load_seconds
        self.history = History.beginning(workload.at_seconds)
        self.cores = Cores()
        self.reclaims = Reclaims(workload.scenario, parameters, seed)
        pace = replace(parameters.pace(), retention_seconds=RETENTION_SECONDS)
        self.model = BatchModel(pace, Arns(), random.Random(f"{seed} sample"))
        self.spec = _create(self.model, sample)
        self.now = 0.0
        self.next = 0
        self.settled = 0
        self.submitted_at = -math.inf
        self.jobs: dict[str, int] = {}
        self.running: dict[AttemptKey, tuple[Run, float]] = {}
        self.images: dict[str, float] = {}
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.numbers = count()

    def run(self) -> History:
        self._at(LOOK_SECONDS, self._look)
        while (due := self._next_due()) is not None:
            self.now = max(self.now, due)
            self._submit_due()
            while self.timers and self.timers[0][0] <= self.now:
                heapq.heappop(self.timers)[2]()
            deadline = self.model.next_deadline()
            if deadline is not None and deadline <= self.now:
                self.model.advance(self.now)
            self._carry_out()
        self.history.instances = self.cores.lives(
            self.model.figures(self.now), 0.0, frozenset([NAME] if self.sample.spot else [])
        )
        self.history.submissions = self.history.jobs = self.history.calls = len(self.workload)
        return self.history

    def _next_due(self) -> float | None:
        """When something happens next; None when all is over."""
        if self.settled == len(self.workload) and not self._living():
            return None
        dues = (self.timers[0][0], self.model.next_deadline(), self._next_submission())
        return min(due for due in dues if due is not None)

    def _living(self) -> dict[str, Any]:
        return self.model.environments[NAME].instances

    def _next_submission(self) -> float | None:
        ahead = AHEAD_PER_CORE * self.sample.size.cores * self.sample.instances_max
        waiting = len(self.jobs) - len(self.running)
        if self.next >= len(self.workload) or waiting >= ahead:
            return None
        free_at = self.submitted_at + 1 / self.parameters.submissions_per_second
        return max(self.workload.at_seconds[self.next], free_at)

    def _submit_due(self) -> None:
        while (due := self._next_submission()) is not None and due <= self.now:
            job = self.model.submit(self.spec, None, self.now)
            self.jobs[job.job_id] = self.next
            self.submitted_at = due
            self.next += 1

    def _carry_out(self) -> None:
        """Do what the model asks for."""
        while effects := self.model.take_effects():
            for effect in effects:
                match effect:
                    case Start(run):
                        self._start(run)
                    case Signal(key, signal):
                        self._signal(key, signal)
                    case Changed():
                        pass

    def _start(self, run: Run) -> None:
        pulled_at = self.images.setdefault(
            run.instance_id, self.now + self.parameters.image_pull_seconds
        )
        started_at = max(self.now, pulled_at) + self.parameters.container_start_seconds
        self.running[run.key] = (run, started_at)
        self._at(started_at, lambda: self._started(run))

    def _started(self, run: Run) -> None:
        if run.key not in self.running:
            return
        self.model.started(run.key, self.now)
        index = self.jobs[run.key.job_id]
        ends_at = self.now + self.load_seconds + self.workload.core_seconds[index]
        nature = self.workload.nature(index)
        exit_code = {Nature.BAD: BAD_INPUT_EXIT_CODE, Nature.POISON: KILLED_EXIT_CODE}.get(
            nature, 0
        )
        self._at(ends_at, lambda: self._ended(run.key, exit_code))

    def _ended(self, key: AttemptKey, exit_code: int) -> None:
        found = self.running.pop(key, None)
        if found is None:
            return
        self._leave(*found)
        index = self.jobs[key.job_id]
        core_seconds = self.workload.core_seconds[index]
        if exit_code == 0:
            self.history.finish(index, self.now, core_seconds, good=True)
        elif exit_code == BAD_INPUT_EXIT_CODE:
            self.history.finish(index, self.now, core_seconds, good=False)
        elif exit_code == KILLED_EXIT_CODE:
            self.history.kill(index, core_seconds)
        self.model.exited(key, exit_code, self.now)
        self._settle(key.job_id, exit_code)

    def _settle(self, job_id: str, exit_code: int | None) -> None:
        """Count a job out that will not be tried again."""
        job = self.model.jobs.find(job_id)
        if job is None or job.state.final:
            index = self.jobs.pop(job_id)
            self.settled += 1
            if exit_code != 0:
                self.history.give_up(index, self.now)

    def _leave(self, run: Run, started_at: float) -> None:
        self.cores.add(run.instance_id, run.core, started_at, self.now)

    def _signal(self, key: AttemptKey, signal: StopSignal) -> None:
        """A job that runs too long, or whose instance is gone; the process ends at once."""
        found = self.running.get(key)
        if found is None:
            return
        self._cut_short(found[1])
        if signal is StopSignal.TERM:
            self._ended(key, TERMINATED_EXIT_CODE)
        else:
            del self.running[key]
            self._leave(*found)
            self._settle(key.job_id, None)

    def _cut_short(self, started_at: float) -> None:
        worked = self.now - started_at - self.load_seconds
        self.history.work.cut_short += max(0.0, worked)

    def _look(self) -> None:
        """Take Spot instances away, and tell how far it is."""
        if self.sample.spot:
            for instance_id in self.reclaims.lost(list(self._living()), self.now):
                self.history.instances_lost += 1
                self.model.instance_lost(instance_id, self.now)
                self._carry_out()
        self.progress(self.now, self.settled)
        self._at(self.now + LOOK_SECONDS, self._look)

    def _at(self, due_seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self.timers, (due_seconds, next(self.numbers), action))


def _create(model: BatchModel, sample: Sample) -> JobSpec:
    """The sample's compute environment, queue and job definition; what its jobs run with."""

    def create(operation: str, **request: Any) -> None:
        perform(model, operation, request, 0, 0.0)

    create(
        "CreateComputeEnvironment",
        computeEnvironmentName=NAME,
        type="MANAGED",
        computeResources={
            "type": "SPOT" if sample.spot else "EC2",
            "minvCpus": 0,
            "maxvCpus": sample.instances_max * sample.size.vcpus,
            "instanceTypes": [sample.size.name],
            "subnets": ["subnet"],
            "instanceRole": "role",
        },
    )
    create(
        "CreateJobQueue",
        jobQueueName=NAME,
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": NAME}],
    )
    create(
        "RegisterJobDefinition",
        jobDefinitionName=NAME,
        type="container",
        containerProperties={
            "image": "worker",
            "command": ["worker"],
            "resourceRequirements": [
                {"type": "VCPU", "value": str(sample.job_vcpus)},
                {"type": "MEMORY", "value": str(sample.job_memory_mib)},
            ],
        },
        retryStrategy={"attempts": ATTEMPTS},
        timeout={"attemptDurationSeconds": TIMEOUT_SECONDS},
    )
    return job_spec(model.definitions.resolve(NAME), {"jobName": NAME}, NAME)
