"""
The relay, fuzzed: what a peer says in gossipsub, as bytes of one RPC and as a history of several peers.

The law is that of ``targets``. Besides, the fast way and the careful way read the same, and sums come out at nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from random import Random as Seeded

from hushbell.errors import TransportError, WireError
from hushbell.types import Millis
from hushbell.waku.byte_total import ByteTotal
from hushbell.waku.libp2p.stream import PeerId, Stream
from hushbell.waku.relay.relay import Relay
from hushbell.waku.relay.rpc import (
    Control,
    RelayRpc,
    TopicFrames,
    control_frames,
    decode,
    message_frame,
    topic_tail,
    varint,
)
from hushbell.waku.relay.rpc_reader import RpcReader
from hushbell.waku.relay.settings import PROTOCOL, RelayLimits, RelaySettings
from hushbell.waku.relay.validation import MessageValidator

TOPIC = "/waku/2/rs/16/32"
NOW = Millis(1_700_000_000_000)
BOUNDS = RelayLimits(
    rpc=8192, partial=16_384, share=1024, messages_per_rpc=16, subscriptions_per_rpc=8, subscriptions=8, ids=16,
    fields_per_rpc=512, tick_messages=4, tick_bytes=4096, in_stream=2048, forwarded=4096, urgent=4096, overflow=8192,
)  # fmt: skip
SETTINGS = RelaySettings(message=4096, seen=16, cached=4096, limits=BOUNDS)
JUDGE = MessageValidator(SETTINGS).validate


class Pipe:
    """A stream whose other end is the fuzzer: it takes ``window`` bytes, then nothing."""

    def __init__(self, peer: PeerId, window: int) -> None:
        self.peer = peer
        self.protocol = PROTOCOL
        self.receiver: Callable[[bytes], None] | None = None
        self.on_closed: Callable[[], None] | None = None
        self.gone = False
        self._window = window
        self._buffered = 0

    def write(self, data: bytes) -> None:
        taken = min(self._window, len(data))
        self._window -= taken
        self._buffered += len(data) - taken

    @property
    def buffered(self) -> int:
        return self._buffered

    async def agreed(self) -> None:
        return

    async def drain(self) -> None:
        if self.gone:
            raise TransportError("gone")
        await asyncio.get_running_loop().create_future()

    async def read(self, limit: int) -> bytes:
        raise NotImplementedError

    async def read_frame(self, limit: int) -> bytes:
        raise NotImplementedError

    def write_frame(self, data: bytes) -> None: ...
    def close_write(self) -> None: ...

    def reset(self) -> None:
        self.gone = True

    def give(self, chunk: bytes) -> None:
        if self.receiver is None:
            return
        try:
            self.receiver(chunk)
        except WireError:
            self.gone = True


class Host:
    def __init__(self) -> None:
        self.handler: Callable[[Stream], Awaitable[None]]
        self.connected: Callable[[PeerId, Sequence[str]], None]
        self.disconnected: Callable[[PeerId], None]
        self.tasks: list[asyncio.Future[None]] = []
        self.window = 1 << 30

    def handle(self, protocol: str, handler: Callable[[Stream], Awaitable[None]]) -> None:
        self.handler = handler

    def watch(self, connected: Callable[[PeerId, Sequence[str]], None], disconnected: Callable[[PeerId], None]) -> None:
        self.connected, self.disconnected = connected, disconnected

    async def open(self, peer: PeerId, protocols: Sequence[str]) -> Pipe:
        return Pipe(peer, self.window)

    def disconnect(self, peer: PeerId) -> None:
        self.disconnected(peer)

    def accept(self, peer: PeerId) -> Pipe:
        stream = Pipe(peer, 0)
        self.tasks.append(asyncio.ensure_future(self.handler(stream)))
        return stream


class Stepped:
    time = NOW

    def now(self) -> Millis:
        return self.time

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class RpcHandler:
    """Takes what a reader found, as frames."""

    def __init__(self, *, fast: bool) -> None:
        self.topic_frames = TopicFrames()
        if fast:
            self.topic_frames.add(TOPIC)
        self.found: list[object] = []

    def message(self, peer: PeerId, topic: str, data: bytes, frame: bytes) -> None:
        self.found.append((topic, data))
        JUDGE(data, NOW)

    def rpc(self, peer: PeerId, rpc: RelayRpc) -> None:
        for message in rpc.messages:
            self.found.append((message.topic, message.data))
        if rpc.control != Control():
            self.found.append(rpc.control)

    def malformed(self, peer: PeerId) -> None:
        self.found.append("malformed")


def _read(data: bytes, *, fast: bool, cut: int) -> list[object]:
    due: list[Callable[[], None]] = []
    stream, sink, partial = Pipe(PeerId(b"peer"), 0), RpcHandler(fast=fast), ByteTotal()
    reader = RpcReader(stream, sink, limits=BOUNDS, partial=partial, call_soon=due.append, on_close=lambda: None)
    reader.start()
    for start in range(0, len(data), cut):
        stream.give(data[start : start + cut])
        while due:
            due.pop()()
    reader.close()
    assert partial.size == 0
    return sink.found


def rpc(data: bytes) -> None:
    """A stream, read at once and in pieces, by the fast way and by the careful one."""
    if not data:
        return
    whole = _read(data[1:], fast=True, cut=1 << 20)
    assert _read(data[1:], fast=True, cut=1 + data[0]) == whole
    assert _read(data[1:], fast=False, cut=1 << 20) == whole
    # As one RPC without its length, and what was read is written so that it is read again.
    with suppress(WireError):
        control = decode(data, 0, len(data), BOUNDS).control
        control.ihave = [(topic, ids) for topic, ids in control.ihave if len(ids) <= BOUNDS.ids]
        for frame in control_frames(control, 4):
            start = next(place for place in range(1, 6) if frame[place - 1] < 0x80)
            decode(frame, start, len(frame), RelayLimits())


class History:
    """A relay, its four peers and its clock."""

    def __init__(self, seed: int) -> None:
        self.host, self.clock = Host(), Stepped()
        self.relay = Relay(self.host, SETTINGS, clock=self.clock, random=Seeded(seed).randbytes, count=lambda *_: None)
        self.relay.subscribe(TOPIC)
        self.streams: dict[int, Pipe] = {}

    def act(self, kind: int, who: int, piece: bytes) -> None:
        peer = PeerId(b"peer%d" % who)
        if kind == 0 or who not in self.streams:
            self.host.window = 1 << 30 if who else 0
            self.host.connected(peer, (PROTOCOL,))
            self.streams[who] = self.host.accept(peer)
        elif kind == 1:
            self.clock.time = Millis(self.clock.time + 1000 * (1 + len(piece)))
            self.relay.heartbeat()
        elif kind == 2:
            self.host.disconnected(peer)
            del self.streams[who]
        elif kind == 3:
            self.streams[who].give(varint(len(piece)) + piece)
        elif kind == 4:
            self.streams[who].give(message_frame(piece, topic_tail(TOPIC)))
        elif kind == 5:
            with suppress(WireError, TransportError):
                self.relay.publish(TOPIC, piece)
        else:
            self.streams[who].give(piece)

    def check(self) -> None:
        relay = self.relay
        assert relay.mesh(TOPIC) <= len(relay._queues) <= 4
        assert len(relay._seen.ids) <= SETTINGS.seen
        assert relay._cache.size <= SETTINGS.cached

    async def end(self) -> None:
        relay = self.relay
        for who in self.streams:
            self.host.disconnected(PeerId(b"peer%d" % who))
        await asyncio.sleep(0)
        assert relay._peer_streams._partial.size == relay._peer_streams._total.size == 0
        assert (relay.mesh(TOPIC), relay.subscribers(TOPIC)) == (0, 0)
        await relay.close()
        for task in self.host.tasks:
            await task


async def _play(data: bytes) -> None:
    story, place = History(len(data)), 0
    while place + 2 <= len(data):
        size = data[place + 1]
        story.act(data[place] >> 5, data[place] & 3, data[place + 2 : place + 2 + size])
        place += 2 + size
        for _ in range(4):
            await asyncio.sleep(0)
        story.check()
    await story.end()


LOOP = asyncio.new_event_loop()


def history(data: bytes) -> None:
    """What four peers say, and a node that publishes, in any order."""
    LOOP.run_until_complete(_play(data))


TARGETS: dict[str, Callable[[bytes], None]] = {"rpc": rpc, "history": history}
