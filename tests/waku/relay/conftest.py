"""A host in memory, peers that say what a test wants, and a clock that moves only when told."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from random import Random as Seeded
from typing import Any

import pytest

from hushbell import wire
from hushbell.errors import TransportError, WireError
from hushbell.types import Millis
from hushbell.waku.libp2p.stream import PeerId, Stream
from hushbell.waku.relay.peer_streams import ConnectionInfo
from hushbell.waku.relay.relay import Relay
from hushbell.waku.relay.rpc import Control, RelayRpc, control_frames, decode, message_frame, read_varint, topic_tail
from hushbell.waku.relay.settings import PROTOCOL, RelayLimits, RelaySettings
from hushbell.wire.messages import WakuMessage

TOPIC = "/waku/2/rs/16/32"
START = Millis(1_700_000_000_000)


class Clock:
    def __init__(self) -> None:
        self.time = START

    def now(self) -> Millis:
        return self.time

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class End:
    """One end of a stream in memory; what the other end does not take counts against ``window``."""

    def __init__(self, peer: PeerId, window: int = 1 << 30) -> None:
        self.peer = peer
        self.protocol = PROTOCOL
        self.on_closed: Callable[[], None] | None = None
        self.other: End | None = None
        self.gone = False
        self.window = window
        self._receiver: Callable[[bytes], None] | None = None
        self._came: list[bytes] = []
        self._waits = bytearray()
        self._drained = asyncio.Event()

    @property
    def receiver(self) -> Callable[[bytes], None] | None:
        return self._receiver

    @receiver.setter
    def receiver(self, receiver: Callable[[bytes], None] | None) -> None:
        self._receiver = receiver
        while self._came and self._receiver is not None:
            self._give(self._came.pop(0))

    def _give(self, chunk: bytes) -> None:
        assert self._receiver is not None
        try:
            self._receiver(chunk)
        except WireError:
            self.reset()

    def take(self, chunk: bytes) -> None:
        if self.gone:
            return
        if self._receiver is None:
            self._came.append(chunk)
        else:
            self._give(chunk)

    def write(self, data: bytes) -> None:
        if not self.gone:
            self._waits += data
            self.flow()

    def flow(self, credit: int = 0) -> None:
        self.window += credit
        chunk = bytes(self._waits[: self.window])
        if chunk and self.other is not None:
            self.window -= len(chunk)
            del self._waits[: len(chunk)]
            asyncio.get_running_loop().call_soon(self.other.take, chunk)
        self._drained.set()

    @property
    def buffered(self) -> int:
        return len(self._waits)

    async def agreed(self) -> None:
        return

    async def drain(self) -> None:
        while self.buffered > 65_536 and not self.gone:
            self._drained.clear()
            await self._drained.wait()
        if self.gone:
            raise TransportError("the stream was reset")

    def reset(self) -> None:
        for end in (self, self.other):
            if end is not None and not end.gone:
                end.gone = True
                end._drained.set()
                if end.on_closed is not None:
                    end.on_closed()

    def close_write(self) -> None: ...
    def write_frame(self, data: bytes) -> None: ...
    async def read(self, limit: int) -> bytes:
        raise NotImplementedError

    async def read_frame(self, limit: int) -> bytes:
        raise NotImplementedError


def pair(mine: PeerId, theirs: PeerId, window: int = 1 << 30) -> tuple[End, End]:
    """The end at ``mine`` and the end at ``theirs``."""
    here, there = End(theirs, window), End(mine)
    here.other, there.other = there, here
    return here, there


class FakeHost:
    """What the relay needs of a host; ``Network`` connects them."""

    def __init__(self, peer: PeerId, network: "Network") -> None:
        self.peer_id = peer
        self.network = network
        self.handlers: dict[str, Callable[[Stream], Awaitable[None]]] = {}
        self.watchers: list[tuple[Callable[[PeerId, Sequence[str]], None], Callable[[PeerId], None]]] = []
        self.peers: set[PeerId] = set()
        self.dialled: set[PeerId] = set()
        self.tasks: set[asyncio.Future[None]] = set()
        self.cut: list[PeerId] = []
        self.window = 1 << 30  # of streams that it opens

    def handle(self, protocol: str, handler: Callable[[Stream], Awaitable[None]]) -> None:
        self.handlers[protocol] = handler

    def watch(self, connected: Callable[[PeerId, Sequence[str]], None], disconnected: Callable[[PeerId], None]) -> None:
        self.watchers.append((connected, disconnected))

    async def open(self, peer: PeerId, protocols: Sequence[str]) -> End:
        other = self.network.hosts.get(peer)
        if other is None or peer not in self.peers or protocols[0] not in other.handlers:
            raise TransportError("not connected")
        here, there = pair(self.peer_id, peer, self.window)
        other.accept(protocols[0], there)
        return here

    def accept(self, protocol: str, stream: Stream) -> None:
        task = asyncio.ensure_future(self.handlers[protocol](stream))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def disconnect(self, peer: PeerId) -> None:
        if peer in self.peers:
            self.cut.append(peer)
            self.network.disconnect(self.peer_id, peer)

    def origin(self, peer: PeerId) -> ConnectionInfo:
        return ConnectionInfo(f"10.0.0.{peer.decode()}", outbound=peer in self.dialled)


class Network:
    def __init__(self) -> None:
        self.hosts: dict[PeerId, FakeHost] = {}

    def host(self, name: str) -> FakeHost:
        peer = PeerId(name.encode())
        return self.hosts.setdefault(peer, FakeHost(peer, self))

    def connect(self, dialler: PeerId, listener: PeerId) -> None:
        self.hosts[dialler].dialled.add(listener)
        for one, other in ((dialler, listener), (listener, dialler)):
            host = self.hosts[one]
            host.peers.add(other)
            for connected, _ in host.watchers:
                connected(other, list(self.hosts[other].handlers))

    def disconnect(self, one: PeerId, other: PeerId) -> None:
        for here, there in ((one, other), (other, one)):
            host = self.hosts[here]
            if there in host.peers:
                host.peers.discard(there)
                for _, disconnected in host.watchers:
                    disconnected(there)


class Node:
    """A relay that remembers what it was handed."""

    def __init__(self, name: str, network: Network, clock: Clock, settings: RelaySettings, **more: Any) -> None:
        self.host = network.host(name)
        self.counts: Counter[str] = Counter()
        self.got: list[tuple[str, bytes]] = []
        self.relay = Relay(
            self.host,
            settings,
            clock=clock,
            random=Seeded(name).randbytes,
            count=self._count,
            connection_info=self.host.origin,
            **more,
        )
        self.relay.on_message = lambda topic, data: self.got.append((topic, data))

    def _count(self, name: str, times: int) -> None:
        self.counts[name] += times


class Mallory:
    """A peer that says what it likes: raw frames out, parsed RPCs in."""

    def __init__(self, name: str, network: Network) -> None:
        self.host = network.host(name)
        self.heard: list[RelayRpc] = []
        self.reads = True
        self.inbound: End | None = None
        self.out: End | None = None
        self._buffer = b""
        self.host.handle(PROTOCOL, self._on_inbound_stream)

    @property
    def peer(self) -> PeerId:
        return self.host.peer_id

    async def _on_inbound_stream(self, stream: Stream) -> None:
        assert isinstance(stream, End)
        self.inbound = stream
        if self.reads:
            stream.receiver = self._take

    def _take(self, chunk: bytes) -> None:
        self._buffer += chunk
        while self._buffer:
            try:
                size, start = read_varint(self._buffer, 0, len(self._buffer))
            except WireError:
                return
            if start + size > len(self._buffer):
                return
            self.heard.append(decode(self._buffer, start, start + size, RelayLimits()))
            self._buffer = self._buffer[start + size :]

    async def meet(self, node: Node, *, dials: bool = True) -> None:
        """Connect and open a stream."""
        one, other = (self.peer, node.host.peer_id) if dials else (node.host.peer_id, self.peer)
        self.host.network.connect(one, other)
        await settle()
        stream = await self.host.open(node.host.peer_id, (PROTOCOL,))
        assert isinstance(stream, End)
        self.out = stream
        await settle()

    async def send(self, *frames: bytes) -> None:
        assert self.out is not None
        for frame in frames:
            self.out.write(frame)
        await settle()

    async def control_for(self, **control: Any) -> None:
        await self.send(*control_frames(Control(**control), 1 << 20))

    async def join(self, topic: str = TOPIC, *, graft: bool = True) -> None:
        await self.control_for(subscriptions=[(True, topic)], graft=[topic] if graft else [])

    @property
    def got(self) -> list[bytes]:
        return [message.data for rpc in self.heard for message in rpc.messages]


async def settle(turns: int = 30) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


def message(number: int = 0, **changes: Any) -> bytes:
    """A serialised WakuMessage of now."""
    plain = WakuMessage(
        payload=b"payload %d" % number,
        content_topic="/waku/1/0x00000000/rfc26",
        version=1,
        timestamp=START * 1_000_000,
    )
    return wire.encode(replace(plain, **changes))


def frame(data: bytes, topic: str = TOPIC) -> bytes:
    return message_frame(data, topic_tail(topic))


class World:
    """What tests build from."""

    topic = TOPIC
    message = staticmethod(message)
    frame = staticmethod(frame)
    settle = staticmethod(settle)
    pair = staticmethod(pair)
    End = End

    def __init__(self) -> None:
        self.clock = Clock()
        self.network = Network()
        self.nodes: list[Node] = []

    def node(self, name: str, settings: RelaySettings | None = None, **more: Any) -> Node:
        node = Node(name, self.network, self.clock, settings or RelaySettings(), **more)
        self.nodes.append(node)
        return node

    def mallory(self, name: str = "66") -> Mallory:
        return Mallory(name, self.network)

    async def connect(self, one: Node, other: Node) -> None:
        self.network.connect(one.host.peer_id, other.host.peer_id)
        await settle()

    async def beat(self, times: int = 1) -> None:
        """Let every node's heart beat, a second apart."""
        for _ in range(times):
            self.clock.time = Millis(self.clock.time + 1000)
            for node in self.nodes:
                node.relay.heartbeat()
            await settle()


@pytest.fixture
async def world() -> Any:
    built = World()
    yield built
    for node in built.nodes:
        await node.relay.close()


@pytest.fixture
def worlds() -> type[World]:
    """For tests that run a loop of their own for each example."""
    return World
