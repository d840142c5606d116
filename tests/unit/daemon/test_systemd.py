import asyncio
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import structlog

from daemon.systemd import kept_informed
from tests.listening import Listener


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@wf-{os.getpid()}"
    with Listener(address) as listener:
        yield listener


class Process:
    """A process with a health of its own."""

    def __init__(self, wrong: str | None = None) -> None:
        self.started, self.stopping = asyncio.Event(), asyncio.Event()
        self.wrong = wrong

    def unhealthy(self) -> str | None:
        return self.wrong

    def standing(self) -> str:
        return "3 held,\n12 under way"


def watched(listener: Listener, seconds: float = 0.02) -> Mapping[str, str]:
    microseconds = str(int(seconds * 1e6))
    return {
        "NOTIFY_SOCKET": listener.address,
        "WATCHDOG_USEC": microseconds,
        "WATCHDOG_PID": str(os.getpid()),
    }


async def test_it_is_ready_when_it_has_started_and_not_before(listener: Listener) -> None:
    process = Process()
    async with kept_informed(process, {"NOTIFY_SOCKET": listener.address}):
        await asyncio.sleep(0)
        assert listener.waiting() is None
        process.started.set()
        assert await listener.hear("READY") == "1"
        assert await listener.hear("STATUS") == "3 held, 12 under way"
        process.stopping.set()
        assert await listener.hear("STOPPING") == "1"


async def test_the_watchdog_is_pinged_again_and_again_while_all_is_well(
    listener: Listener,
) -> None:
    process = Process()
    process.started.set()
    async with kept_informed(process, watched(listener)):
        for _ in range(3):
            assert await listener.hear("WATCHDOG") == "1"


async def test_the_watchdog_is_not_pinged_while_a_loop_is_stalled(listener: Listener) -> None:
    process = Process(wrong="stalled: reconcile")
    process.started.set()
    async with kept_informed(process, watched(listener)):
        for _ in range(3):
            assert await listener.hear("STATUS") == "stalled: reconcile"
        assert not listener.heard("WATCHDOG")
        process.wrong = None
        assert await listener.hear("WATCHDOG") == "1"


@pytest.mark.parametrize("change", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}])
async def test_a_watchdog_of_another_process_is_not_pinged(
    listener: Listener, change: Mapping[str, str]
) -> None:
    process = Process()
    process.started.set()
    async with kept_informed(process, {**watched(listener), **change}):
        await listener.hear("STATUS")

    assert not listener.heard("WATCHDOG")


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
async def test_without_a_socket_nothing_is_done(
    environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> socket.socket:
        raise AssertionError("a socket was opened")

    process = Process()
    process.started.set()
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", never)
        async with kept_informed(process, environment):
            await asyncio.sleep(0)


async def test_a_systemd_that_is_gone_hurts_nobody_and_is_told_when_it_is_back(
    tmp_path: Path,
) -> None:
    address = str(tmp_path / "notify")
    process = Process()
    process.started.set()
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000"}
    with structlog.testing.capture_logs() as lines:
        async with kept_informed(process, environment):
            await asyncio.sleep(0)
            with Listener(address) as listener:
                assert await listener.hear("WATCHDOG") == "1"

    assert [line["event"] for line in lines] == ["systemd_not_told"], "it is said once"
