"""Nodes on one machine without sockets: streams are two buffers, and time stands still unless a test moves it."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from hushbell import wire
from hushbell.errors import TooLarge, TransportError, Undecodable
from hushbell.testing.clock import FakeClock
from hushbell.waku.libp2p.stream import PeerId, Stream
from hushbell.waku.protocols.archive import Archive

SHARD = "/waku/2/rs/16/32"
TOPIC = "/waku/1/0x69bc8983/rfc26"
MS = 1_000_000


class FakeStream:
    """One end of a stream. Implements ``libp2p.stream.Stream``."""

    def __init__(self, peer: PeerId, protocol: str) -> None:
        self.peer = peer
        self.protocol = protocol
        self.receiver: Callable[[bytes], None] | None = None
        self.on_closed: Callable[[], None] | None = None
        self.other: FakeStream = self
        self.is_stuck = False  # the peer does not read
        self.is_reset = False
        self.is_closed = False  # our side
        self.is_ended = False  # the other side
        self._inbox = bytearray()
        self._changed = asyncio.Event()
        self._unstuck = asyncio.Event()

    def write(self, data: bytes) -> None:
        if self.is_reset or self.is_closed:
            return
        self.other._inbox += data
        self.other._changed.set()

    @property
    def buffered(self) -> int:
        return len(self.other._inbox) if self.is_stuck else 0

    async def drain(self) -> None:
        if self.is_stuck and not self.is_reset:
            await self._unstuck.wait()
        if self.is_reset:
            raise TransportError("reset")

    async def agreed(self) -> None:
        await asyncio.sleep(0)
        if self.is_reset:
            raise TransportError("reset")

    async def read(self, limit: int) -> bytes:
        while not self._inbox and not self.is_ended and not self.is_reset:
            self._changed.clear()
            await self._changed.wait()
        if self.is_reset:
            raise TransportError("reset")
        taken = bytes(self._inbox[:limit])
        del self._inbox[:limit]
        return taken

    async def read_frame(self, limit: int) -> bytes:
        length = shift = 0
        while True:
            byte = await self.read(1)
            if not byte or shift > 63:
                raise Undecodable("no frame")
            length |= (byte[0] & 0x7F) << shift
            shift += 7
            if byte[0] < 0x80:
                break
        if length > limit:
            raise TooLarge("frame")
        frame = b""
        while len(frame) < length:
            if not (some := await self.read(length - len(frame))):
                raise Undecodable("no frame")
            frame += some
        return frame

    def write_frame(self, data: bytes) -> None:
        length, prefix = len(data), b""
        while length > 0x7F:
            prefix += bytes([length & 0x7F | 0x80])
            length >>= 7
        self.write(prefix + bytes([length]) + data)

    def close_write(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.other._end()

    def reset(self) -> None:
        if self.is_reset:
            return
        self.is_reset = True
        self._changed.set()
        self._unstuck.set()
        # What was written before the reset still arrives before it, as on one connection.
        if not self.other._inbox:
            self.other.is_reset = True
        self.other._end()

    def _end(self) -> None:
        was_ended, self.is_ended = self.is_ended, True
        self._changed.set()
        if not was_ended and self.on_closed:
            self.on_closed()


class FakeHost:
    """Implements ``protocols.links.Host`` on a :class:`Net`."""

    def __init__(self, net: "Net", name: str) -> None:
        self.peer_id = PeerId(name.encode())
        self.opened: list[FakeStream] = []  # our ends
        self.served: list[FakeStream] = []
        self.stuck = False  # streams we open are never drained
        self._net = net
        self._handlers: dict[str, Callable[[Stream], Awaitable[None]]] = {}
        self._watchers: list[tuple[Callable[[PeerId, Sequence[str]], None], Callable[[PeerId], None]]] = []

    def handle(self, protocol: str, handler: Callable[[Stream], Awaitable[None]]) -> None:
        self._handlers[protocol] = handler

    async def open(self, peer: PeerId, protocols: Sequence[str]) -> FakeStream:
        await asyncio.sleep(0)
        other = self._net.hosts.get(peer)
        if other is None or frozenset((self.peer_id, peer)) not in self._net.connections:
            raise TransportError("not connected")
        spoken = next((one for one in protocols if one in other._handlers), None)
        if spoken is None:
            raise TransportError("not spoken")
        here, there = FakeStream(peer, spoken), FakeStream(self.peer_id, spoken)
        here.other, there.other = there, here
        here.is_stuck = self.stuck
        self.opened.append(here)
        other.served.append(there)
        self._net.start(other._handlers[spoken](there))
        return here

    def watch(self, connected: Callable[[PeerId, Sequence[str]], None], disconnected: Callable[[PeerId], None]) -> None:
        self._watchers.append((connected, disconnected))

    def disconnect(self, peer: PeerId) -> None:
        self._net.disconnect(self, self._net.hosts[peer])

    def tell(self, other: "FakeHost", *, is_connected: bool) -> None:
        for connected, disconnected in self._watchers:
            if is_connected:
                connected(other.peer_id, tuple(other._handlers))
            else:
                disconnected(other.peer_id)


class Net:
    """Hosts, and who is connected to whom."""

    def __init__(self) -> None:
        self.hosts: dict[PeerId, FakeHost] = {}
        self.connections: set[frozenset[PeerId]] = set()
        self.clock = FakeClock(manual=True)
        self.counts: Counter[str] = Counter()
        self.shard = SHARD
        self.topic = TOPIC
        self._tasks: set[asyncio.Future[Any]] = set()
        self._drawn = 0

    def count(self, name: str, number: int) -> None:
        self.counts[name] += number

    def random(self, size: int) -> bytes:
        self._drawn += 1
        return hashlib.shake_128(self._drawn.to_bytes(4, "big")).digest(size)

    def host(self, name: str, *connected: FakeHost) -> FakeHost:
        host = self.hosts[PeerId(name.encode())] = FakeHost(self, name)
        for other in connected:
            self.connections.add(frozenset((host.peer_id, other.peer_id)))
        return host

    def connect(self, one: FakeHost, other: FakeHost) -> None:
        self.connections.add(frozenset((one.peer_id, other.peer_id)))
        one.tell(other, is_connected=True)
        other.tell(one, is_connected=True)

    def disconnect(self, one: FakeHost, other: FakeHost) -> None:
        pair = frozenset((one.peer_id, other.peer_id))
        if pair in self.connections:
            self.connections.discard(pair)
            one.tell(other, is_connected=False)
            other.tell(one, is_connected=False)

    def start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self, turns: int = 200) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def message(
        self,
        number: int = 0,
        *,
        topic: str = TOPIC,
        timestamp: int | None = -1,
        payload: bytes | None = None,
        ephemeral: bool | None = None,
    ) -> bytes:
        """A serialised message; its time is now and ``number`` ms, unless given in ns."""
        time = (self.clock.now() + number) * MS if timestamp == -1 else timestamp
        text = f"message {number}".encode() if payload is None else payload
        return wire.encode(
            wire.WakuMessage(payload=text, content_topic=topic, version=1, timestamp=time, ephemeral=ephemeral)
        )


@pytest.fixture
async def net() -> AsyncIterator[Net]:
    made = Net()
    yield made
    await made.close()


@pytest.fixture
async def archive(net: Net, tmp_path: Path) -> AsyncIterator[Archive]:
    opened = Archive.open(
        tmp_path / "archive.db", clock=net.clock, count=net.count, age=3_600, size=1 << 30, message_limit=1 << 20
    )
    yield opened
    await opened.close()


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, None]], None]:
    """For properties, whose examples each need a loop of their own."""
    return asyncio.run
