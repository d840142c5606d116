"""Amazon SQS as a state machine: the standard queues of one account in one region.

Like `queue`, it knows neither how time passes nor a wire. `advance` moves dead letters that a task
is to move by now; ask for it no later than `next_deadline` says.

Where this departs from AWS: a queue can be used as soon as it is created, and is gone with all it
holds as soon as it is deleted. A queue whose dead-letter queue was deleted keeps its messages.
"""

import json
import random
import re
from base64 import urlsafe_b64encode
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from daemon.embedded.sqs import limits
from daemon.embedded.sqs.errors import (
    InvalidParameterError,
    NotEmulatedError,
    QueueDeletedRecentlyError,
    QueueNameExistsError,
    ResourceNotFoundError,
    UnsupportedOperationError,
)
from daemon.embedded.sqs.moves import MoveStatus, MoveTask
from daemon.embedded.sqs.queue import DeadLetters, Queue
from daemon.embedded.sqs.settings import QueueSettings, differences, parse

FIFO_SUFFIX = ".fifo"


@dataclass(frozen=True, slots=True)
class Account:
    """Whose queues these are, and where."""

    region: str = "us-east-1"
    number: str = "000000000000"

    def arn(self, queue_name: str) -> str:
        """The ARN of a queue."""
        return f"arn:aws:sqs:{self.region}:{self.number}:{queue_name}"


@dataclass(slots=True, eq=False)
class QueueRecord:
    """A queue with what is written down about it. Times are Unix seconds."""

    queue: Queue
    created_at: float
    modified_at: float
    tags: dict[str, str] = field(default_factory=dict)


class SqsModel:
    """All queues and move tasks. `source` is where ids come from, as for `Queue`."""

    def __init__(
        self,
        account: Account,
        source: random.Random,
        *,
        in_flight_max: int = limits.IN_FLIGHT_MAX,
    ) -> None:
        self.account = account
        self.queues: dict[str, QueueRecord] = {}
        self._source = source
        self._in_flight_max = in_flight_max
        self._deleted_at: dict[str, float] = {}
        self._tasks: dict[str, deque[MoveTask]] = {}

    def create(
        self,
        name: str,
        attributes: Mapping[str, str],
        tags: Mapping[str, str],
        now_seconds: float,
    ) -> Queue:
        """Make a queue, or find it if it exists with these attributes.

        UNVERIFIED: attributes that are not given are not compared with those of the queue there is.
        """
        if name.endswith(FIFO_SUFFIX):
            raise NotEmulatedError(
                what=f"FIFO queues such as {name!r}", remedy="Create a standard queue"
            )
        if not re.fullmatch(limits.QUEUE_NAME_PATTERN, name):
            problem = "Can only include 1 to 80 alphanumeric characters, hyphens and underscores"
            raise InvalidParameterError(name="QueueName", value=name, problem=problem)
        if name in self.queues:
            queue = self.queues[name].queue
            wanted = parse(attributes, queue.settings)
            if wanted != queue.settings:
                different = ", ".join(differences(wanted, queue.settings))
                raise QueueNameExistsError(name=name, attributes=different)
            return queue
        self._check_name_is_free(name, now_seconds)
        settings = parse(attributes, QueueSettings())
        arn = self.account.arn(name)
        self._check_redrive(settings, arn)
        queue = Queue(arn, self._source, settings, in_flight_max=self._in_flight_max)
        self.queues[name] = QueueRecord(queue, now_seconds, now_seconds, dict(tags))
        self._connect_dead_letters()
        return queue

    def change(
        self, record: QueueRecord, attributes: Mapping[str, str], now_seconds: float
    ) -> None:
        """Set attributes of a queue; they hold for the messages that are in it, too."""
        settings = parse(attributes, record.queue.settings)
        self._check_redrive(settings, record.queue.arn)
        record.queue.settings = settings
        record.modified_at = now_seconds
        self._connect_dead_letters()

    def delete(self, name: str, now_seconds: float) -> None:
        """Delete a queue with its messages."""
        del self.queues[name]
        self._deleted_at[name] = now_seconds
        self._connect_dead_letters()

    def find(self, arn: str) -> Queue | None:
        """A queue by its ARN."""
        record = self.queues.get(arn.rpartition(":")[2])
        return record.queue if record is not None and record.queue.arn == arn else None

    def sources(self, target_arn: str) -> Iterator[str]:
        """Names of the queues whose dead letters go to that one."""
        for name in sorted(self.queues):
            redrive = self.queues[name].queue.settings.redrive
            if redrive is not None and redrive.target_arn == target_arn:
                yield name

    def start_move(
        self, source_arn: str, destination_arn: str | None, rate: int | None, now_seconds: float
    ) -> MoveTask:
        """Begin to move the dead letters of a queue, one task at a time."""
        source = self.find(source_arn)
        if source is None:
            raise ResourceNotFoundError(parameter="SourceArn")
        if destination_arn is not None and self.find(destination_arn) is None:
            raise ResourceNotFoundError(parameter="DestinationArn")
        if not any(self.sources(source_arn)):
            problem = "Source queue must be configured as a Dead Letter Queue"
            raise InvalidParameterError(name="SourceArn", value=source_arn, problem=problem)
        tasks = self._tasks.setdefault(source_arn, deque(maxlen=limits.MOVE_TASKS_LISTED_MAX))
        if any(task.status is MoveStatus.RUNNING for task in tasks):
            problem = (
                "There is already a task running. Only one active task is allowed for a source "
                "queue arn at a given time"
            )
            raise UnsupportedOperationError(problem=problem)
        handle = self._task_handle(source_arn)
        to_move = source.counts(now_seconds).visible
        task = MoveTask(handle, source_arn, destination_arn, rate, now_seconds, to_move)
        tasks.appendleft(task)
        return task

    def move_tasks(self, source_arn: str) -> list[MoveTask]:
        """The newest tasks of a queue, the last one first."""
        if self.find(source_arn) is None:
            raise ResourceNotFoundError(parameter="SourceArn")
        return list(self._tasks.get(source_arn, ()))

    def cancel_move(self, handle: str) -> MoveTask:
        """Stop a running task; what it has moved stays moved."""
        for task in self._all_tasks():
            if task.handle == handle:
                if task.status is not MoveStatus.RUNNING:
                    problem = f"Only running tasks can be cancelled; this one is {task.status}"
                    raise UnsupportedOperationError(problem=problem)
                task.cancel()
                return task
        raise ResourceNotFoundError(parameter="TaskHandle")

    def advance(self, now_seconds: float) -> None:
        """Move what is to be moved by now."""
        for task in self._all_tasks():
            task.advance(self.find, now_seconds)

    def next_deadline(self) -> float | None:
        """When `advance` is needed next, in Unix seconds; None if no task is running."""
        running = (task for task in self._all_tasks() if task.status is MoveStatus.RUNNING)
        return min((task.next_move_at for task in running), default=None)

    def _all_tasks(self) -> Iterator[MoveTask]:
        for tasks in self._tasks.values():
            yield from tasks

    def _task_handle(self, source_arn: str) -> str:
        document = {"taskId": f"{self._source.getrandbits(128):032x}", "sourceArn": source_arn}
        return urlsafe_b64encode(json.dumps(document).encode()).decode()

    def _check_name_is_free(self, name: str, now_seconds: float) -> None:
        deleted_at = self._deleted_at.pop(name, None)
        if deleted_at is not None and 0 <= now_seconds - deleted_at < limits.NAME_REUSE_SECONDS:
            self._deleted_at[name] = deleted_at
            raise QueueDeletedRecentlyError(name=name, seconds=now_seconds - deleted_at)

    def _check_redrive(self, settings: QueueSettings, arn: str) -> None:
        redrive = settings.redrive
        if redrive is None:
            return
        target = self.find(redrive.target_arn)
        if target is None:
            problem = "Dead letter target does not exist"
        elif target.arn == arn:
            problem = "Dead letter target must be another queue"
        elif (allow := target.settings.redrive_allow) is not None and not allow.allows(arn):
            problem = "Dead letter target does not allow this source queue (RedriveAllowPolicy)"
        else:
            return
        raise InvalidParameterError(name="RedrivePolicy", value=redrive.write(), problem=problem)

    def _connect_dead_letters(self) -> None:
        """Point every queue at the queue that its policy names, while there is one."""
        for record in self.queues.values():
            redrive = record.queue.settings.redrive
            target = self.find(redrive.target_arn) if redrive is not None else None
            record.queue.dead_letters = (
                DeadLetters(target, redrive.receives_max) if redrive and target else None
            )
