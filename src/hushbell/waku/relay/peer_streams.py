"""Peers and their streams: one that we opened and only write to, and one that the peer opened and we only read."""

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
from hushbell.waku.libp2p.stream import PeerId, Stream, StreamHost
from hushbell.waku.relay.rpc_queue import RpcQueue, Total
from hushbell.waku.relay.rpc_reader import Partial, RpcHandler, RpcReader
from hushbell.waku.relay.settings import PROTOCOL, RelayLimits

MAX_WAIT_SECONDS = 1.0  # that a publisher waits for slow peers


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """How a peer and we met."""

    address: str  # its IP address; "" if that is not known
    outbound: bool  # we dialled


class PeerListener(RpcHandler, Protocol):
    """Who decides about peers and takes what they send."""

    def arrived(self, peer: PeerId, origin: ConnectionInfo) -> None:
        """Hear of a peer that speaks the relay's protocol; what is said to it now is sent first."""
        ...

    def left(self, peer: PeerId) -> None:
        """Hear that it is gone, or was cut."""
        ...

    def refuses(self, peer: PeerId) -> bool:
        """Say whether nothing of the peer is to be read."""
        ...


@dataclass(slots=True)
class _StreamPair:
    outbox: RpcQueue
    inbound: RpcReader | None = None
    stream: Stream | None = field(default=None, repr=False)  # the inbound one


class PeerStreams:
    """Everybody who speaks the relay's protocol, from the first sign of it until the connection ends or is cut."""

    def __init__(
        self,
        host: StreamHost,
        bounds: RelayLimits,
        owner: PeerListener,
        *,
        clock: Clock,
        count: Count,
        connection_info: Callable[[PeerId], ConnectionInfo],
    ) -> None:
        self.outboxes: dict[PeerId, RpcQueue] = {}
        self._links: dict[PeerId, _StreamPair] = {}
        self._present: set[PeerId] = set()  # whose connection's end will be told
        self._lost: Counter[PeerId] = Counter()  # streams, of those who are present
        self._host = host
        self._bounds = bounds
        self._owner = owner
        self._clock = clock
        self._count = count
        self._connection_info = connection_info
        self._total, self._partial = Total(), Partial()
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        host.handle(PROTOCOL, self._incoming)
        host.watch(self._connected, self._disconnected)

    def cut(self, peer: PeerId, reason: str) -> None:
        """End the connection to a peer and count why."""
        if peer in self._links:
            self._count(reason, 1)
            self._remove(peer)
            self._host.disconnect(peer)

    async def wait_for_room(self) -> None:
        """Return when no open stream has frames waiting, at the latest after :data:`MAX_WAIT_SECONDS`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(MAX_WAIT_SECONDS):
                while any(outbox.waiting and outbox.open for outbox in self.outboxes.values()):
                    self._room.clear()
                    await self._room.wait()

    async def close(self) -> None:
        """End all streams and tasks."""
        for peer in list(self._links):
            self._remove(peer, gently=True)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _connected(self, peer: PeerId, protocols: Sequence[str]) -> None:
        if PROTOCOL in protocols:
            self._present.add(peer)
            if peer not in self._links:
                self._arrive(peer)

    def _disconnected(self, peer: PeerId) -> None:
        self._present.discard(peer)
        self._lost.pop(peer, None)
        self._remove(peer)

    def _arrive(self, peer: PeerId) -> _StreamPair:
        link = _StreamPair(RpcQueue(self._bounds, self._total, self._count, self._drain))
        self._links[peer] = link
        self.outboxes[peer] = link.outbox
        self._owner.arrived(peer, self._connection_info(peer))
        self._spawn(self._open(peer, link))
        return link

    def _remove(self, peer: PeerId, *, gently: bool = False) -> None:
        link = self._links.pop(peer, None)
        if link is None:
            return
        del self.outboxes[peer]
        outbound = link.outbox.detach()
        if link.inbound is not None:
            link.inbound.close()
        for stream in (link.stream, outbound):
            if stream is not None:
                stream.on_closed = None
                if gently and stream is outbound:
                    stream.close_write()  # what we said last is still sent
                else:
                    stream.reset()
        self._owner.left(peer)
        self._room.set()

    async def _open(self, peer: PeerId, link: _StreamPair) -> None:
        for attempt in range(self._bounds.openings):
            try:
                stream = await self._host.open(peer, (PROTOCOL,))
            except TransportError:
                await self._clock.sleep(1.0 + attempt)
                if self._links.get(peer) is not link:
                    return
                continue
            if self._links.get(peer) is not link:
                stream.reset()
                return
            stream.receiver = _ignored
            stream.on_closed = partial(self._outbound_closed, peer, link, stream)
            link.outbox.attach(stream)
            return
        self._count("relay_open_failed", 1)
        self._remove(peer)

    def _outbound_closed(self, peer: PeerId, link: _StreamPair, stream: Stream) -> None:
        self._spawn(self._reopen(peer, link, stream))

    async def _reopen(self, peer: PeerId, link: _StreamPair, stream: Stream) -> None:
        """Begin anew with a peer that reset our stream; one that only closed its own side goes on reading."""
        with suppress(TransportError):
            await stream.drain()
            return
        if self._links.get(peer) is link:
            self._count("relay_streams_lost", 1)
            self._remove(peer)
            if peer in self._present:
                self._lost[peer] += 1
            if self._lost[peer] >= self._bounds.openings:
                return  # it says that it speaks the protocol and does not
            await self._clock.sleep(1.0)
            if peer in self._present and peer not in self._links:
                self._arrive(peer)

    def _drain(self, outbox: RpcQueue) -> None:
        self._spawn(self._draining(outbox))

    async def _draining(self, outbox: RpcQueue) -> None:
        with suppress(TransportError):
            await outbox.drain()
        self._room.set()

    async def _incoming(self, stream: Stream) -> None:
        peer = stream.peer
        if self._owner.refuses(peer):
            self._count("relay_graylisted", 1)
            stream.reset()
            return
        link = self._links.get(peer) or self._arrive(peer)
        if link.inbound is not None and link.stream is not None:
            link.inbound.close()
            link.stream.reset()
        closed = asyncio.Event()
        reader = RpcReader(
            stream,
            self._owner,
            bounds=self._bounds,
            partial=self._partial,
            later=asyncio.get_running_loop().call_soon,
            on_close=closed.set,
        )
        stream.on_closed = reader.close
        link.inbound, link.stream = reader, stream
        reader.start()
        await closed.wait()
        if link.inbound is reader:
            link.inbound = link.stream = None
            if peer not in self._present:
                self._remove(peer)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _ignored(_: bytes) -> None:
    """Nobody has anything to say on a stream that the other end opened for writing."""
