"""Supervision: named loops that end together.

Each loop makes rounds until it is told to stop. A round that meets a failing service is counted and
made again; any other error, or a round that takes longer than its deadline, ends the process with
the loop's name in the log, because half a daemon is worse than none.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from daemon.liveness import listen
from daemon.metrics import Metrics
from daemon.ports import ServiceError

log = structlog.get_logger()


class LoopFailed(Exception):
    """The loop {name!r} failed and the daemon cannot go on without it: {cause}"""

    def __init__(self, name: str, cause: str) -> None:
        super().__init__(name, cause)
        self.name = name
        self.cause = cause

    def __str__(self) -> str:
        return str(self.__doc__).format(name=self.name, cause=self.cause)


def _loop_time() -> float:
    """The event loop's own clock, in seconds: monotonic, and virtual where the loop's time is."""
    return asyncio.get_running_loop().time()


@dataclass(slots=True)
class Loop:
    """A named job done over and over. `deadline_seconds` bounds a silence: from one sign of life
    to the next, of which the end of a round is one (see `liveness`).

    `fault` is why the last round failed, or None.
    """

    name: str
    round: Callable[[], Awaitable[object]]
    period_seconds: float
    deadline_seconds: float
    heard_at: float | None = None
    """When it last gave a sign of life, on the event loop's clock; None until it runs."""
    fault: str | None = None

    @property
    def stalled(self) -> bool:
        """Whether it has been silent for too long."""
        allowed_seconds = self.deadline_seconds + self.period_seconds
        return self.heard_at is not None and _loop_time() - self.heard_at > allowed_seconds

    def beat(self) -> None:
        """A sign of life."""
        self.heard_at = _loop_time()


class Supervisor:
    """Runs loops until `stopping` is set."""

    def __init__(self, loops: Sequence[Loop], stopping: asyncio.Event, metrics: Metrics) -> None:
        self.loops = loops
        self._stopping = stopping
        self._metrics = metrics

    async def run(self, grace_seconds: float) -> None:
        """Return when every loop has stopped in its own time.

        Raises `LoopFailed` when one dies, stalls, or does not stop within the grace.
        """
        tasks = {
            asyncio.create_task(self._repeat(loop), name=loop.name): loop for loop in self.loops
        }
        watch = asyncio.create_task(self._watch(), name="watch")
        stop = asyncio.create_task(self._stopping.wait(), name="stop")
        try:
            await asyncio.wait([*tasks, watch, stop], return_when=asyncio.FIRST_COMPLETED)
            _raise_failure([*tasks, watch])
            done, late = await asyncio.wait(tasks, timeout=grace_seconds)
            _raise_failure(done)
            if late:
                name = next(iter(late)).get_name()
                raise LoopFailed(name, f"it did not stop within {grace_seconds:g} s")
        finally:
            for task in (*tasks, watch, stop):
                task.cancel()
            await asyncio.gather(*tasks, watch, stop, return_exceptions=True)

    async def _repeat(self, loop: Loop) -> None:
        self._metrics.loop_period_seconds.labels(loop.name).set(loop.period_seconds)
        loop.beat()
        listen(loop.beat)
        while not self._stopping.is_set():
            pause_seconds = loop.period_seconds
            try:
                await loop.round()
                loop.fault = None
                self._metrics.loop_beat.labels(loop.name).set_to_current_time()
            except ServiceError as error:
                self._metrics.loop_failures.labels(loop.name).inc()
                loop.fault = str(error)
                log.warning("round_failed", loop=loop.name, cause=loop.fault)
                pause_seconds = max(
                    RECOVERY_MIN_SECONDS, min(loop.period_seconds, RECOVERY_MAX_SECONDS)
                )
            loop.beat()
            await self._pause(pause_seconds)

    async def _watch(self) -> None:
        while not self._stopping.is_set():
            for loop in self.loops:
                if loop.stalled:
                    raise LoopFailed(loop.name, f"no sign of life for {loop.deadline_seconds:g} s")
            await self._pause(WATCH_SECONDS)

    async def _pause(self, seconds: float) -> None:
        await pause(seconds, self._stopping)


async def pause(seconds: float, stopping: asyncio.Event) -> None:
    """Wait, but no longer than until the stop."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        pass


RECOVERY_MIN_SECONDS, RECOVERY_MAX_SECONDS = 1.0, 15.0
"""Between these, how long after a failing service until the next try."""

WATCH_SECONDS = 1.0


def _raise_failure(tasks: Sequence["asyncio.Task[None]"] | set["asyncio.Task[None]"]) -> None:
    for task in tasks:
        if task.done() and (error := task.exception()) is not None:
            if isinstance(error, LoopFailed):
                raise error
            raise LoopFailed(task.get_name(), f"{type(error).__name__}: {error}") from error
