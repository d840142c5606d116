"""A backlog far beyond what the daemon answers for at once, and no instance to work on it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dispatch_bench.contenders import DAEMON, bodies
from tests.dispatch_bench.process import Process
from tests.dispatch_bench.services import Services, open_services

pytestmark = pytest.mark.long

BACKLOG = 1_000_000
RESIDENT_MAX_MIB = 300
NEVER_SECONDS = 1e9
LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 280.0
RECEIVED_AT_ONCE = 2 * 10
"""By two pollers: what may come above the window, when both look at it at the same time."""

LOOKS = 2
"""At the queue's depth, one every 15 s: reconcile, the planner and intake have rounds meanwhile."""


@pytest.mark.parametrize("window", [20_000, 50_000])
async def test_a_million_messages_wait_in_the_queue_and_take_no_memory(
    window: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_services(tmp_path, boot_seconds=NEVER_SECONDS) as services:
        services.send(bodies(BACKLOG))
        told = {"WHISPER_FLEET_INTAKE__OUTSTANDING_MAX": str(window)}
        process = Process(
            DAEMON.command(services), {**services.environment, **told}, tmp_path / "log"
        )
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await _until(lambda: services.waiting.in_flight >= window, process)
                await _rounds(services, process)
                taken = services.waiting.in_flight
                await _rounds(services, process)
            later = services.waiting
            peak_mib = process.peak_resident_mib
        finally:
            await asyncio.to_thread(process.stop)
        assert window <= taken <= window + RECEIVED_AT_ONCE
        assert later.in_flight == taken, "it receives though the window is full"
        assert later.visible == BACKLOG - taken
        with capsys.disabled():
            print(f"\nwindow of {window:,} messages: {peak_mib:.0f} MiB resident at most")  # noqa: T201
        assert peak_mib < RESIDENT_MAX_MIB


async def _until(reached: Callable[[], bool], process: Process) -> None:
    while not reached():
        process.check()
        await asyncio.sleep(LOOK_SECONDS)


async def _rounds(services: Services, process: Process) -> None:
    """Let every loop of the daemon have some rounds."""
    wanted = services.calls["sqs", "GetQueueAttributes"] + LOOKS
    await _until(lambda: services.calls["sqs", "GetQueueAttributes"] >= wanted, process)
