"""Jobs, arrays of jobs, and the attempts made at them: where each stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from daemon.embedded.batch.agenda import Timer
from daemon.embedded.batch.definitions import JobSpec, Shape


class JobState(StrEnum):
    """Where a job stands, as DescribeJobs names it."""

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @property
    def final(self) -> bool:
        """Whether a job never leaves this state."""
        return self in (JobState.SUCCEEDED, JobState.FAILED)

    @property
    def placed(self) -> bool:
        """Whether a job in this state holds a slot of an instance."""
        return self in (JobState.STARTING, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a job, on one NeuronCore of one instance; times are Unix seconds."""

    number: int
    environment: str
    instance_id: str
    core: int
    task_id: str
    log_stream: str
    started_at: float | None = None
    stopped_at: float | None = None
    exit_code: int | None = None
    reason: str | None = None
    status_reason: str | None = None


@dataclass(slots=True, eq=False)
class Job:
    """A plain job, or one child of an array.

    `number` orders jobs by submission. `attempts` holds those that are over, `attempt` the one
    that holds a slot. `stop_reason` is set once the job is to end whatever its process does.
    """

    job_id: str
    spec: JobSpec
    shape: Shape
    number: int
    created_at: float
    parent: "ArrayJob | None" = None
    index: int | None = None
    state: JobState = JobState.SUBMITTED
    status_reason: str | None = None
    started_at: float | None = None
    stopped_at: float | None = None
    attempts: list[Attempt] = field(default_factory=list)
    attempt: Attempt | None = None
    stop_reason: str | None = None
    timer: Timer | None = None
    cancelled: bool = False
    terminated: bool = False
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def held_attempt(self) -> Attempt:
        """The attempt of a job that is STARTING or RUNNING."""
        if self.attempt is None:
            raise RuntimeError(f"job {self.job_id} is {self.state} and has no attempt under way")
        return self.attempt


@dataclass(slots=True, eq=False)
class ArrayJob:
    """The parent of an array; its children come into being once the scheduler looks at it."""

    job_id: str
    spec: JobSpec
    size: int
    number: int
    created_at: float
    state: JobState = JobState.SUBMITTED
    status_reason: str | None = None
    stopped_at: float | None = None
    children: list[Job] = field(default_factory=list)
    summary: dict[JobState, int] = field(default_factory=lambda: dict.fromkeys(JobState, 0))
    summary_at: float | None = None
    stop_reason: str | None = None
    cancelled: bool = False
    terminated: bool = False
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def outcome(self) -> JobState | None:
        """FAILED if any child failed, SUCCEEDED if none did; None while one is under way."""
        failed = self.summary[JobState.FAILED]
        if failed + self.summary[JobState.SUCCEEDED] < self.size:
            return None
        return JobState.FAILED if failed else JobState.SUCCEEDED


class JobTable:
    """Every job by its id, and plain jobs and array parents by queue and state."""

    def __init__(self) -> None:
        self._roots: dict[str, Job | ArrayJob] = {}
        self._of_queue: dict[str, dict[int, Job | ArrayJob]] = {}
        self._in_state: dict[tuple[str, JobState], dict[int, Job | ArrayJob]] = {}

    def add(self, job: Job | ArrayJob) -> None:
        """Take up a plain job or an array parent."""
        self._roots[job.job_id] = job
        self._of_queue.setdefault(job.spec.queue, {})[job.number] = job
        self._in_state.setdefault((job.spec.queue, job.state), {})[job.number] = job

    def forget(self, job: Job | ArrayJob) -> None:
        """Drop a plain job, or an array with its children."""
        del self._roots[job.job_id]
        del self._of_queue[job.spec.queue][job.number]
        del self._in_state[job.spec.queue, job.state][job.number]

    def find(self, job_id: str) -> Job | ArrayJob | None:
        """Look a job up by its id, an array's child by `<parent>:<index>`."""
        root_id, colon, index = job_id.partition(":")
        root = self._roots.get(root_id)
        if not colon:
            return root
        if not isinstance(root, ArrayJob) or not (index.isascii() and index.isdecimal()):
            return None
        return root.children[int(index)] if int(index) < len(root.children) else None

    def move(self, job: Job | ArrayJob, state: JobState, now_seconds: float) -> None:
        """Change a job's state, and with it the indexes or its parent's summary."""
        if isinstance(job, Job) and job.parent is not None:
            job.parent.summary[job.state] -= 1
            job.parent.summary[state] += 1
            job.parent.summary_at = now_seconds
        else:
            del self._in_state[job.spec.queue, job.state][job.number]
            self._in_state.setdefault((job.spec.queue, state), {})[job.number] = job
        job.state = state

    def in_state(self, queue: str, state: JobState) -> Mapping[int, Job | ArrayJob]:
        """A queue's plain jobs and array parents in one state, by submission number."""
        return self._in_state.get((queue, state), {})

    def of_queue(self, queue: str) -> Mapping[int, Job | ArrayJob]:
        """A queue's plain jobs and array parents, by submission number."""
        return self._of_queue.get(queue, {})
