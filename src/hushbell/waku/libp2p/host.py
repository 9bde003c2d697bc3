"""
A libp2p host: listens, dials, keeps one or two connections to each peer, and runs the handlers of their streams.

It answers identify, identify-push and ping itself. Time limits are checked once a second.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from hushbell.errors import HushbellError, TransportError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.types import Millis, Random
from hushbell.waku.libp2p import identify, mplex, ping, yamux
from hushbell.waku.libp2p.connection import PeerConnection
from hushbell.waku.libp2p.connection_gater import ConnectionGater, source_of
from hushbell.waku.libp2p.handshake import Handshake
from hushbell.waku.libp2p.identify_service import IdentifyService
from hushbell.waku.libp2p.keepalive import elapsed
from hushbell.waku.libp2p.keys import Identity
from hushbell.waku.libp2p.limits import HostLimits
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.muxed_stream import MuxedStream
from hushbell.waku.libp2p.muxer import Muxer
from hushbell.waku.libp2p.raw_connection import RawConnection
from hushbell.waku.libp2p.resource_manager import ResourceManager
from hushbell.waku.libp2p.security import credentials
from hushbell.waku.libp2p.sockets import Sockets
from hushbell.waku.libp2p.stream import PeerId, Stream
from hushbell.waku.libp2p.upgrade import Upgrade, UpgradeResult

MUXERS = (yamux.PROTOCOL, mplex.PROTOCOL)
Handler = Callable[[Stream], Awaitable[None]]
Connected = Callable[[PeerId, Sequence[str]], None]
Disconnected = Callable[[PeerId], None]
_SWEEP_BATCH = 100  # connections that are checked in one turn of the event loop


class Host:
    """All connections of one node."""

    def __init__(
        self,
        identity: Identity,
        *,
        clock: Clock,
        random: Random,
        count: Count,
        limits: HostLimits | None = None,
        muxers: Sequence[str] = MUXERS,
        agent: str = "hushbell",
        server_tls: ssl.SSLContext | None = None,
        client_tls: ssl.SSLContext | None = None,
    ) -> None:
        """
        Make a host that neither listens nor dials yet.

        Args:
            identity: the key of its peer id.
            clock: for every time limit.
            random: for handshakes and pings.
            count: ``libp2p_*`` counters.
            limits: the bounds; None: the defaults.
            muxers: protocols in the order of preference.
            agent: its name in identify.
            server_tls: the certificate to listen with on addresses with ``/wss``.
            client_tls: trusted authorities for dialling them; None: those of the system.
        """
        self.peer_id = identity.peer_id
        self.addresses: list[Multiaddr] = []
        self.limits = limits or HostLimits()
        self._own = credentials(identity, random)
        self._clock = clock
        self._random = random
        self._count = count
        self._muxers = tuple(muxers)
        self._handlers: dict[str, Callable[[PeerConnection, MuxedStream], Awaitable[None]]] = {}
        self._connections: dict[PeerId, list[PeerConnection]] = {}
        self._sources: dict[PeerConnection, str] = {}
        self._handshakes: set[Handshake] = set()
        self._watchers: list[tuple[Connected, Disconnected]] = []
        self._announced: dict[PeerId, tuple[str, ...]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.Task[None] | None = None
        self._closed = False
        self._gater = ConnectionGater(self.limits)
        self._resources = ResourceManager(self.limits, count)
        self._sockets = Sockets(self.limits, server_tls, client_tls, count)
        self._identify = IdentifyService(self, identity.public_key, agent, self.limits, count)
        self._handlers[identify.PROTOCOL] = self._identify.answer
        self._handlers[identify.PUSH] = self._identify.receive_push
        self._handlers[ping.PROTOCOL] = self._answer_pings

    # The public part.

    def handle(self, protocol: str, handler: Handler) -> None:
        """
        Accept inbound streams of a protocol: a task for each, bounded per peer.

        When the handler returns, the stream is closed, unless it has a receiver. A handler that raises resets its
        stream. Connected peers get an identify-push.
        """
        self._handlers[protocol] = lambda _, stream: handler(stream)
        self._identify.push(self._all())

    async def open(self, peer: PeerId, protocols: Sequence[str]) -> MuxedStream:
        """
        Open a stream to a connected peer in the first of the protocols that it speaks.

        Raises:
            TransportError: it is not connected or speaks none of them.
        """
        connections = self._connections.get(peer)
        if not connections:
            raise TransportError("the peer is not connected")
        return await connections[-1].open(protocols)

    async def dial(self, address: Multiaddr) -> PeerId:
        """
        Connect to an address, unless the peer that it names is connected, and return the peer that answered.

        Raises:
            TransportError: the address does not answer, or another peer than it names does.
        """
        self._start()
        expected = address.peer
        if expected is not None and expected in self._connections:
            return expected
        handshakes: list[Handshake] = []
        try:
            await self._sockets.connect(
                address, lambda raw: handshakes.append(self._begin_handshake(raw, expected, outbound=True))
            )
            return await handshakes[0].future
        except asyncio.CancelledError:
            for handshake in handshakes:
                handshake.abort("cancelled")
            raise

    async def listen(self, address: Multiaddr) -> None:
        """
        Listen on an address. Port 0 picks one, which is in ``addresses`` afterwards.

        Raises:
            TransportError: the address cannot be listened on.
        """
        self._start()
        bound = await self._sockets.listen(address.without_peer(), self._on_inbound)
        self.addresses.append(bound.with_peer(self.peer_id))
        self._identify.push(self._all())

    def watch(self, connected: Connected, disconnected: Disconnected) -> None:
        """
        Call ``connected`` with a peer's protocols after identify and whenever they change, ``disconnected`` at its end.

        A peer that does not answer identify is reported without protocols.
        """
        self._watchers.append((connected, disconnected))
        for peer, protocols in self._announced.items():
            connected(peer, protocols)

    def disconnect(self, peer: PeerId) -> None:
        """Close all connections to a peer."""
        for connection in tuple(self._connections.get(peer, ())):
            connection.close()

    async def close(self) -> None:
        """Stop listening and close all connections."""
        self._closed = True
        await self._sockets.close()
        for handshake in tuple(self._handshakes):
            handshake.abort("closing")
        for peer in tuple(self._connections):
            self.disconnect(peer)
        tasks = [*self._tasks, *([self._sweeping] if self._sweeping else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def peers(self) -> Sequence[PeerId]:
        """The connected peers, identified or not."""
        return tuple(self._connections)

    @property
    def unauthenticated(self) -> int:
        """How many connections, in both directions, are not authenticated yet."""
        return len(self._handshakes)

    def connection(self, peer: PeerId) -> PeerConnection | None:
        """Return the newest connection to a peer."""
        connections = self._connections.get(peer)
        return connections[-1] if connections else None

    # Called by connections and identify.

    def now(self) -> Millis:
        """Return the time."""
        return self._clock.now()

    def speaks(self, protocol: str) -> bool:
        """Whether inbound streams of this protocol are accepted."""
        return protocol in self._handlers

    def protocols(self) -> Sequence[str]:
        """Return the protocols of inbound streams."""
        return tuple(self._handlers)

    def accept(self, connection: PeerConnection, stream: MuxedStream) -> None:
        """Run the handler of an inbound stream."""
        protocol = stream.protocol
        running = connection.handlers.get(protocol, 0)
        if running >= self.limits.handlers_per_peer:
            self._count("libp2p_refused_handlers_per_peer", 1)
            stream.reset()
            return
        connection.handlers[protocol] = running + 1
        self.spawn(self._run(connection, stream))

    def left(self, connection: PeerConnection) -> None:
        """Remove a connection that has ended."""
        source = self._sources.pop(connection, None)
        if source is not None:
            self._gater.leave(source)
        connections = self._connections.get(connection.peer, [])
        if connection in connections:
            connections.remove(connection)
        if connections:
            return
        self._connections.pop(connection.peer, None)
        if self._announced.pop(connection.peer, None) is not None:
            for _, disconnected in self._watchers:
                disconnected(connection.peer)

    def announce(self, connection: PeerConnection, protocols: tuple[str, ...]) -> None:
        """Note a peer's protocols and call the watchers if they have changed."""
        peer = connection.peer
        for each in self._connections.get(peer, ()):
            each.protocols = protocols
        if peer in self._connections and self._announced.get(peer) != protocols:
            self._announced[peer] = protocols
            for connected, _ in self._watchers:
                connected(peer, protocols)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in a task that ends with the host."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Private.

    def _all(self) -> list[PeerConnection]:
        return [connection for connections in self._connections.values() for connection in connections]

    def _start(self) -> None:
        if self._closed:
            raise TransportError("the host is closed")
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().create_task(self._sweep())

    def _on_inbound(self, raw: RawConnection) -> None:
        """Accept an inbound socket, or close it before any cryptography."""
        refused = "closing" if self._closed else self._gater.refusal(source_of(raw.remote))
        if refused:
            self._count("libp2p_refused_" + refused, 1)
            raw.abort()
            return
        self._count("libp2p_connections_inbound", 1)
        evicted = self._gater.add(self._begin_handshake(raw, None, outbound=False))
        if isinstance(evicted, Handshake):
            evicted.abort("handshakes")

    def _begin_handshake(self, raw: RawConnection, expected: PeerId | None, *, outbound: bool) -> Handshake:
        upgrade = Upgrade(self._own, initiator=outbound, muxers=self._muxers, random=self._random, expected=expected)
        handshake = Handshake(
            raw,
            upgrade,
            outbound=outbound,
            began=self._clock.now(),
            count=self._count,
            arrived=self._arrived,
            failed=self._on_handshake_failed,
        )
        self._handshakes.add(handshake)
        raw.handler = handshake
        handshake.start()
        return handshake

    def _on_handshake_failed(self, handshake: Handshake) -> None:
        self._handshakes.discard(handshake)
        if not handshake.outbound:
            self._gater.known(handshake)
            self._gater.leave(handshake.source)

    def _arrived(self, handshake: Handshake, upgraded: UpgradeResult) -> None:
        self._handshakes.discard(handshake)
        connection = PeerConnection(
            self,
            handshake.raw,
            upgraded,
            self._muxer(upgraded.muxer, initiator=handshake.outbound),
            outbound=handshake.outbound,
            limits=self.limits,
            resources=self._resources,
            count=self._count,
        )
        handshake.raw.handler = connection
        if not handshake.outbound:
            self._gater.known(handshake)
            self._sources[connection] = handshake.source
        connections = self._connections.setdefault(upgraded.peer, [])
        connections.append(connection)
        connection.protocols = self._announced.get(upgraded.peer)
        connection.started(upgraded.rest)
        if not handshake.future.done():
            handshake.future.set_result(upgraded.peer)
        self.spawn(self._identify.ask(connection))
        if len(connections) > self.limits.connections_per_peer:
            self._count("libp2p_closed_connections_per_peer", 1)
            connections[0].close()

    def _muxer(self, protocol: str, *, initiator: bool) -> Muxer:
        streams = self.limits.streams_per_connection
        if protocol == yamux.PROTOCOL:
            return yamux.Yamux(initiator=initiator, streams=streams, wide_window=self.limits.wide_window)
        return mplex.Mplex(streams=streams)

    async def _run(self, connection: PeerConnection, stream: MuxedStream) -> None:
        protocol = stream.protocol
        try:
            await self._handlers[protocol](connection, stream)
        except (HushbellError, TimeoutError):
            self._count("libp2p_streams_failed", 1)
            stream.reset()
        except BaseException:
            stream.reset()
            raise
        finally:
            connection.handlers[protocol] -= 1
            if not connection.handlers[protocol]:
                del connection.handlers[protocol]
            connection.done(stream)

    async def _answer_pings(self, _: PeerConnection, stream: MuxedStream) -> None:
        await ping.echo(stream, self._clock, self._count, self.limits.pings_per_second)

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(1)
            now = self._clock.now()
            for handshake in tuple(self._handshakes):
                if elapsed(handshake.started_at, now, self.limits.handshake_seconds):
                    handshake.abort("handshake_seconds")
            for number, connection in enumerate(self._all()):
                if not connection.closed:
                    connection.sweep(now)
                if number % _SWEEP_BATCH == _SWEEP_BATCH - 1:
                    await asyncio.sleep(0)
