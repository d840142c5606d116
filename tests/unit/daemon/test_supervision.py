import asyncio
from collections.abc import Awaitable, Callable

import pytest

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
