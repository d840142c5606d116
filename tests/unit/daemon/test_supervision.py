import asyncio
from collections.abc import Awaitable, Callable

import pytest

from daemon.liveness import getting_on
from daemon.metrics import Metrics
from daemon.ports import Unavailable
from daemon.supervision import Loop, LoopFailed, Supervisor


def supervised(*loops: Loop) -> tuple[Supervisor, asyncio.Event, Metrics]:
    stopping, metrics = asyncio.Event(), Metrics()
    return Supervisor(loops, stopping, metrics), stopping, metrics


def loop(name: str, round_: Callable[[], Awaitable[object]], deadline: float = 60) -> Loop:
    return Loop(name, round_, 0.001, deadline)


async def test_loops_make_rounds_until_they_are_told_to_stop() -> None:
    rounds = 0

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            stopping.set()

    supervisor, stopping, _ = supervised(loop("work", work))
    await supervisor.run(grace_seconds=5)

    assert rounds == 3


async def test_how_long_each_loop_rests_is_told_as_soon_as_it_runs() -> None:
    async def work() -> None:
        stopping.set()

    resting, polling = Loop("resting", work, 30.0, 60), Loop("polling", work, 0.0, 60)
    supervisor, stopping, metrics = supervised(resting, polling)
    await supervisor.run(grace_seconds=5)

    value = metrics.registry.get_sample_value
    assert value("whisper_fleet_loop_period_seconds", {"loop": "resting"}) == 30
    assert value("whisper_fleet_loop_period_seconds", {"loop": "polling"}) == 0


async def test_a_failing_service_is_counted_and_tried_again() -> None:
    rounds = 0

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise Unavailable("sqs", "connection refused")
        stopping.set()

    supervisor, stopping, metrics = supervised(loop("work", work))
    await supervisor.run(grace_seconds=5)

    assert rounds == 2
    assert metrics.total("loop_failures_total") == 1


async def test_a_loop_that_dies_ends_all_of_them_by_its_name() -> None:
    async def die() -> None:
        raise KeyError("surprise")

    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    supervisor, _, _ = supervised(loop("planner", die), loop("intake", work))
    with pytest.raises(LoopFailed, match=r"'planner' failed.*KeyError: 'surprise'"):
        await supervisor.run(grace_seconds=5)

    assert ended.is_set()


async def test_a_loop_that_stalls_ends_all_of_them_by_its_name() -> None:
    supervisor, _, _ = supervised(loop("reconcile", asyncio.Event().wait, deadline=0))
    with pytest.raises(LoopFailed, match="'reconcile' failed"):
        await supervisor.run(grace_seconds=5)


@pytest.mark.looptime
@pytest.mark.parametrize("deep", [False, True], ids=["itself", "by what it starts"])
async def test_a_long_round_that_gets_on_is_no_stall(deep: bool) -> None:
    async def step() -> None:
        await asyncio.sleep(50)
        getting_on()

    async def work() -> None:
        for _ in range(10):
            await (asyncio.gather(step()) if deep else step())
        stopping.set()

    supervisor, stopping, _ = supervised(loop("reconcile", work, deadline=60))
    await supervisor.run(grace_seconds=5)

    assert asyncio.get_running_loop().time() == pytest.approx(500, abs=1)


@pytest.mark.looptime
async def test_signs_of_life_of_one_loop_are_not_those_of_another() -> None:
    async def busy() -> None:
        await asyncio.sleep(1)
        getting_on()

    supervisor, _, _ = supervised(
        loop("busy", busy), loop("reconcile", asyncio.Event().wait, deadline=60)
    )
    with pytest.raises(LoopFailed, match=r"'reconcile' failed.*no sign of life for 60 s"):
        await supervisor.run(grace_seconds=5)

    assert asyncio.get_running_loop().time() == pytest.approx(61, abs=1.5)


async def test_a_round_in_progress_is_finished_not_cancelled() -> None:
    finished = []
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def receive() -> None:
        begun.set()
        await may_end.wait()
        finished.append("messages")

    supervisor, stopping, _ = supervised(loop("intake", receive))
    running = asyncio.create_task(supervisor.run(grace_seconds=5))
    await begun.wait()
    stopping.set()
    may_end.set()
    await running

    assert finished == ["messages"]


async def test_a_loop_that_will_not_stop_is_named_when_the_grace_is_over() -> None:
    begun = asyncio.Event()

    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    supervisor, stopping, _ = supervised(loop("intake", hang))
    running = asyncio.create_task(supervisor.run(grace_seconds=0.01))
    await begun.wait()
    stopping.set()

    with pytest.raises(LoopFailed, match=r"'intake' failed.*did not stop within"):
        await running
