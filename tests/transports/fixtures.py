# ruff: noqa: ASYNC110
"""The buses of these tests, each with two ends that any adapter has."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest

from hushbell import wire
from hushbell.config.gateway import HttpSettings
from hushbell.config.node import NodeSettings, pubsub_topics
from hushbell.crypto import secp256k1
from hushbell.http.curl import CurlHttp
from hushbell.ports.transport import Transport
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.testing.mock_waku_rest import MockRestNode, RestNetwork
from hushbell.transports.bus import Bus
from hushbell.transports.socket import SocketBusServer, SocketBusTransport
from hushbell.transports.waku.opening import open_waku
from hushbell.transports.waku.relay import WakuTransport
from hushbell.transports.waku.rest import MAX_RESPONSE, RestNode, RestTransport
from hushbell.types import DEFAULT_PUBSUB_TOPIC, Envelope, PubsubTopic
from hushbell.waku.inbox.message_queue import MessageQueue
from hushbell.waku.inbox.missing_messages import MissingMessages
from hushbell.waku.message import RawMessage
from hushbell.waku.node import Node
from hushbell.wire.messages import WakuMessage

OTHER_SHARD = PubsubTopic("/waku/2/rs/16/64")
Connect = Callable[[], Awaitable[Transport]]


@pytest.fixture
def socket_path() -> Iterator[Path]:
    # pytest's own folders have names that are too long for a Unix socket
    with tempfile.TemporaryDirectory(prefix="hb") as folder:
        yield Path(folder) / "bus.sock"


class Air:
    """Carries every member's messages to all others, as a relay would."""

    def __init__(self) -> None:
        self.members: list[MessageQueue] = []

    def network(self, receiving: MessageQueue) -> "Member":
        self.members.append(receiving)
        return Member(self, receiving)


class Member:
    def __init__(self, air: Air, receiving: MessageQueue) -> None:
        self._air = air
        self._receiving = receiving

    async def start(self) -> None:
        pass

    async def wait_for_room(self) -> None:
        pass

    def publish(self, pubsub_topic: PubsubTopic, data: bytes) -> int:
        for member in self._air.members:  # the writer hears itself, as behind REST
            member.add(RawMessage(pubsub_topic, data))
        return len(self._air.members)

    async def close(self) -> None:
        if self._receiving in self._air.members:
            self._air.members.remove(self._receiving)


def _uncounted(name: str, number: int) -> None:
    """Nobody looks."""


async def receiving() -> tuple[MessageQueue, MissingMessages]:
    clock = SystemClock()
    place = await MessageQueue.open(
        clock=clock,
        count=_uncounted,
        file=None,
        max_seen=10_000,
        seen_seconds=60,
        max_messages=8192,
        message_limit=1024 * 1024,
    )
    asking = MissingMessages(
        queue=place,
        stores=list,
        topics={},
        clock=clock,
        random=system_random,
        count=_uncounted,
        interval=60,
        max_age=60,
    )
    return place, asking


async def waku_member(air: Air) -> Transport:
    place, asking = await receiving()
    member = WakuTransport(
        node=air.network(place),
        queue=place,
        missing=asking,
        clock=SystemClock(),
        count=_uncounted,
        pace=1e6,
    )
    await member.start()
    return member


async def rest_member(node: MockRestNode) -> Transport:
    place, asking = await receiving()
    member = RestTransport(
        node=RestNode(CurlHttp(HttpSettings(answer=MAX_RESPONSE)), node.url, node.dialect),
        queue=place,
        missing=asking,
        clock=SystemClock(),
        random=system_random,
        count=_uncounted,
        pubsub_topics=[DEFAULT_PUBSUB_TOPIC, OTHER_SHARD],
    )
    await member.start()
    return member


async def libp2p_member(first: str | None) -> tuple[Node, Transport]:
    """Return a node of its own and the transport on it; all but the first dial that one."""
    settings = NodeSettings(listen=("/ip4/127.0.0.1/tcp/0",), peers=() if first is None else (first,), shards=(32, 64))
    clock = SystemClock()
    node = await Node.open(
        settings,
        key=secp256k1.key_pair(system_random).private,
        folder=None,
        pubsub_topics=pubsub_topics(settings),
        clock=clock,
        random=system_random,
        count=_uncounted,
    )
    transport = await open_waku(
        node, settings, topics={}, folder=None, clock=clock, random=system_random, count=_uncounted
    )
    await transport.start()
    return node, transport


@asynccontextmanager
async def through_libp2p() -> AsyncIterator[Connect]:
    """Connects a new member to one network, each on a node of its own."""
    made: list[tuple[Node, Transport]] = []

    async def joined() -> Transport:
        made.append(await libp2p_member(made[0][0].addresses[0] if made else None))
        async with asyncio.timeout(10):
            for node, others in ((made[-1][0], min(1, len(made) - 1)), (made[0][0], len(made) - 1)):
                while any(shard.peers < others for shard in node.health().shards):
                    await asyncio.sleep(0.01)
        return made[-1][1]

    yield joined
    for _, member in reversed(made):
        await member.close()


@asynccontextmanager
async def through_waku(kind: Literal["waku", "nwaku", "go-waku"]) -> AsyncIterator[Connect]:
    """Connects a new member to one network, or over REST each to a node of its own."""
    air, network = Air(), RestNetwork()
    made: list[Transport] = []
    nodes: list[MockRestNode] = []

    async def joined() -> Transport:
        if kind == "waku":
            made.append(await waku_member(air))
        else:
            nodes.append(await MockRestNode(network, kind, capacity=5000).__aenter__())
            made.append(await rest_member(nodes[-1]))
        return made[-1]

    yield joined
    for member in made:
        await member.close()
    for node in nodes:
        await node.__aexit__()


@asynccontextmanager
async def through_bus(kind: Literal["bus", "socket"], socket_path: Path) -> AsyncIterator[Connect]:
    """Connects a new member to one bus; over a socket the first member is the listening end."""
    made: list[Transport] = []
    bus = Bus()
    server = None if kind == "bus" else await SocketBusServer.listen(socket_path)

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


@pytest.fixture(params=["bus", "socket", "waku", "libp2p", "nwaku", "go-waku"])
async def connect(request: pytest.FixtureRequest, socket_path: Path) -> AsyncIterator[Connect]:
    """Connects a new member to a network of every kind."""
    ways: dict[str, Callable[[], AbstractAsyncContextManager[Connect]]] = {
        "bus": lambda: through_bus("bus", socket_path),
        "socket": lambda: through_bus("socket", socket_path),
        "libp2p": through_libp2p,
    }
    async with ways.get(request.param, lambda: through_waku(request.param))() as joined:
        yield joined


@pytest.fixture(params=["bus", "socket"])
async def connect_to_bus(request: pytest.FixtureRequest, socket_path: Path) -> AsyncIterator[Connect]:
    """Connects a new member to one of those that slow their writers down."""
    async with through_bus(request.param, socket_path) as joined:
        yield joined


@pytest.fixture
def envelope() -> Callable[..., Envelope]:
    def build(number: int, size: int = 32) -> Envelope:
        message = WakuMessage(payload=number.to_bytes(4, "big") * (size // 4), content_topic="/t", timestamp=1)
        return Envelope(DEFAULT_PUBSUB_TOPIC, wire.encode(message))

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
