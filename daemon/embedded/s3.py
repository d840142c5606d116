"""S3 on this machine: moto's, behind a server that can be cut off.

moto keeps its state in the process, not in the server, so what listens again knows all that it
knew. One at a time in a process, and nothing survives it.
"""

import asyncio
import logging
import socket
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import Any, Self

import structlog
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import ThreadedWSGIServer

from daemon.embedded.front import Address

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.05
"""How soon the server notices that it is to stop."""


class EmbeddedS3:
    """Amazon S3 on this machine, from entering the context to leaving it."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._address = Address(host, port)
        self._application = DomainDispatcherApplication(create_backend_app)
        self._server: _Server | None = None

    async def __aenter__(self) -> Self:
        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        self._listen()
        log.info("embedded_s3_started", endpoint_url=self.endpoint_url)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()
        self._address.let_go()
        # The next one in this process must not find what this one held.
        BackendDict.reset()
        reset_model_data()
        log.info("embedded_s3_stopped")

    @property
    def endpoint_url(self) -> str:
        """Where the service listens, for a client's `endpoint_url` or AWS_ENDPOINT_URL."""
        return self._address.url

    async def cut_off(self) -> None:
        """Break all connections and refuse new ones, until restored."""
        await self._stop()
        self._address.keep()
        log.info("embedded_s3_cut_off")

    async def restore(self) -> None:
        """Listen again, where it did before."""
        self._listen()
        log.info("embedded_s3_restored")

    def _listen(self) -> None:
        self._server = _Server(self._address, self._application)
        self._address.port = self._server.port
        self._address.let_go()
        self._server.start()

    async def _stop(self) -> None:
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)
            self._server = None


class _Server(ThreadedWSGIServer):
    """Serves in threads of its own, and knows its connections, so that it can break them."""

    def __init__(self, address: Address, application: Any) -> None:
        super().__init__(address.host, address.port, application, MotoRequestHandler)
        self._connections: set[socket.socket] = set()
        self._thread = Thread(
            target=self.serve_forever, args=(POLL_SECONDS,), name="s3", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        for connection in list(self._connections):
            # Its own thread may have closed it a moment ago.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)
