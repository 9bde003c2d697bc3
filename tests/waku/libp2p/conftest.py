"""Hosts on loopback with a clock that moves only when told."""

import asyncio
import contextlib
import itertools
import random
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from hushbell.types import Millis
from hushbell.waku.libp2p import keys
from hushbell.waku.libp2p.host import Host
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.multistream import ProtocolProposer
from hushbell.waku.libp2p.security import credentials
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.libp2p.upgrade import Upgrade

LOOPBACK = Multiaddr.parse("/ip4/127.0.0.1/tcp/0")


@dataclass
class SteppedClock:
    """Stands still until moved; sleepers wake in order."""

    time: int = 1_000_000
    sleepers: list[tuple[int, asyncio.Future[None]]] = field(default_factory=list)

    def now(self) -> Millis:
        return Millis(self.time)

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.time + int(seconds * 1000), future))
        await future

    async def pass_by(self, seconds: int) -> None:
        """Let seconds pass, one after the other, and everything due happen."""
        for _ in range(seconds):
            self.time += 1000
            due = [future for at, future in self.sleepers if at <= self.time]
            self.sleepers = [(at, future) for at, future in self.sleepers if at > self.time]
            for future in due:
                if not future.done():
                    future.set_result(None)
            for _ in range(5):
                await asyncio.sleep(0)


@dataclass
class Node:
    """A host, what it counted, and what its watcher saw."""

    host: Host
    clock: SteppedClock
    counts: Counter[str]
    seen: list[tuple[str, PeerId, tuple[str, ...]]] = field(default_factory=list)

    @property
    def address(self) -> Multiaddr:
        return self.host.addresses[0]

    @property
    def identified(self) -> bool:
        return any(kind == "connected" for kind, _, _ in self.seen)


MakeNode = Callable[..., Awaitable[Node]]


@pytest.fixture
async def node() -> AsyncIterator[MakeNode]:
    """Makes nodes that listen on loopback; arguments are those of Host."""
    made: list[Node] = []
    seeds = itertools.count(1)

    async def make(*, listen: Multiaddr | None = LOOPBACK, seed: int | None = None, **settings: Any) -> Node:
        source = random.Random(next(seeds) if seed is None else seed)
        counts: Counter[str] = Counter()
        clock = SteppedClock()

        def count(name: str, number: int) -> None:
            counts[name] += number

        identity = settings.pop("identity", None) or keys.new_identity(source.randbytes)
        host = Host(identity, clock=clock, random=source.randbytes, count=count, **settings)
        one = Node(host, clock, counts)
        host.watch(
            lambda peer, protocols: one.seen.append(("connected", peer, tuple(protocols))),
            lambda peer: one.seen.append(("gone", peer, ())),
        )
        if listen is not None:
            await host.listen(listen)
        made.append(one)
        return one

    yield make
    for one in made:
        await one.host.close()


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Waits until something is so."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0)

    return wait


class Mallory:
    """A peer that is authenticated and then does what it likes with its muxer's bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.upgrade = Upgrade(
            credentials(keys.new_identity(random.Random(66).randbytes), random.Random(68).randbytes),
            initiator=True,
            muxers=("/yamux/1.0.0",),
            random=random.Random(67).randbytes,
            expected=None,
        )

    async def arrive(self) -> None:
        self.writer.write(self.upgrade.start())
        while self.upgrade.upgraded is None:
            self.writer.write(self.upgrade.receive(await self.reader.read(4096)))

    @property
    def peer(self) -> PeerId:
        return PeerId(keys.new_identity(random.Random(66).randbytes).peer_id)

    def send(self, plain: bytes) -> None:
        """Send bytes of the muxer."""
        assert self.upgrade.upgraded is not None
        self.writer.write(self.upgrade.upgraded.sealer.seal(plain))

    @staticmethod
    def frame(kind: int, flags: int, stream: int, length: int, body: bytes = b"") -> bytes:
        """One frame of yamux."""
        return struct.pack(">BBHII", 0, kind, flags, stream, length) + body

    def opening(self, stream: int, protocol: str, more: bytes = b"") -> bytes:
        """The frame that opens a stream and names its protocol, with the first bytes of it."""
        body = ProtocolProposer([protocol]).start() + more
        return self.frame(0, 1, stream, len(body), body)

    async def is_cut(self) -> bool:
        """Read until the connection ends."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        return True


@pytest.fixture
async def mallory() -> AsyncIterator[Callable[[Node], Awaitable[Mallory]]]:
    """Connects a hostile peer to a node, from an address of its own."""
    made: list[Mallory] = []

    async def connect(to: Node) -> Mallory:
        streams = await asyncio.open_connection("127.0.0.1", to.address.port, local_addr=("127.0.0.66", 0))
        one = Mallory(*streams)
        made.append(one)
        await one.arrive()
        return one

    yield connect
    for one in made:
        one.writer.transport.abort()
