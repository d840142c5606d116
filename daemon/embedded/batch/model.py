"""AWS Batch as a state machine: what becomes of jobs, and when.

The model knows neither how time passes nor how a job runs. Every method takes the present time in
Unix seconds; what is to be done outside is left in `take_effects`, and what happened outside is
reported as a fact: `started`, `exited`, `instance_lost`. Call `advance` no later than
`next_deadline` says. A driver with a wall clock and real processes makes it a service; one with a
virtual clock makes it a simulation.

Where this departs from AWS: a job can only be plain or an array, and cannot depend on another one;
a queue knows no fair shares and no time limits for states.
"""

import random
from collections.abc import Mapping
from functools import partial
from itertools import count
from typing import Any

from daemon.embedded.batch.agenda import Agenda
from daemon.embedded.batch.arns import Arns, Ids
from daemon.embedded.batch.definitions import Definitions, JobSpec
from daemon.embedded.batch.descriptions import detail
from daemon.embedded.batch.effects import AttemptKey, Effect, StopSignal
from daemon.embedded.batch.figures import Figures
from daemon.embedded.batch.fleet import Capacity, ComputeEnvironment
from daemon.embedded.batch.jobs import ArrayJob, Job, JobTable
from daemon.embedded.batch.lifecycle import Lifecycle
from daemon.embedded.batch.pace import Pace
from daemon.embedded.batch.queues import JobQueue
from daemon.embedded.batch.retry import Failure

CONTAINER_EXITED = "Essential container in task exited"
"""Batch's statusReason of an attempt whose container ended, well or badly."""

START_FAILED = "Task failed to start"
"""Batch's statusReason of an attempt whose container never ran."""


def host_terminated(instance_id: str) -> str:
    """Batch's statusReason of an attempt whose instance went away, as a Spot reclaim does."""
    return f"Host EC2 (instance {instance_id}) terminated."


class BatchModel:
    """All compute environments, queues, definitions and jobs of one account in one region.

    `source` is where ids come from: the same seed gives the same ids. With `reports_changes`, every
    change of a job's state is among the effects.
    """

    def __init__(
        self, pace: Pace, arns: Arns, source: random.Random, *, reports_changes: bool = False
    ) -> None:
        self.arns = arns
        self.definitions = Definitions(arns)
        self._ids = Ids(source)
        self._agenda = Agenda()
        describe = partial(detail, arns=arns) if reports_changes else None
        self._lifecycle = Lifecycle(pace, self._ids, self._agenda, describe)
        self._scheduler = self._lifecycle.scheduler
        self._pace = pace
        self._numbers = count(1)
        self._jobs_submitted = 0

    @property
    def jobs(self) -> JobTable:
        """Every job that is not yet forgotten."""
        return self._lifecycle.jobs

    @property
    def environments(self) -> Mapping[str, ComputeEnvironment]:
        """Every compute environment by its name."""
        return self._scheduler.environments

    @property
    def queues(self) -> Mapping[str, JobQueue]:
        """Every job queue by its name."""
        return self._scheduler.queues

    def create_environment(
        self, name: str, capacity: Capacity, request: Mapping[str, Any], now_seconds: float
    ) -> ComputeEnvironment:
        """Add a compute environment; its lower bound is launched at once."""
        arn = self.arns.compute_environment(name)
        environment = ComputeEnvironment(name, arn, capacity, request)
        self._scheduler.environments[name] = environment
        self.advance(now_seconds)
        return environment

    def update_environment(
        self,
        environment: ComputeEnvironment,
        capacity: Capacity,
        desired_vcpus: int,
        now_seconds: float,
    ) -> None:
        """Move the bounds, and launch up to the desired vCPUs as far as the upper one allows."""
        self._scheduler.set_capacity(environment, capacity, now_seconds)
        self._scheduler.raise_to(environment, desired_vcpus, now_seconds)
        self.advance(now_seconds)

    def set_invalid(self, name: str, reason: str | None, now_seconds: float) -> None:
        """Make a compute environment INVALID for a reason, or VALID again (None)."""
        self.environments[name].invalid_reason = reason
        self.advance(now_seconds)

    def set_out_of_capacity(self, name: str, out: bool, now_seconds: float) -> None:
        """Let EC2 have no instances for a compute environment, or have some again."""
        self.environments[name].out_of_capacity = out
        self.advance(now_seconds)

    def create_queue(
        self,
        name: str,
        priority: int,
        enabled: bool,
        environments: tuple[ComputeEnvironment, ...],
    ) -> JobQueue:
        """Add a job queue over environments, in the order in which they are to be tried."""
        queue = JobQueue(name, self.arns.job_queue(name), priority, enabled, environments)
        self._scheduler.queues[name] = queue
        return queue

    def submit(self, spec: JobSpec, array_size: int | None, now_seconds: float) -> Job | ArrayJob:
        """Take up a plain job, or an array where a size is given."""
        job_id, number = self._ids.job(), next(self._numbers)
        job: Job | ArrayJob
        if array_size is None:
            job = Job(job_id, spec, spec.shape, number, now_seconds)
        else:
            job = ArrayJob(job_id, spec, array_size, number, now_seconds)
        self._jobs_submitted += array_size or 1
        self._lifecycle.submit(job)
        self.advance(now_seconds)
        return job

    def visible(self, job: Job | ArrayJob, now_seconds: float) -> bool:
        """Whether DescribeJobs and ListJobs know a job yet; an array's children with it."""
        root = job.parent if isinstance(job, Job) and job.parent is not None else job
        return now_seconds >= root.created_at + self._pace.visible_after_seconds

    def cancel(self, job_id: str, reason: str, now_seconds: float) -> None:
        """Fail a job, or an array's children, where not yet STARTING; else nothing happens."""
        job = self.jobs.find(job_id)
        if job is not None and not job.state.final:
            self._lifecycle.cancel(job, reason, now_seconds)
            self.advance(now_seconds)

    def terminate(self, job_id: str, reason: str, now_seconds: float) -> None:
        """Stop a job, or every child of an array, wherever it stands, unless it is final."""
        job = self.jobs.find(job_id)
        if job is not None and not job.state.final:
            self._lifecycle.terminate(job, reason, now_seconds)
            self.advance(now_seconds)

    def started(self, key: AttemptKey, now_seconds: float) -> None:
        """Fact: the attempt's process runs. The timeout counts from here."""
        job = self._lifecycle.holder(key)
        if job is not None:
            self._lifecycle.begin(job, now_seconds)
            self.advance(now_seconds)

    def exited(
        self, key: AttemptKey, exit_code: int | None, now_seconds: float, reason: str | None = None
    ) -> None:
        """Fact: the attempt is over. Without an exit code, its container could not be started.

        `reason` is the container's own, as in `OutOfMemoryError: Container killed due to memory
        usage`. The end of an attempt that is no longer known, because its instance was lost, is
        ignored.
        """
        job = self._lifecycle.holder(key)
        if job is not None:
            status_reason = START_FAILED if exit_code is None else CONTAINER_EXITED
            failure = Failure(exit_code, reason, status_reason)
            self._lifecycle.end_attempt(job, failure, now_seconds)
            self.advance(now_seconds)

    def instance_lost(self, instance_id: str, now_seconds: float) -> None:
        """Fact: an instance is gone, with all that ran on it. An unknown one is ignored."""
        instance = self._scheduler.find_instance(instance_id)
        if instance is None:
            return
        failure = Failure(None, None, host_terminated(instance_id))
        for job in list(instance.jobs.values()):
            self._lifecycle.signal(job, StopSignal.KILL)
            self._lifecycle.end_attempt(job, failure, now_seconds)
        self._scheduler.end(instance, now_seconds)
        self.advance(now_seconds)

    def advance(self, now_seconds: float) -> None:
        """Do all that has fallen due."""
        while True:
            while timer := self._agenda.take_due(now_seconds):
                timer.fire(now_seconds)
            self._scheduler.turn(now_seconds)
            deadline = self._agenda.next_deadline()
            if deadline is None or deadline > now_seconds:
                return

    def next_deadline(self) -> float | None:
        """When `advance` is needed next, in Unix seconds; None if only a fact can change things."""
        return self._agenda.next_deadline()

    def take_effects(self) -> list[Effect]:
        """What is to be done outside, in order; each is handed out once."""
        effects = self._lifecycle.effects
        self._lifecycle.effects = []
        return effects

    def figures(self, now_seconds: float) -> Figures:
        """How much of the fleet has been used until now."""
        return Figures(
            jobs_submitted=self._jobs_submitted,
            attempts_started=self._lifecycle.attempts_started,
            instances=tuple(self._scheduler.instance_figures(now_seconds)),
        )
