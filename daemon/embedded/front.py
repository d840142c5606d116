"""The HTTP side of a service of the small cloud: it listens, and it can be cut off for a while.

What is cut off loses no state: only connections break, and new ones are refused, as in an outage of
the network or while a server is started again.
"""

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.Response]]

DRAIN_SECONDS = 0.1
"""How long a call that is being answered when the service is cut off has to be finished."""


@dataclass(slots=True)
class Address:
    """Where a service listens. Port 0 stands for a free one."""

    host: str
    port: int
    _kept: socket.socket | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """For a client's `endpoint_url`."""
        return f"http://{self.host}:{self.port}"

    def keep(self) -> None:
        """Refuse connections, and leave the port to nobody else: servers may reuse it."""
        self._kept = socket.socket()
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._kept.bind((self.host, self.port))

    def let_go(self) -> None:
        """A server listens there, or nobody will any more."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None


class Front:
    """Hands every call to `handle`, while it listens."""

    def __init__(self, address: Address, handle: Handler, *, call_max_bytes: int = 1024**2) -> None:
        self._address = address
        self._handle = handle
        self._call_max_bytes = call_max_bytes
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it listens, also while it is cut off."""
        return self._address.url

    async def listen(self) -> None:
        """Take connections, for the first time or again."""
        application = web.Application(client_max_size=self._call_max_bytes)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=DRAIN_SECONDS,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self._address.host, self._address.port).start()
        self._address.port = self._runner.addresses[0][1]
        self._address.let_go()

    async def cut_off(self) -> None:
        """Break all connections and refuse new ones, until it is to listen again."""
        await self.close()
        self._address.keep()

    async def close(self) -> None:
        """Stop for good."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._address.let_go()
