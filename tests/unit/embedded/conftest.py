import random
from collections.abc import Callable
from typing import Any

import pytest

from daemon.catalogue import instance_type
from daemon.embedded.batch.arns import Arns
from daemon.embedded.batch.definitions import job_spec
from daemon.embedded.batch.effects import AttemptKey, Run, Signal, Start
from daemon.embedded.batch.fleet import Capacity, ComputeEnvironment
from daemon.embedded.batch.jobs import ArrayJob, Job
from daemon.embedded.batch.model import BatchModel
from daemon.embedded.batch.pace import Pace

HALF_OF_XLARGE = (2, 6_900)


class Stage:
    """A model with one compute environment and one queue, on a clock that the test sets."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.now = 1_000.0
        self.model = BatchModel(pace, Arns(), random.Random(7))
        self.signals: list[tuple[str, str]] = []
        self._started: list[Run] = []

    def environment(
        self, name: str = "fleet", *, least: int = 0, most: int = 400, size: str = "inf2.xlarge"
    ) -> ComputeEnvironment:
        capacity = Capacity(least, most, (instance_type(size),))
        return self.model.create_environment(name, capacity, {}, self.now)

    def queue(
        self, *environments: ComputeEnvironment, name: str = "queue", priority: int = 1
    ) -> None:
        self.model.create_queue(name, priority, True, environments)

    def _spec(self, shape: tuple[int, int], queue: str, name: str, registered: Any) -> Any:
        container = {
            "image": "image",
            "command": ["work"],
            "resourceRequirements": [
                {"type": "VCPU", "value": str(shape[0])},
                {"type": "MEMORY", "value": str(shape[1])},
            ],
        }
        request = {"jobDefinitionName": "definition", "containerProperties": container}
        definition = self.model.definitions.register({**request, **registered})
        return job_spec(definition, {"jobName": name}, queue)

    def submit(
        self,
        *,
        shape: tuple[int, int] = HALF_OF_XLARGE,
        queue: str = "queue",
        name: str = "job",
        **registered: Any,
    ) -> Job:
        job = self.model.submit(self._spec(shape, queue, name, registered), None, self.now)
        assert isinstance(job, Job)
        return job

    def submit_array(self, size: int, **registered: Any) -> ArrayJob:
        spec = self._spec(HALF_OF_XLARGE, "queue", "array", registered)
        job = self.model.submit(spec, size, self.now)
        assert isinstance(job, ArrayJob)
        return job

    def wait(self, seconds: float) -> None:
        """Let time pass, stopping at each deadline on the way, as a driver does."""
        end = self.now + seconds
        while (deadline := self.model.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.model.advance(self.now)
        self.now = end

    def boot(self) -> None:
        self.wait(self.pace.boot_seconds)

    def starts(self) -> list[Run]:
        """The attempts to start that were asked for since the last call."""
        self._take_effects()
        starts, self._started = self._started, []
        return starts

    def signalled(self) -> list[tuple[str, str]]:
        """The signals asked for since the last call, as (job id, signal)."""
        self._take_effects()
        signals, self.signals = self.signals, []
        return signals

    def _take_effects(self) -> None:
        for effect in self.model.take_effects():
            match effect:
                case Start(run):
                    self._started.append(run)
                case Signal(key, signal):
                    self.signals.append((key.job_id, str(signal)))

    def begin(self, job: Job) -> AttemptKey:
        """Report that the job's attempt runs."""
        key = self.key(job)
        self.model.started(key, self.now)
        return key

    def exit(self, job: Job, exit_code: int | None, reason: str | None = None) -> None:
        self.model.exited(self.key(job), exit_code, self.now, reason)

    def key(self, job: Job) -> AttemptKey:
        return AttemptKey(job.job_id, job.held_attempt.number)

    def run(self, job: Job, exit_code: int) -> None:
        """Report that the job's attempt ran and ended, all at once."""
        self.begin(job)
        self.exit(job, exit_code)

    def instance_ids(self, environment: str = "fleet") -> list[str]:
        return list(self.model.environments[environment].instances)


@pytest.fixture
def make_stage() -> Callable[[Pace], Stage]:
    return Stage


@pytest.fixture
def empty_stage() -> Stage:
    return Stage(Pace(boot_seconds=120, idle_seconds=300))


@pytest.fixture
def stage(empty_stage: Stage) -> Stage:
    empty_stage.queue(empty_stage.environment())
    return empty_stage


@pytest.fixture
def warm(empty_stage: Stage) -> Stage:
    """A stage with two inf2.xlarge ready."""
    empty_stage.queue(empty_stage.environment(least=8))
    empty_stage.boot()
    return empty_stage
