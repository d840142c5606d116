"""What systemd is told of the daemon: that it is ready, alive, stopping, and how it stands.

A small module of our own instead of a library: the protocol is one datagram of `NAME=value` lines
to the socket that `NOTIFY_SOCKET` names (sd_notify(3)). Without that variable nothing is done.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

import structlog

log = structlog.get_logger()

STATUS_PERIOD_SECONDS = 15.0
"""How often systemd is told how the daemon stands, unless its watchdog asks for more."""

PINGS_PER_TIMEOUT = 2
"""As sd_watchdog_enabled(3) recommends."""


class Kept(Protocol):
    """A process as its keeper sees it."""

    started: asyncio.Event
    stopping: asyncio.Event

    def unhealthy(self) -> str | None:
        """Why the process should be restarted, or None."""

    def standing(self) -> str:
        """How it stands, in a line."""


class Notifier:
    """Sends datagrams to systemd; where nobody hears them, it says so once and goes on."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # A name in the abstract namespace begins with a zero byte, which is written as "@".
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._heard = True
        pid = environment.get("WATCHDOG_PID", str(os.getpid()))
        microseconds = environment.get("WATCHDOG_USEC", "")
        self.watchdog_seconds = (
            int(microseconds) / 1e6
            if microseconds.isdecimal() and pid == str(os.getpid())
            else None
        )
        """The watchdog's timeout; None where systemd does not watch this process."""

    @property
    def enabled(self) -> bool:
        """Whether there is a systemd to tell."""
        return self._address.startswith(("/", "\0"))

    def tell(self, **values: str) -> None:
        """Send one datagram."""
        lines = "\n".join(f"{name}={' '.join(value.split())}" for name, value in values.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
                line.setblocking(False)
                line.sendto(lines.encode(), self._address)
        except OSError as error:
            if self._heard:
                log.warning("systemd_not_told", cause=str(error), values=values)
            self._heard = False
        else:
            self._heard = True


@asynccontextmanager
async def kept_informed(
    process: Kept, environment: Mapping[str, str] = os.environ
) -> AsyncIterator[None]:
    """Tell systemd of the process while the block runs."""
    notifier = Notifier(environment)
    if not notifier.enabled:
        yield
        return
    tasks = [
        asyncio.create_task(_tell_when(process.started, notifier, READY="1")),
        asyncio.create_task(_tell_when(process.stopping, notifier, STOPPING="1")),
        asyncio.create_task(_tell_regularly(process, notifier)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _tell_when(event: asyncio.Event, notifier: Notifier, **values: str) -> None:
    await event.wait()
    notifier.tell(**values)


async def _tell_regularly(process: Kept, notifier: Notifier) -> None:
    """The watchdog's ping, but only while no loop is stalled; systemd restarts who is silent."""
    timeout = notifier.watchdog_seconds
    period = STATUS_PERIOD_SECONDS
    if timeout is not None:
        period = min(period, timeout / PINGS_PER_TIMEOUT)
    await process.started.wait()
    while True:
        wrong = process.unhealthy()
        alive = {"WATCHDOG": "1"} if timeout is not None and wrong is None else {}
        notifier.tell(STATUS=wrong or process.standing(), **alive)
        await asyncio.sleep(period)
