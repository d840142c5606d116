"""Gives the model a clock and processes: time moves it on, its effects are carried out."""

import asyncio
import time
from collections.abc import Callable

import structlog

from daemon.embedded.batch.effects import AttemptKey, Changed, Run, Signal, Start, StopSignal
from daemon.embedded.batch.executor import Attendant, Executor, Exit, StartError
from daemon.embedded.batch.model import BatchModel

log = structlog.get_logger(__name__)

TICK_SECONDS = 0.001
"""The least wait for what is not yet due: where the loop's timers and the clock round differently,
a timer rings a hair too early, and an ever shorter wait would never get there."""


def steady_clock() -> Callable[[], float]:
    """A clock of Unix seconds that never goes back, even where the machine's own is set."""
    offset_seconds = time.time() - time.monotonic()
    return lambda: offset_seconds + time.monotonic()


class Driver:
    """Drives one model; all of it happens on the event loop it was made in.

    `now_seconds` answers Unix seconds, never goes back, and runs as fast as the loop's own time:
    on a virtual clock, both are virtual. `on_change` is told of each change that the model reports.
    """

    def __init__(
        self,
        model: BatchModel,
        executor: Executor,
        now_seconds: Callable[[], float] | None = None,
        on_change: Callable[[Changed], None] | None = None,
    ) -> None:
        self.model = model
        self.now_seconds = now_seconds or steady_clock()
        self._executor = executor
        self._on_change = on_change
        self._attendants: dict[AttemptKey, Attendant] = {}
        self._early_signals: dict[AttemptKey, StopSignal] = {}
        self._attempts: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def step(self) -> None:
        """Let due things happen and carry out what the model asks; then wait for what is next."""
        if self._closed:
            return
        self.model.advance(self.now_seconds())
        for effect in self.model.take_effects():
            match effect:
                case Start(run):
                    self._start(run)
                case Signal(key, signal):
                    self._signal(key, signal)
                case Changed() if self._on_change is not None:
                    self._on_change(effect)
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.model.next_deadline()
        if deadline is not None:
            delay_seconds = max(TICK_SECONDS, deadline - self.now_seconds())
            self._timer = asyncio.get_running_loop().call_later(delay_seconds, self.step)

    def lose_instance(self, instance_id: str) -> None:
        """Take an instance away at once, as a Spot reclaim does in the end."""
        log.info("instance_lost", instance_id=instance_id)
        self.model.instance_lost(instance_id, self.now_seconds())
        self.step()

    async def close(self) -> None:
        """Stop every process; nothing is started any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self._executor.close()
        await asyncio.gather(*self._attempts)

    def _start(self, run: Run) -> None:
        task = asyncio.create_task(self._attend(run), name=str(run.key))
        self._attempts.add(task)
        task.add_done_callback(self._attempts.discard)

    def _signal(self, key: AttemptKey, signal: StopSignal) -> None:
        log.info("attempt_signalled", job_id=key.job_id, attempt=key.attempt, signal=str(signal))
        attendant = self._attendants.get(key)
        if attendant is None:
            self._early_signals[key] = signal
        else:
            attendant.signal(signal)

    async def _attend(self, run: Run) -> None:
        """See one attempt through, from its start to its end."""
        key = run.key
        bound = log.bind(job_id=key.job_id, attempt=key.attempt)
        try:
            attendant = await self._executor.start(run)
        except StartError as error:
            bound.warning("attempt_not_started", reason=str(error))
            self._report(key, Exit(None, str(error)))
        else:
            bound.info(
                "attempt_started",
                job_name=run.job_name,
                instance_id=run.instance_id,
                core=run.core,
                log_stream=run.log_stream,
            )
            self._attendants[key] = attendant
            if key in self._early_signals:
                attendant.signal(self._early_signals[key])
            self.model.started(key, self.now_seconds())
            self.step()
            end = await attendant.wait()
            del self._attendants[key]
            bound.info("attempt_exited", exit_code=end.exit_code, reason=end.reason)
            self._report(key, end)
        self._early_signals.pop(key, None)
        self.step()

    def _report(self, key: AttemptKey, end: Exit) -> None:
        self.model.exited(key, end.exit_code, self.now_seconds(), end.reason)
