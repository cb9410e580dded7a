"""The guard in conftest.py: an unmarked test reaches neither the network nor a real model."""

import asyncio
import socket

import pytest

from inference.loading import load_engine


async def _open_stream():
    await asyncio.open_connection("example.org", 80)


def _send_datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", ("192.0.2.1", 9))


def _connect():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.connect(("192.0.2.1", 80))


@pytest.mark.parametrize(
    "reach_out",
    [
        _connect,
        _send_datagram,
        lambda: asyncio.run(_open_stream()),
        lambda: socket.getaddrinfo("example.org", 80),
        lambda: load_engine("tiny"),
    ],
    ids=["connect", "datagram", "asyncio", "getaddrinfo", "load_engine"],
)
def test_reaching_out_is_refused(reach_out):
    with pytest.raises(BaseException, match=r"a test without the mark|load_engine was called") as caught:
        reach_out()
    assert type(caught.value).__name__ == "ForbiddenInTestsError"


async def test_loopback_stays_open():
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection("localhost", server.sockets[0].getsockname()[1])
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
