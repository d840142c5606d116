"""How a job moves from state to state: SUBMITTED to SUCCEEDED or FAILED.

States as in docs.aws.amazon.com/batch/latest/userguide/job_states.html and array_jobs.html: an
array's parent is PENDING from the time its children are RUNNABLE until the last of them is final,
and FAILED if any of them is.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from daemon.embedded.batch.agenda import Agenda
from daemon.embedded.batch.arns import Ids
from daemon.embedded.batch.effects import (
    AttemptKey,
    Changed,
    Effect,
    Run,
    Signal,
    Start,
    StopSignal,
)
from daemon.embedded.batch.fleet import ComputeEnvironment, Instance
from daemon.embedded.batch.jobs import ArrayJob, Attempt, Job, JobState, JobTable
from daemon.embedded.batch.pace import Pace
from daemon.embedded.batch.retry import Failure, RetryAction, decide
from daemon.embedded.batch.scheduler import Scheduler

TIMED_OUT = "Job attempt duration exceeded timeout"
"""Batch's statusReason of a job that ran into its timeout."""

CHILD_FAILED = "Array Child Job failed"
"""Batch's statusReason of an array with a failed child."""


class Lifecycle:
    """Moves jobs; `effects` gathers what is to be done outside because of it.

    `describe` shows a job for the news of its change; without it, there is no news.
    """

    def __init__(
        self,
        pace: Pace,
        ids: Ids,
        agenda: Agenda,
        describe: Callable[[Job | ArrayJob], dict[str, Any]] | None = None,
    ) -> None:
        self.jobs = JobTable()
        self.scheduler = Scheduler(pace, ids, agenda, self._place)
        self.effects: list[Effect] = []
        self.attempts_started = 0
        self._pace = pace
        self._ids = ids
        self._agenda = agenda
        self._describe = describe

    def submit(self, job: Job | ArrayJob) -> None:
        """Take up a new job; the scheduler looks at it a little later."""
        self.jobs.add(job)
        due_seconds = job.created_at + self._pace.evaluate_seconds
        self._agenda.at(due_seconds, partial(self._evaluate, job))

    def _evaluate(self, job: Job | ArrayJob, now_seconds: float) -> None:
        """Let a SUBMITTED job run, or an array spawn its children."""
        if job.state is not JobState.SUBMITTED:
            return
        self._move(job, JobState.PENDING, now_seconds)
        if isinstance(job, Job):
            self._wait_for_room(job, now_seconds)
            return
        shape = job.spec.shape
        for index in range(job.size):
            child_id = f"{job.job_id}:{index}"
            child = Job(child_id, job.spec, shape, job.number, now_seconds, job, index)
            job.children.append(child)
            job.summary[child.state] += 1
            self._wait_for_room(child, now_seconds)

    def _move(self, job: Job | ArrayJob, state: JobState, now_seconds: float) -> None:
        """Change a job's state and tell of it; what is to be seen of the change is there before."""
        self.jobs.move(job, state, now_seconds)
        if self._describe is not None:
            self.effects.append(Changed(self._describe(job), now_seconds))

    def _wait_for_room(self, job: Job, now_seconds: float) -> None:
        self._move(job, JobState.RUNNABLE, now_seconds)
        self.scheduler.queues[job.spec.queue].join(job)

    def _place(
        self, job: Job, environment: ComputeEnvironment, instance: Instance, now_seconds: float
    ) -> None:
        """A RUNNABLE job was given the lowest free core of an instance."""
        task_id = self._ids.task()
        attempt = Attempt(
            number=len(job.attempts) + 1,
            environment=environment.name,
            instance_id=instance.instance_id,
            core=environment.place(job, instance),
            task_id=task_id,
            log_stream=f"{job.spec.definition.name}/default/{task_id}",
        )
        job.attempt = attempt
        job.status_reason = None
        self._move(job, JobState.STARTING, now_seconds)
        self.attempts_started += 1
        run = Run(
            key=AttemptKey(job.job_id, attempt.number),
            job_name=job.spec.name,
            queue=job.spec.queue,
            compute_environment=environment.name,
            instance_id=instance.instance_id,
            core=attempt.core,
            cores=instance.size.cores,
            array_index=job.index,
            image=job.spec.container.get("image", ""),
            command=job.spec.command,
            environment=job.spec.environment,
            log_stream=attempt.log_stream,
        )
        self.effects.append(Start(run))

    def holder(self, key: AttemptKey) -> Job | None:
        """The job whose present attempt this is; None if the attempt is over."""
        job = self.jobs.find(key.job_id)
        if not isinstance(job, Job) or job.attempt is None or job.attempt.number != key.attempt:
            return None
        return job

    def begin(self, job: Job, now_seconds: float) -> None:
        """The attempt's process runs: STARTING becomes RUNNING."""
        job.attempt = replace(job.held_attempt, started_at=now_seconds)
        job.started_at = now_seconds
        self._move(job, JobState.RUNNING, now_seconds)
        self.scheduler.start_clock(job.attempt, now_seconds)
        if job.spec.timeout_seconds is not None and job.stop_reason is None:
            due_seconds = now_seconds + job.spec.timeout_seconds
            job.timer = self._agenda.at(due_seconds, partial(self._stop, job, TIMED_OUT))

    def end_attempt(self, job: Job, failure: Failure, now_seconds: float) -> None:
        """The attempt is over, and with it the job, unless it failed and may be retried.

        A job that was told to stop fails, whatever its process made of it.
        """
        if job.timer is not None:
            job.timer.cancel()
        attempt = replace(
            job.held_attempt,
            stopped_at=now_seconds,
            exit_code=failure.exit_code,
            reason=failure.reason,
            status_reason=job.stop_reason or failure.status_reason,
        )
        self.scheduler.leave(attempt, now_seconds)
        job.attempts.append(attempt)
        job.attempt = None
        if job.stop_reason is None and failure.exit_code == 0:
            self._conclude(job, JobState.SUCCEEDED, failure.status_reason, now_seconds)
        elif job.stop_reason is None and self._may_retry(job, failure):
            job.started_at = None
            self._wait_for_room(job, now_seconds)
        else:
            self._conclude(job, JobState.FAILED, attempt.status_reason, now_seconds)

    def _may_retry(self, job: Job, failure: Failure) -> bool:
        return decide(job.spec.retry, len(job.attempts), failure) is RetryAction.RETRY

    def cancel(self, job: Job | ArrayJob, reason: str, now_seconds: float) -> None:
        """Fail what is not yet STARTING: the job, or such children of the array."""
        for member in self._members(job, now_seconds):
            if not member.state.final and not member.state.placed:
                member.cancelled = True
                self._withdraw(member, reason, now_seconds)
        if isinstance(job, ArrayJob):
            job.cancelled = True
            job.stop_reason = reason

    def terminate(self, job: Job | ArrayJob, reason: str, now_seconds: float) -> None:
        """Stop what is not final: the job, or such children of the array."""
        if isinstance(job, ArrayJob):
            job.terminated = True
            job.stop_reason = reason
        for member in self._members(job, now_seconds):
            if member.state.final:
                continue
            member.terminated = True
            if member.state.placed:
                self._stop(member, reason, now_seconds)
            else:
                self._withdraw(member, reason, now_seconds)

    def _members(self, job: Job | ArrayJob, now_seconds: float) -> list[Job]:
        if isinstance(job, Job):
            return [job]
        self._evaluate(job, now_seconds)
        return job.children

    def _withdraw(self, job: Job, reason: str, now_seconds: float) -> None:
        if job.state is JobState.RUNNABLE:
            self.scheduler.queues[job.spec.queue].withdraw(job)
        self._conclude(job, JobState.FAILED, reason, now_seconds)

    def _stop(self, job: Job, reason: str, now_seconds: float) -> None:
        """SIGTERM now and SIGKILL after the grace; the first reason to stop is kept."""
        if job.stop_reason is not None:
            return
        job.stop_reason = reason
        if job.timer is not None:
            job.timer.cancel()
        self.signal(job, StopSignal.TERM)
        due_seconds = now_seconds + self._pace.stop_grace_seconds
        job.timer = self._agenda.at(due_seconds, lambda _: self.signal(job, StopSignal.KILL))

    def signal(self, job: Job, signal: StopSignal) -> None:
        """Have the processes of the job's present attempt signalled."""
        self.effects.append(Signal(AttemptKey(job.job_id, job.held_attempt.number), signal))

    def _conclude(
        self, job: Job, state: JobState, status_reason: str | None, now_seconds: float
    ) -> None:
        job.status_reason = status_reason
        job.stopped_at = now_seconds
        self._move(job, state, now_seconds)
        parent = job.parent
        if parent is None:
            self._expire_later(job, now_seconds)
        elif (outcome := parent.outcome) is not None:
            child_failed = CHILD_FAILED if outcome is JobState.FAILED else None
            parent.status_reason = parent.stop_reason or child_failed
            parent.stopped_at = now_seconds
            self._move(parent, outcome, now_seconds)
            self._expire_later(parent, now_seconds)

    def _expire_later(self, job: Job | ArrayJob, now_seconds: float) -> None:
        due_seconds = now_seconds + self._pace.retention_seconds
        self._agenda.at(due_seconds, lambda _: self.jobs.forget(job))
