"""A line and a Batch on which a test says what happens."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from daemon.ports import Fleet, Job, Registration, ServiceError, Submission
from daemon.simulation.line import Killed, Line
from daemon.simulation.weather import Forecast, Weather

T = TypeVar("T")

CALM = Forecast(Weather(slowest_seconds=0.0))


@dataclass
class _Script:
    operation: str
    act: Callable[[], Awaitable[None]]
    heard: bool
    spared: int
    times: int


@dataclass
class Pause:
    """A call that waits: `reached` says that it does, `over` lets it go on."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        """What the call does."""
        self.reached.set()
        await self.over.wait()


class ScriptedLine(Line):
    """A line on which a test says what goes wrong; `log` names every call that was made.

    An operation of "" is any. What is `heard` is carried out before it goes wrong. So many calls of
    the operation as are `spared` go well first.
    """

    def __init__(self, name: str, forecast: Forecast = CALM) -> None:
        super().__init__(name, random.Random(0), forecast)
        self.log: list[str] = []
        self._scripts: list[_Script] = []

    def fail(
        self,
        operation: str,
        error: BaseException,
        *,
        heard: bool = False,
        spared: int = 0,
        times: int = 1,
    ) -> None:
        """Have calls fail."""

        async def act() -> None:
            if isinstance(error, Killed):
                self.cut()
            raise error

        self.do(operation, act, heard=heard, spared=spared, times=times)

    def do(
        self,
        operation: str,
        act: Callable[[], Awaitable[None]],
        *,
        heard: bool = False,
        spared: int = 0,
        times: int = 1,
    ) -> None:
        """Have something done around calls."""
        self._scripts.append(_Script(operation, act, heard, spared, times))

    def die(self, call: int, *, heard: bool) -> None:
        """Kill the process around its call of that number, counted from 0."""
        self.fail("", Killed(self.name), heard=heard, spared=call)

    def pause(self, operation: str, *, heard: bool = False, spared: int = 0) -> Pause:
        """Have a call wait."""
        pause = Pause()
        self.do(operation, pause.wait, heard=heard, spared=spared)
        return pause

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self._scripts.clear()

    async def call(self, service: str, operation: str, effect: Callable[[], T]) -> T:
        """Have something carried out by a service, if the script says nothing else."""
        self.log.append(operation)
        script = self._next(operation)
        if script is not None and not script.heard:
            await script.act()
        answer = await super().call(service, operation, effect)
        if script is not None and script.heard:
            await script.act()
        return answer

    def _next(self, operation: str) -> _Script | None:
        due = None
        for script in self._scripts:
            if script.operation not in ("", operation) or not script.times:
                continue
            if script.spared:
                script.spared -= 1
            elif due is None:
                script.times -= 1
                due = script
        return due


class ScriptedBatch:
    """Batch as a test tells it: `jobs` are what is described, submitted ones only once told."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.failed: dict[str, list[int]] = {}
        self.submitted: list[Submission] = []
        self.error: ServiceError | None = None
        self.fleet: dict[str, Fleet] = {}
        self.registered = Registration(None, None)
        self.bounds: list[tuple[str, int, int]] = []
        self.refusals: dict[str, ServiceError] = {}

    def _answer(self) -> None:
        if self.error is not None:
            raise self.error

    async def submit(self, submission: Submission) -> str:
        """A job whose id is `job-` and its number."""
        self._answer()
        self.submitted.append(submission)
        return f"job-{len(self.submitted)}"

    async def describe(self, job_ids: Iterable[str]) -> dict[str, Job]:
        """What the test told of them."""
        self._answer()
        return {job_id: self.jobs[job_id] for job_id in job_ids if job_id in self.jobs}

    async def failed_children(self, job_id: str) -> list[int]:
        """What the test told."""
        self._answer()
        return self.failed.get(job_id, [])

    async def find(self, job_queue: str, name: str) -> str | None:
        """The job that was submitted under that name."""
        self._answer()
        names = [submission.name for submission in self.submitted]
        return f"job-{names.index(name) + 1}" if name in names else None

    async def registration(self, job_queue: str, job_definition: str) -> Registration:
        """What the test told."""
        self._answer()
        return self.registered

    async def fleets(self, compute_environments: Iterable[str]) -> dict[str, Fleet]:
        """What the test told, for all of them that it knows."""
        self._answer()
        return {name: self.fleet[name] for name in compute_environments if name in self.fleet}

    async def set_bounds(self, compute_environment: str, min_vcpus: int, max_vcpus: int) -> None:
        """Kept in `bounds`, and so the fleet is from then on."""
        self._answer()
        if compute_environment in self.refusals:
            raise self.refusals[compute_environment]
        self.bounds.append((compute_environment, min_vcpus, max_vcpus))
        known = self.fleet[compute_environment]
        desired = max(min_vcpus, known.desired_vcpus)
        self.fleet[compute_environment] = Fleet(min_vcpus, max_vcpus, desired)
