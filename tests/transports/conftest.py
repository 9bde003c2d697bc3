# ruff: noqa: ASYNC110
"""The buses of these tests, each with two ends that any adapter has."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from hushbell.ports.transport import Transport
from hushbell.transports.bus import Bus
from hushbell.transports.socket import SocketBusServer, SocketBusTransport
from hushbell.types import DEFAULT_PUBSUB_TOPIC, Envelope

Connect = Callable[[], Awaitable[Transport]]


@pytest.fixture
def socket_path() -> Iterator[Path]:
    # pytest's own folders have names that are too long for a Unix socket
    with tempfile.TemporaryDirectory(prefix="hb") as folder:
        yield Path(folder) / "bus.sock"


@pytest.fixture(params=["bus", "socket"])
async def connect(request: pytest.FixtureRequest, socket_path: Path) -> AsyncIterator[Connect]:
    """Connects a new member to one bus; over a socket the first member is the listening end."""
    made: list[Transport] = []
    bus = Bus()
    server = None if request.param == "bus" else await SocketBusServer.listen(socket_path)

    async def joined() -> Transport:
        member: Transport
        if server is None:
            member = bus.connect()
        elif not made:
            member = server
        else:
            before = server.connections
            member = await SocketBusTransport.connect(socket_path)
            while server.connections == before:
                await asyncio.sleep(0)
        made.append(member)
        return member

    yield joined
    for member in made:
        await member.close()
    if server:
        await server.close()


@pytest.fixture
def envelope() -> Callable[..., Envelope]:
    def build(number: int, size: int = 32) -> Envelope:
        return Envelope(DEFAULT_PUBSUB_TOPIC, number.to_bytes(4, "big") * (size // 4))

    return build


@pytest.fixture
def phone(socket_path: Path) -> Callable[[SocketBusServer], Awaitable[SocketBusTransport]]:
    """Connects a phone and returns once the server has accepted it."""

    async def joined(server: SocketBusServer) -> SocketBusTransport:
        before = server.connections
        member = await SocketBusTransport.connect(socket_path)
        while server.connections == before:
            await asyncio.sleep(0)
        return member

    return joined
