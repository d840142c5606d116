"""What the keeper of a daemon sees of it, over HTTP and over systemd's socket."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import aiohttp
import pytest

from daemon import dispatcher as dispatching
from daemon import supervision
from daemon.aws.world import open_world
from daemon.dispatcher import Dispatcher
from daemon.monitor import monitor
from daemon.ports import Listed, Queue, Received, Store
from daemon.settings import load
from daemon.systemd import kept_informed
from neuron_worker.contract import S3Uri
from tests.listening import Listener
from tests.running import LOOK_PERIOD_SECONDS, PATIENCE_SECONDS, Cloud, Daemon


async def test_systemd_hears_of_the_real_daemon_from_start_to_stop(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Listener(str(tmp_path / "notify")) as listener:
        monkeypatch.setenv("NOTIFY_SOCKET", listener.address)
        monkeypatch.setenv("WATCHDOG_USEC", "500000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        daemon = Daemon(cloud.config())
        try:
            assert await listener.hear("READY") == "1"
            assert await listener.hear("STATUS") == "0 held, 0 under way in 0 orders, lanes " + (
                cloud.parts.compute_environment
            )
            for _ in range(3):
                assert await listener.hear("WATCHDOG") == "1"
            assert not listener.heard("STOPPING")

            assert await asyncio.to_thread(daemon.terminate) == 0
            assert await listener.hear("STOPPING") == "1"
        finally:
            await asyncio.to_thread(daemon.close)


class HangingQueue:
    """The request queue, but a receive is never answered."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def __getattr__(self, name: str) -> object:
        return getattr(self._queue, name)

    async def receive(self, *_: int) -> list[Received]:
        await asyncio.Event().wait()
        return []


class SlowStore:
    """The store, but listing waits until it may."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.may_list = asyncio.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def list(self, prefix: S3Uri) -> list[Listed]:
        await self.may_list.wait()
        return await self._store.list(prefix)


@asynccontextmanager
async def kept(dispatcher: Dispatcher, environment: Mapping[str, str]) -> AsyncIterator[str]:
    """The dispatcher with its monitor, as the daemon's command puts them together; its URL."""
    settings = dispatcher.settings.monitor
    registry = dispatcher.metrics.registry
    async with (
        kept_informed(dispatcher, environment),
        monitor(
            settings, registry, health=dispatcher.unhealthy, readiness=dispatcher.unready
        ) as url,
    ):
        running = asyncio.create_task(dispatcher.run())
        try:
            yield url
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def until_status(url: str, wanted: int) -> str:
    """Ask until the answer has that status; its text."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            status, words = await get(url)
            if status == wanted:
                return words
            await asyncio.sleep(LOOK_PERIOD_SECONDS)


async def test_a_stalled_loop_turns_health_red_and_silences_the_watchdog(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatching, "SILENCE_MAX_SECONDS", 2.0)
    # Else the process would be gone before anybody could look.
    monkeypatch.setattr(supervision, "WATCH_SECONDS", 600.0)
    settings = load(cloud.config())
    queues = settings.queues
    with Listener(str(tmp_path / "notify")) as listener:
        environment = {"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "200000"}
        async with open_world(queues.requests, queues.dead_letters) as world:
            hanging = replace(world, requests=cast(Queue, HangingQueue(world.requests)))
            async with kept(Dispatcher(settings, hanging), environment) as url:
                assert await listener.hear("WATCHDOG") == "1"
                assert await get(f"{url}/healthz") == (200, "ok")

                words = await until_status(f"{url}/healthz", 503)
                assert words == "stalled: intake-0, intake-1"
                while await listener.hear("STATUS") != words:
                    pass
                pings = len(listener.heard("WATCHDOG"))
                for _ in range(3):
                    assert await listener.hear("STATUS") == words
                assert len(listener.heard("WATCHDOG")) == pings


async def test_until_the_start_is_complete_a_daemon_is_healthy_but_not_ready(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(cloud.config())
    queues = settings.queues
    with Listener(str(tmp_path / "notify")) as listener:
        environment = {"NOTIFY_SOCKET": listener.address}
        async with open_world(queues.requests, queues.dead_letters) as world:
            store = SlowStore(world.store)
            starting = replace(world, store=cast(Store, store))
            async with kept(Dispatcher(settings, starting), environment) as url:
                assert await get(f"{url}/readyz") == (503, "not started yet")
                assert await get(f"{url}/healthz") == (200, "ok")
                assert not listener.heard("READY")

                store.may_list.set()
                assert await until_status(f"{url}/readyz", 200) == "ok"
                assert await listener.hear("READY") == "1"
