"""
One authenticated connection: decrypts records and passes their bytes to streams.

Bytes that arrive are decrypted, demultiplexed and passed to the streams inside the socket's callback, without a task.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from hushbell.errors import HushbellError, TransportError, WireError
from hushbell.ports.metrics import Count
from hushbell.types import Millis
from hushbell.waku.libp2p.identify import Identify
from hushbell.waku.libp2p.keepalive import PING_DUE, KeepAlive, elapsed
from hushbell.waku.libp2p.limits import HostLimits
from hushbell.waku.libp2p.multistream import ProtocolProposer, ProtocolResponder
from hushbell.waku.libp2p.muxed_stream import MuxedStream
from hushbell.waku.libp2p.muxer import DATA, ENDED, OPENED, Muxer
from hushbell.waku.libp2p.raw_connection import RawConnection
from hushbell.waku.libp2p.resource_manager import ResourceManager
from hushbell.waku.libp2p.stream_table import StreamTable
from hushbell.waku.libp2p.upgrade import UpgradeResult
from hushbell.waku.libp2p.writer import StreamWriter


class Network(Protocol):
    """The part of a host that a connection uses."""

    def speaks(self, protocol: str) -> bool:
        """Whether inbound streams of this protocol are accepted."""

    def protocols(self) -> Sequence[str]:
        """Return all protocols of inbound streams."""

    def accept(self, connection: "PeerConnection", stream: MuxedStream) -> None:
        """Run the handler of an inbound stream whose protocol is agreed."""

    def left(self, connection: "PeerConnection") -> None:
        """Remove a connection that has ended."""

    def now(self) -> Millis:
        """Return the time."""


class PeerConnection:
    """One peer's connection. The host makes it, streams write through it."""

    def __init__(
        self,
        network: Network,
        raw: RawConnection,
        upgraded: UpgradeResult,
        muxer: Muxer,
        *,
        outbound: bool,
        limits: HostLimits,
        resources: ResourceManager,
        count: Count,
    ) -> None:
        self.peer = upgraded.peer
        self.outbound = outbound
        self.raw = raw
        self.muxer_name = upgraded.muxer
        self.protocols: tuple[str, ...] | None = None
        """The protocols that the peer announced; None until identify has answered."""
        self.about: Identify | None = None
        """The peer's identify message."""
        self.closed = False
        self.held = 0
        self.handlers: dict[str, int] = {}
        """Inbound streams in the handler of each protocol."""
        self._network = network
        self._limits = limits
        self._resources = resources
        self._count = count
        self._muxer = muxer
        self._open = upgraded.opener.open
        self._writer = StreamWriter(raw, muxer, upgraded.sealer, limits, resources)
        self._streams = StreamTable()
        self._unfinished = 0
        self._paused = False
        self._paused_at = network.now()
        self._keepalive = KeepAlive(limits, self._paused_at)
        resources.connections.add(self)

    # Called by the raw connection.

    def on_data(self, data: bytes | memoryview) -> None:
        """Process bytes of the socket."""
        muxer = self._muxer
        self._keepalive.has_received = True
        try:
            for plain in self._open(data):
                self._read(plain)
                if self.closed:
                    return
        except WireError:
            self._fail()
            return
        if muxer.overhead > self._limits.overhead_per_second:
            self.cut("overhead_per_second")
        elif muxer.control > self._limits.control_most:
            self._writer.flush()
            if muxer.control > self._limits.control_most:
                self.cut("control_most")
        elif muxer.ready:
            self._writer.schedule()

    def started(self, rest: Sequence[bytes]) -> None:
        """Process bytes that arrived behind the handshake."""
        try:
            for plain in rest:
                self._read(plain)
        except WireError:
            self._fail()
        self._writer.schedule()

    def on_writable(self) -> None:
        """Continue to write."""
        self._keepalive.has_sent = True
        self._writer.flush()

    def on_closed(self) -> None:
        """Release streams and buffers: the socket is closed."""
        if self.closed:
            return
        self.closed = True
        self.raw.handler = None
        self._resources.connections.discard(self)
        self._resources.streams -= self.inbound
        self._resources.held -= self.held
        self.held = 0
        self._writer.close()
        for stream in self._streams.clear():
            stream.on_reset()
        self._network.left(self)

    # Called by the host.

    async def open(self, protocols: Sequence[str]) -> MuxedStream:
        """
        Open a stream and agree on one of the protocols.

        If identify announced one of them, it is used without waiting for the peer to agree.

        Raises:
            TransportError: the peer speaks none, or the connection has ended or accepts no more streams.
        """
        if self.closed or not self._muxer.accepting:
            raise TransportError("the connection accepts no more streams")
        known = next((protocol for protocol in protocols if protocol in (self.protocols or ())), None)
        proposing = ProtocolProposer(tuple(protocols) if known is None else (known,))
        stream = MuxedStream(self, self._muxer.open(), proposing, known or "")
        self._streams.add(stream, self._deadline(self._limits.handshake_seconds), inbound=False)
        self.send(stream, proposing.start())
        if known is None:
            await stream.agreed()
        return stream

    def sweep(self, now: Millis) -> None:
        """Check deadlines and inactivity. Called about once a second."""
        self._reset_overdue(now)
        self._muxer.overhead = 0
        if self._muxer.refused:
            self._count("libp2p_refused_streams_per_connection", self._muxer.refused)
            self._muxer.refused = 0
        if self._paused and elapsed(self._paused_at, now, self._limits.unread_seconds):
            self._reset_slowest()
        result = self._keepalive.check(now, full=self.raw.full, paused=self._paused)
        if result == PING_DUE:
            self._muxer.ping()
            self._writer.schedule()
        elif result:
            self.cut(result)

    def close(self) -> None:
        """Send the muxer's goodbye and close."""
        if not self.closed:
            self._muxer.leave(0)
            self._writer.flush()
            self.raw.close()
            self.on_closed()

    def cut(self, reason: str) -> None:
        """Close at once and count the bound that was broken."""
        if not self.closed:
            self._count("libp2p_cut_" + reason, 1)
            self.raw.abort()
            self.on_closed()

    @property
    def unsent(self) -> int:
        """Bytes that wait for the socket."""
        return self._muxer.waiting

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    @property
    def inbound(self) -> int:
        """How many of them the peer opened."""
        return self._streams.inbound

    def done(self, stream: MuxedStream) -> None:
        """Close a stream whose handler has returned, unless it has a receiver."""
        if stream.receiver is not None or stream.is_reset:
            return
        stream.ignore()
        stream.close_write()
        if stream in self._streams:
            self._streams.set_deadline(stream, self._deadline(self._limits.linger_seconds))

    # Called by streams.

    def send(self, stream: MuxedStream, data: bytes) -> None:
        """Queue bytes of a stream."""
        over = self._writer.send(stream.stream_id, data)
        if over:
            self._count("libp2p_reset_" + over, 1)
            stream.reset()

    def queued(self, stream: MuxedStream) -> int:
        """Return the queued bytes of a stream."""
        return self._muxer.queued(stream.stream_id)

    def consumed(self, stream: MuxedStream, count: int) -> None:
        """Give the peer credit for bytes that were read."""
        self._muxer.consumed(stream.stream_id, count)
        if self._muxer.control:
            self._writer.schedule()

    def widen(self, stream: MuxedStream) -> None:
        """Enlarge the receive window of a stream."""
        self._muxer.widen(stream.stream_id)
        self._writer.schedule()

    def hold(self, change: int) -> None:
        """Count unread bytes, and pause the socket while they are too many."""
        if self.closed:
            return
        self.held += change
        unread = self.held - self._unfinished
        if self._paused:
            if unread <= self._limits.unread_per_connection >> 1:
                self._paused = False
                self.raw.resume()
        elif unread > self._limits.unread_per_connection:
            self._count("libp2p_paused_unread_per_connection", 1)
            self._paused = True
            self._paused_at = self._network.now()
            self.raw.pause()
        self._resources.hold(change)

    def add_unfinished(self, stream: MuxedStream, change: int) -> None:
        """Count the bytes of unfinished frames."""
        if self.closed:
            return
        self._unfinished += change
        self.held += change
        self._resources.hold(change)
        if change > 0 and self._unfinished > self._limits.unfinished_per_connection:
            self._count("libp2p_reset_unfinished_per_connection", 1)
            stream.reset()

    def close_stream(self, stream: MuxedStream) -> None:
        """End our side of a stream."""
        self._muxer.close(stream.stream_id)
        self._writer.schedule()
        if stream.has_ended:
            self._on_finished(stream)

    def reset_stream(self, stream: MuxedStream) -> None:
        """Reset a stream."""
        self._muxer.reset(stream.stream_id)
        self._writer.account()
        self._writer.schedule()
        self._on_reset(stream)

    def on_agreed(self, stream: MuxedStream) -> None:
        """Accept an inbound stream whose protocol is agreed."""
        if self._streams.agree(stream):
            self._network.accept(self, stream)

    def failed(self, stream: MuxedStream, error: Exception) -> None:
        """Reset a stream whose receiver or negotiation failed."""
        self._count("libp2p_streams_failed", 1)
        stream.reset()
        if not isinstance(error, HushbellError):
            asyncio.get_running_loop().call_exception_handler({"message": "a receiver failed", "exception": error})

    async def drain(self, stream: MuxedStream) -> None:
        """Return when few bytes of the stream are queued."""
        await self._writer.drain(stream.stream_id)

    # Private.

    def _read(self, plain: bytes) -> None:
        streams = self._streams.by_id
        for kind, name, data in self._muxer.receive(plain):
            if kind == DATA:
                stream = streams.get(name)
                if stream is not None:
                    stream.on_data(data)
            else:
                self._on_event(kind, name)
            if self.closed:
                return

    def _on_event(self, kind: int, name: int) -> None:
        if kind == OPENED:
            self._on_opened(name)
            return
        stream = self._streams.by_id.get(name)
        if kind == ENDED:
            if stream is not None:
                stream.end()
                if stream.is_write_closed:
                    self._on_finished(stream)
            return
        self._writer.account()
        if stream is not None:
            self._on_reset(stream)

    def _on_opened(self, name: int) -> None:
        stream = MuxedStream(self, name, ProtocolResponder(self._network.speaks, self._network.protocols))
        self._streams.add(stream, self._deadline(self._limits.handshake_seconds), inbound=True)
        self._resources.open()
        if self._streams.unagreed > self._limits.streams_unagreed and not self.closed:
            self._count("libp2p_refused_streams_unagreed", 1)
            stream.reset()

    def _on_finished(self, stream: MuxedStream) -> None:
        """Remove a stream that both sides ended; one with unread bytes stays for a while, so that they are counted."""
        if stream.unread:
            self._streams.set_deadline(stream, self._deadline(self._limits.linger_seconds))
        else:
            self._remove(stream)

    def _on_reset(self, stream: MuxedStream) -> None:
        self._remove(stream)
        stream.on_reset()
        self._writer.wake()

    def _remove(self, stream: MuxedStream) -> None:
        if self._streams.remove(stream):
            self._resources.streams -= 1

    def _reset_overdue(self, now: Millis) -> None:
        for stream in self._streams.overdue(now):
            if stream.has_ended and stream.is_write_closed and not stream.unread:
                self._remove(stream)
            else:
                self._count("libp2p_streams_timed_out", 1)
                stream.reset()

    def _reset_slowest(self) -> None:
        """Reset the stream with the most unread bytes, so that the others continue."""
        slowest = self._streams.slowest()
        self._paused_at = self._network.now()
        if slowest is not None:
            self._count("libp2p_reset_unread_seconds", 1)
            slowest.reset()

    def _fail(self) -> None:
        """Close the connection: the peer broke the protocol."""
        self._count("libp2p_faults", 1)
        if not self.closed:
            self._muxer.leave(1)
            self._writer.flush()
            self.raw.close()
            self.on_closed()

    def _deadline(self, seconds: int) -> Millis:
        return Millis(self._network.now() + seconds * 1000)
