import asyncio
from typing import Any

import pytest

from daemon.embedded.batch.driver import Driver
from daemon.embedded.batch.effects import Run, StopSignal
from daemon.embedded.batch.executor import Exit, StartError
from daemon.embedded.batch.jobs import JobState
from daemon.embedded.batch.pace import Pace


class Attempt:
    """An attempt that runs until it is signalled, or ends in a given way after some time."""

    def __init__(self, end: Exit | None = None, seconds: float = 0) -> None:
        self.end: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        if end is not None:
            asyncio.get_running_loop().call_later(seconds, self.end.set_result, end)

    async def wait(self) -> Exit:
        return await self.end

    def signal(self, stop_signal: StopSignal) -> None:
        if not self.end.done():
            self.end.set_result(Exit({StopSignal.TERM: 143, StopSignal.KILL: 137}[stop_signal]))


class SlowExecutor:
    """An executor whose starts take until `go` is set, and fail where `problem` is."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.problem: str | None = None
        self.asked = asyncio.Event()

    async def start(self, run: Run) -> Attempt:
        self.asked.set()
        await self.go.wait()
        if self.problem is not None:
            raise StartError(self.problem)
        return Attempt()

    async def close(self) -> None:
        self.go.set()


class InMemory:
    """An executor whose attempts all take the same time and end in the same way."""

    def __init__(self, end: Exit, seconds: float) -> None:
        self._end = end
        self._seconds = seconds

    async def start(self, run: Run) -> Attempt:
        return Attempt(self._end, self._seconds)

    async def close(self) -> None:
        """Attempts end by themselves."""


@pytest.fixture
async def executor() -> SlowExecutor:
    return SlowExecutor()


@pytest.fixture
async def driver(make_stage: Any, executor: SlowExecutor) -> Driver:
    return Driver(make_stage(Pace(boot_seconds=0)).model, executor)


@pytest.fixture
def submit(make_stage: Any, driver: Driver) -> Any:
    def submit(**registered: Any) -> Any:
        stage = make_stage(Pace())
        stage.model, stage.now = driver.model, driver.now_seconds()
        stage.queue(stage.environment())
        job = stage.submit(**registered)
        driver.step()
        return job

    return submit


async def until(job: Any, state: JobState) -> None:
    async with asyncio.timeout(5):
        while job.state is not state:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_a_job_is_starting_until_its_process_runs(
    driver: Driver, executor: SlowExecutor, submit: Any
) -> None:
    job = submit()
    await executor.asked.wait()
    assert job.state is JobState.STARTING
    executor.go.set()
    await until(job, JobState.RUNNING)


async def test_a_signal_that_comes_before_the_process_is_not_lost(
    driver: Driver, executor: SlowExecutor, submit: Any
) -> None:
    job = submit()
    await executor.asked.wait()
    driver.model.terminate(job.job_id, "superseded", driver.now_seconds())
    driver.step()
    executor.go.set()
    await until(job, JobState.FAILED)
    assert (job.status_reason, job.attempts[0].exit_code) == ("superseded", 143)


async def test_a_start_that_fails_is_an_attempt_that_failed(
    driver: Driver, executor: SlowExecutor, submit: Any
) -> None:
    executor.problem = "no such program"
    executor.go.set()
    job = submit(retryStrategy={"attempts": 2})
    await until(job, JobState.FAILED)
    reasons = [attempt.reason for attempt in job.attempts]
    assert reasons == ["CannotStartContainerError: no such program"] * 2


async def test_time_alone_moves_the_model_on(driver: Driver, submit: Any) -> None:
    moments: list[float] = []
    happened = asyncio.Event()
    job = submit()
    due = driver.now_seconds() + 0.01
    driver.model._agenda.at(due, lambda now: moments.append(now) or happened.set())
    driver.step()
    async with asyncio.timeout(5):
        await happened.wait()
    assert moments[0] >= due
    assert job.state is JobState.STARTING


async def test_nothing_is_started_after_the_end(
    driver: Driver, executor: SlowExecutor, submit: Any
) -> None:
    executor.problem = "the service is stopping"
    job = submit(retryStrategy={"attempts": 10})
    await executor.asked.wait()
    await driver.close()
    assert len(job.attempts) == 1


OUT_OF_MEMORY = Exit(137, "OutOfMemoryError: Container killed due to memory usage")


@pytest.mark.looptime
async def test_a_virtual_clock_drives_hours_of_attempts_in_memory(make_stage: Any) -> None:
    loop = asyncio.get_running_loop()
    began = 1_800_000_000.123
    stage = make_stage(Pace(boot_seconds=100.7, idle_seconds=300.1))
    driver = Driver(stage.model, InMemory(OUT_OF_MEMORY, 7_200.3), lambda: began + loop.time())
    stage.now = driver.now_seconds()
    stage.queue(stage.environment())
    job = stage.submit(retryStrategy={"attempts": 3})
    driver.step()
    await asyncio.sleep(7 * 3_600)
    await driver.close()

    assert [attempt.reason for attempt in job.attempts] == [OUT_OF_MEMORY.reason] * 3
    assert job.stopped_at == pytest.approx(began + 100.7 + 3 * 7_200.3, abs=0.1)
    [instance] = driver.model.figures(driver.now_seconds()).instances
    assert instance.ended_at == pytest.approx(job.stopped_at + 300.1, abs=0.1)
