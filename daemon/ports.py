"""What the dispatcher needs of the outside world: a queue, a store and Batch.

`aws/` implements these over the wire. Nothing else of the dispatcher knows that a network exists.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from neuron_worker.contract import S3Uri


class ServiceError(Exception):
    """{service}: {cause}"""

    def __init__(self, service: str, cause: str, code: str = "") -> None:
        super().__init__(service, cause, code)
        self.service = service
        self.cause = cause
        self.code = code

    def __str__(self) -> str:
        return str(self.__doc__).format(service=self.service, cause=self.cause)


class Unavailable(ServiceError):
    """{service} is out of reach or asks us to slow down, and retrying did not help: {cause}"""


class Throttled(Unavailable):
    """{service} asks us to slow down, and retrying did not help: {cause}

    Unlike after other failures, the call was surely not carried out.
    """


class Refused(ServiceError):
    """{service} refused the call, and would refuse it again: {cause}"""


class Conflict(ServiceError):
    """{service}: somebody else has changed it meanwhile, read it again: {cause}"""


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery of a message; `sent_at` is when the queue first had it."""

    message_id: str
    receipt_handle: str
    body: str
    receive_count: int
    sent_at: datetime
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """Roughly how many messages a queue holds."""

    visible: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send; attributes are strings."""

    body: str
    attributes: Mapping[str, str] = field(default_factory=dict)


class Queue(Protocol):
    """One SQS queue. Every method may raise `ServiceError`."""

    async def receive(
        self, max_messages: int, wait_seconds: int, visibility_seconds: int
    ) -> list[Received]:
        """Long-poll once; at most 10 messages, hidden from others for `visibility_seconds`."""

    async def extend(self, receipt_handles: Sequence[str], seconds: int) -> set[str]:
        """Hide messages for `seconds` from now (0: show them). Returns the handles that failed."""

    async def delete(self, receipt_handles: Sequence[str]) -> set[str]:
        """Delete messages. Returns the handles that failed."""

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Send messages; returns once all are accepted."""

    async def depth(self) -> QueueDepth:
        """Roughly how many messages there are."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One object of a listing; the etag changes with the content."""

    uri: S3Uri
    etag: str


class Store(Protocol):
    """S3. Every method may raise `ServiceError`."""

    async def get(self, uri: S3Uri) -> bytes | None:
        """An object's content; None where there is none."""

    async def get_with_etag(self, uri: S3Uri) -> tuple[bytes, str] | None:
        """An object's content and etag; None where there is none."""

    async def put(self, uri: S3Uri, content: bytes) -> None:
        """Write an object, whatever is there."""

    async def put_if(self, uri: S3Uri, content: bytes, etag: str | None) -> str:
        """Write an object if it is still the one with that etag (None: if there is none).

        Returns the new etag; raises `Conflict` when the object has changed. One that holds this
        very content is no conflict: what two must not both write has to name its writer.
        """

    async def delete(self, uri: S3Uri) -> None:
        """Delete an object; none there is as good."""

    async def list(self, prefix: S3Uri) -> list[Listed]:
        """All objects under a prefix."""


class JobStatus(StrEnum):
    """A Batch job's state (docs.aws.amazon.com/batch/latest/userguide/job_states.html)."""

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @property
    def ended(self) -> bool:
        """Whether the job will never run again."""
        return self in (JobStatus.SUCCEEDED, JobStatus.FAILED)


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How a job or an array child ended, as Batch tells it; `attempts` are those that are over."""

    exit_code: int | None
    container_reason: str
    status_reason: str
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A job as Batch describes it. `children` counts an array's children by state."""

    job_id: str
    status: JobStatus
    end: JobEnd
    children: Mapping[JobStatus, int] = field(default_factory=dict)
    log_stream: str = ""

    @property
    def begun(self) -> bool:
        """Whether it has an instance, or had one; of an array, any child."""
        states = {self.status, *self.children}
        waiting = {JobStatus.SUBMITTED, JobStatus.PENDING, JobStatus.RUNNABLE}
        return not states <= waiting


@dataclass(frozen=True, slots=True)
class Submission:
    """What SubmitJob is asked for: one job, or an array when `size` is above 1."""

    name: str
    job_queue: str
    job_definition: str
    size: int
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Fleet:
    """A compute environment: its bounds, and the vCPUs that it has or wants to have.

    `fault` says why nothing can be launched; empty when all is well.
    """

    min_vcpus: int
    max_vcpus: int
    desired_vcpus: int
    fault: str = ""


@dataclass(frozen=True, slots=True)
class JobShape:
    """What a job of a definition asks for; `neuron_cores` is NEURON_RT_NUM_CORES, if it is set."""

    vcpus: float
    memory_mib: int
    neuron_cores: str | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """What is registered: a job definition, and the instance types of a queue's environments.

    None for a definition or a queue that is not there.
    """

    shape: JobShape | None
    instance_types: Mapping[str, tuple[str, ...]] | None


class Batch(Protocol):
    """AWS Batch. Every method may raise `ServiceError`."""

    async def submit(self, submission: Submission) -> str:
        """Submit a job; returns its id."""

    async def describe(self, job_ids: Iterable[str]) -> dict[str, Job]:
        """The jobs that Batch knows, by id; an expired or very new one may be missing."""

    async def failed_children(self, job_id: str) -> list[int]:
        """Indexes of an array's failed children."""

    async def find(self, job_queue: str, name: str) -> str | None:
        """The id of the newest job of that name, in any state; None where there is none."""

    async def registration(self, job_queue: str, job_definition: str) -> Registration:
        """What is registered under these names or ARNs."""

    async def fleets(self, compute_environments: Iterable[str]) -> dict[str, Fleet]:
        """The instances of compute environments, by the names they were asked for; one that is not
        there is missing."""

    async def set_bounds(self, compute_environment: str, min_vcpus: int, max_vcpus: int) -> None:
        """Keep at least `min_vcpus` up and launch no more than `max_vcpus`, from now on."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside the dispatcher; without a queue of events, it looks by itself in time."""

    requests: Queue
    dead_letters: Queue
    store: Store
    batch: Batch
    events: Queue | None = None
