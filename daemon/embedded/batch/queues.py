"""Job queues: the RUNNABLE jobs in the order in which they were submitted.

A queue is strictly first in, first out: a job at its head that cannot be placed blocks the jobs
behind it, as in AWS (docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html). A
job that is retried takes up its old place; where AWS puts it is UNVERIFIED.
"""

import heapq
from collections import Counter
from dataclasses import dataclass, field

from daemon.embedded.batch.definitions import Shape
from daemon.embedded.batch.fleet import ComputeEnvironment
from daemon.embedded.batch.jobs import Job, JobState


@dataclass(slots=True, eq=False)
class JobQueue:
    """One queue; `environments` in the order in which they are tried.

    `waiting` counts the RUNNABLE jobs by shape.
    """

    name: str
    arn: str
    priority: int
    enabled: bool
    environments: tuple[ComputeEnvironment, ...]
    tags: dict[str, str] = field(default_factory=dict)
    waiting: Counter[Shape] = field(default_factory=Counter)
    _line: list[tuple[int, int, Job]] = field(default_factory=list)

    def join(self, job: Job) -> None:
        """Line up a job that has become RUNNABLE."""
        heapq.heappush(self._line, (job.number, job.index or 0, job))
        self.waiting[job.shape] += 1

    def head(self) -> Job | None:
        """The RUNNABLE job whose turn it is."""
        while self._line and self._line[0][2].state is not JobState.RUNNABLE:
            heapq.heappop(self._line)
        return self._line[0][2] if self._line else None

    def take_head(self) -> None:
        """Take the job at the head out of the line."""
        self.withdraw(heapq.heappop(self._line)[2])

    def withdraw(self, job: Job) -> None:
        """Count out a job that no longer waits; further back, it leaves the line when reached."""
        self.waiting[job.shape] -= 1
        if not self.waiting[job.shape]:
            del self.waiting[job.shape]
