"""The buses of these tests, each with two ends that any adapter has."""

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


@pytest.fixture(params=["bus", "socket, phones only", "socket, with the server"])
async def connect(request: pytest.FixtureRequest, socket_path: Path) -> AsyncIterator[Connect]:
    """Connects a new member to one bus; with the third parameter the first member is the listening end."""
    made: list[Transport] = []
    bus = Bus()
    server = None if request.param == "bus" else await SocketBusServer.listen(socket_path)

    async def joined() -> Transport:
        member: Transport
        if server is None:
            member = bus.connect()
        elif request.param.endswith("server") and not made:
            member = server
        else:
            member = await SocketBusTransport.connect(socket_path)
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
