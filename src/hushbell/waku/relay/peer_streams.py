"""The two streams of each relay peer: one that we opened and only write, one that the peer opened and we only read."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from hushbell.errors import TransportError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.waku.byte_total import ByteTotal
from hushbell.waku.libp2p.stream import PeerId, Stream, StreamHost
from hushbell.waku.relay.rpc_queue import RpcQueue
from hushbell.waku.relay.rpc_reader import RpcHandler, RpcReader
from hushbell.waku.relay.settings import PROTOCOL, RelayLimits

MAX_WAIT_SECONDS = 1.0  # that a publisher waits for slow peers


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """The connection to a peer: where it is, and which side dialled."""

    address: str  # the peer's IP address; "" if unknown
    outbound: bool  # we dialled


class PeerListener(RpcHandler, Protocol):
    """Receives the peers, and what they send."""

    def on_peer(self, peer: PeerId, origin: ConnectionInfo) -> None:
        """Add a peer that speaks the relay's protocol; what is sent to it now is sent first."""

    def on_peer_gone(self, peer: PeerId) -> None:
        """Remove a peer that disconnected, or was cut."""

    def is_graylisted(self, peer: PeerId) -> bool:
        """Return whether nothing of the peer is to be read."""


@dataclass(slots=True)
class _StreamPair:
    queue: RpcQueue
    reader: RpcReader | None = None
    stream: Stream | None = field(default=None, repr=False)  # inbound


class PeerStreams:
    """The streams of all peers that speak the relay's protocol, until their connection ends or is cut."""

    def __init__(
        self,
        host: StreamHost,
        limits: RelayLimits,
        listener: PeerListener,
        *,
        clock: Clock,
        count: Count,
        connection_info: Callable[[PeerId], ConnectionInfo],
    ) -> None:
        self.queues: dict[PeerId, RpcQueue] = {}
        self._peer_streams: dict[PeerId, _StreamPair] = {}
        self._connected_peers: set[PeerId] = set()  # peers whose disconnection the host will report
        self._resets: Counter[PeerId] = Counter()  # streams that a connected peer has reset
        self._host = host
        self._limits = limits
        self._listener = listener
        self._clock = clock
        self._count = count
        self._connection_info = connection_info
        self._total, self._partial = ByteTotal(), ByteTotal()
        self._tasks: set[asyncio.Task[None]] = set()
        self._drained = asyncio.Event()
        host.handle(PROTOCOL, self._on_inbound_stream)
        host.watch(self._on_connected, self._on_disconnected)

    def cut(self, peer: PeerId, reason: str) -> None:
        """End the connection to a peer and count why."""
        if peer in self._peer_streams:
            self._count(reason, 1)
            self._remove(peer)
            self._host.disconnect(peer)

    async def wait_for_room(self) -> None:
        """Return when no open stream has frames waiting, at the latest after :data:`MAX_WAIT_SECONDS`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(MAX_WAIT_SECONDS):
                while any(queue.waiting and queue.open for queue in self.queues.values()):
                    self._drained.clear()
                    await self._drained.wait()

    async def close(self) -> None:
        """End all streams and tasks."""
        for peer in list(self._peer_streams):
            self._remove(peer, gently=True)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_connected(self, peer: PeerId, protocols: Sequence[str]) -> None:
        if PROTOCOL in protocols:
            self._connected_peers.add(peer)
            if peer not in self._peer_streams:
                self._add(peer)

    def _on_disconnected(self, peer: PeerId) -> None:
        self._connected_peers.discard(peer)
        self._resets.pop(peer, None)
        self._remove(peer)

    def _add(self, peer: PeerId) -> _StreamPair:
        pair = _StreamPair(RpcQueue(self._limits, self._total, self._count, self._drain))
        self._peer_streams[peer] = pair
        self.queues[peer] = pair.queue
        self._listener.on_peer(peer, self._connection_info(peer))
        self._spawn(self._open(peer, pair))
        return pair

    def _remove(self, peer: PeerId, *, gently: bool = False) -> None:
        pair = self._peer_streams.pop(peer, None)
        if pair is None:
            return
        del self.queues[peer]
        outbound = pair.queue.detach()
        if pair.reader is not None:
            pair.reader.close()
        for stream in (pair.stream, outbound):
            if stream is not None:
                stream.on_closed = None
                if gently and stream is outbound:
                    stream.close_write()  # the last control messages are still sent
                else:
                    stream.reset()
        self._listener.on_peer_gone(peer)
        self._drained.set()

    async def _open(self, peer: PeerId, pair: _StreamPair) -> None:
        for attempt in range(self._limits.openings):
            try:
                stream = await self._host.open(peer, (PROTOCOL,))
            except TransportError:
                await self._clock.sleep(1.0 + attempt)
                if self._peer_streams.get(peer) is not pair:
                    return
                continue
            if self._peer_streams.get(peer) is not pair:
                stream.reset()
                return
            stream.receiver = ignore_bytes
            stream.on_closed = partial(self._outbound_closed, peer, pair, stream)
            pair.queue.attach(stream)
            return
        self._count("relay_open_failed", 1)
        self._remove(peer)

    def _outbound_closed(self, peer: PeerId, pair: _StreamPair, stream: Stream) -> None:
        self._spawn(self._on_outbound_reset(peer, pair, stream))

    async def _on_outbound_reset(self, peer: PeerId, pair: _StreamPair, stream: Stream) -> None:
        """Start again with a peer that reset our stream. One that only closed its own side still reads."""
        with suppress(TransportError):
            await stream.drain()
            return
        if self._peer_streams.get(peer) is pair:
            self._count("relay_streams_lost", 1)
            self._remove(peer)
            if peer in self._connected_peers:
                self._resets[peer] += 1
            if self._resets[peer] >= self._limits.openings:
                return  # it announces the protocol but does not speak it
            await self._clock.sleep(1.0)
            if peer in self._connected_peers and peer not in self._peer_streams:
                self._add(peer)

    def _drain(self, queue: RpcQueue) -> None:
        self._spawn(self._drain_queue(queue))

    async def _drain_queue(self, queue: RpcQueue) -> None:
        with suppress(TransportError):
            await queue.drain()
        self._drained.set()

    async def _on_inbound_stream(self, stream: Stream) -> None:
        peer = stream.peer
        if self._listener.is_graylisted(peer):
            self._count("relay_graylisted", 1)
            stream.reset()
            return
        pair = self._peer_streams.get(peer) or self._add(peer)
        if pair.reader is not None and pair.stream is not None:
            pair.reader.close()
            pair.stream.reset()
        closed = asyncio.Event()
        reader = RpcReader(
            stream,
            self._listener,
            limits=self._limits,
            partial=self._partial,
            call_soon=asyncio.get_running_loop().call_soon,
            on_close=closed.set,
        )
        stream.on_closed = reader.close
        pair.reader, pair.stream = reader, stream
        reader.start()
        await closed.wait()
        if pair.reader is reader:
            pair.reader = pair.stream = None
            if peer not in self._connected_peers:
                self._remove(peer)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def ignore_bytes(_: bytes) -> None:
    """Ignore bytes on a stream that we opened for writing."""
