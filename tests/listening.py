"""The socket that systemd would listen to."""

import asyncio
import socket
from typing import Self

PATIENCE_SECONDS = 30


class Listener:
    """Hears datagrams of `NAME=value` lines; `@` begins a name in the abstract namespace."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._all: list[dict[str, str]] = []
        try:
            self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def waiting(self) -> dict[str, str] | None:
        """The next datagram, if one has come."""
        try:
            return self._read(self._socket.recv(4096))
        except BlockingIOError:
            return None

    async def hear(self, name: str) -> str:
        """Wait for a datagram with this name; the value."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                content = await asyncio.get_running_loop().sock_recv(self._socket, 4096)
                if name in (values := self._read(content)):
                    return values[name]

    def heard(self, name: str) -> list[str]:
        """The values that came with this name so far."""
        while self.waiting() is not None:
            pass
        return [values[name] for values in self._all if name in values]

    def _read(self, content: bytes) -> dict[str, str]:
        values = dict(line.split("=", 1) for line in content.decode().split("\n"))
        self._all.append(values)
        return values
