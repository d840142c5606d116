import socket

import pytest
from aiohttp import web

from daemon.embedded.front import Address, Front

HOST = "127.0.0.1"


async def nothing(_: web.Request) -> web.Response:
    return web.Response()


async def test_a_front_that_is_cut_off_leaves_its_port_to_nobody() -> None:
    address = Address(HOST, 0)
    front = Front(address, nothing)
    await front.listen()
    port = address.port
    assert front.url == f"http://{HOST}:{port}"

    await front.cut_off()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((HOST, port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port))

    await front.listen()
    assert address.port == port
    socket.create_connection((HOST, port)).close()
    await front.close()


async def test_a_front_that_is_closed_while_it_is_cut_off_gives_its_port_back() -> None:
    address = Address(HOST, 0)
    front = Front(address, nothing)
    await front.listen()
    await front.cut_off()
    await front.close()
    with socket.socket() as other:
        other.bind((HOST, address.port))
