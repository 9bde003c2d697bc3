"""
One authenticated connection: records in, streams out.

What arrives is decrypted, taken apart and handed to the streams inside the socket's callback; nothing of it waits for a
task.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from hushbell.errors import HushbellError, TransportError, WireError
from hushbell.ports.metrics import Count
from hushbell.types import Millis
from hushbell.waku.libp2p.identify import Identify
from hushbell.waku.libp2p.keepalive import ASK, KeepAlive, elapsed
from hushbell.waku.libp2p.limits import HostLimits
from hushbell.waku.libp2p.multistream import ProtocolProposer, ProtocolResponder
from hushbell.waku.libp2p.muxed_stream import MuxedStream
from hushbell.waku.libp2p.muxer import DATA, ENDED, OPENED, Muxer
from hushbell.waku.libp2p.raw_connection import RawConnection
from hushbell.waku.libp2p.resource_manager import ResourceManager
from hushbell.waku.libp2p.upgrade import UpgradeResult
from hushbell.waku.libp2p.writer import StreamWriter


class Network(Protocol):
    """What a connection needs of its host."""

    def speaks(self, protocol: str) -> bool:
        """Whether inbound streams of this protocol are taken."""
        ...

    def protocols(self) -> Sequence[str]:
        """Return all of them."""
        ...

    def accept(self, connection: "PeerConnection", stream: MuxedStream) -> None:
        """Run the handler of an inbound stream whose protocol is agreed."""
        ...

    def left(self, connection: "PeerConnection") -> None:
        """Forget a connection that has ended."""
        ...

    def now(self) -> Millis:
        """Return the time."""
        ...


class PeerConnection:
    """One peer's connection. The host makes it, streams write through it."""

    def __init__(
        self,
        owner: Network,
        pipe: RawConnection,
        upgraded: UpgradeResult,
        muxer: Muxer,
        *,
        outbound: bool,
        limits: HostLimits,
        ledger: ResourceManager,
        count: Count,
    ) -> None:
        self.peer = upgraded.peer
        self.outbound = outbound
        self.pipe = pipe
        self.muxer_name = upgraded.muxer
        self.protocols: tuple[str, ...] | None = None
        """What the peer said it speaks; None until identify has answered."""
        self.about: Identify | None = None
        """The rest of what it said."""
        self.closed = False
        self.held = 0
        self.inbound = 0
        self.handlers: dict[str, int] = {}
        """Inbound streams in the handler of each protocol."""
        self._owner = owner
        self._limits = limits
        self._ledger = ledger
        self._count = count
        self._muxer = muxer
        self._open = upgraded.opener.open
        self._outgoing = StreamWriter(pipe, muxer, upgraded.sealer, limits, ledger)
        self._streams: dict[int, MuxedStream] = {}
        self._inbound: set[int] = set()
        self._unagreed = 0
        self._unfinished = 0
        self._paused = False
        self._deadlines: dict[MuxedStream, Millis] = {}
        self._stopped = owner.now()
        self._liveness = KeepAlive(limits, self._stopped)
        ledger.holders.add(self)

    # What the pipe calls.

    def received(self, data: bytes | memoryview) -> None:
        """Take bytes of the socket."""
        muxer = self._muxer
        self._liveness.heard = True
        try:
            for plain in self._open(data):
                self._take(plain)
                if self.closed:
                    return
        except WireError:
            self._fault()
            return
        if muxer.overhead > self._limits.overhead_per_second:
            self.cut("overhead_per_second")
        elif muxer.control > self._limits.control_most:
            self._outgoing.flush()
            if muxer.control > self._limits.control_most:
                self.cut("control_most")
        elif muxer.ready:
            self._outgoing.schedule()

    def started(self, rest: Sequence[bytes]) -> None:
        """Take what came behind the handshake."""
        try:
            for plain in rest:
                self._take(plain)
        except WireError:
            self._fault()
        self._outgoing.schedule()

    def writable(self) -> None:
        """Go on writing."""
        self._liveness.moved = True
        self._outgoing.flush()

    def lost(self) -> None:
        """Forget everything: the socket is closed."""
        if self.closed:
            return
        self.closed = True
        self.pipe.sink = None
        self._ledger.holders.discard(self)
        self._ledger.streams -= self.inbound
        self._ledger.held -= self.held
        self.held = 0
        self._outgoing.close()
        streams, self._streams = self._streams, {}
        self._deadlines.clear()
        for stream in streams.values():
            stream.lose()
        self._owner.left(self)

    # What the host calls.

    async def open(self, protocols: Sequence[str]) -> MuxedStream:
        """
        Open a stream and agree on one of the protocols.

        Where identify said that the peer speaks one, it is used without waiting for the peer to agree.

        Raises:
            TransportError: none is spoken, the connection is gone or takes no more streams.
        """
        if self.closed or not self._muxer.accepting:
            raise TransportError("the connection takes no more streams")
        known = next((protocol for protocol in protocols if protocol in (self.protocols or ())), None)
        proposing = ProtocolProposer(tuple(protocols) if known is None else (known,))
        stream = MuxedStream(self, self._muxer.open(), proposing, known or "")
        self._streams[stream.name] = stream
        self._deadlines[stream] = self._after(self._limits.handshake_seconds)
        self.send(stream, proposing.start())
        if known is None:
            await stream.agreed()
        return stream

    def sweep(self, now: Millis) -> None:
        """Act on what time brought; called about once a second."""
        self._end_overdue(now)
        self._muxer.overhead = 0
        if self._muxer.refused:
            self._count("libp2p_refused_streams_per_connection", self._muxer.refused)
            self._muxer.refused = 0
        if self._paused and elapsed(self._stopped, now, self._limits.unread_seconds):
            self._reset_slowest()
        verdict = self._liveness.check(now, full=self.pipe.full, paused=self._paused)
        if verdict == ASK:
            self._muxer.ping()
            self._outgoing.schedule()
        elif verdict:
            self.cut(verdict)

    def close(self) -> None:
        """Say goodbye and close."""
        if not self.closed:
            self._muxer.leave(0)
            self._outgoing.flush()
            self.pipe.close()
            self.lost()

    def cut(self, reason: str) -> None:
        """Close at once, for the bound named."""
        if not self.closed:
            self._count("libp2p_cut_" + reason, 1)
            self.pipe.abort()
            self.lost()

    @property
    def unsent(self) -> int:
        """Bytes that wait for the socket."""
        return self._muxer.waiting

    @property
    def streams(self) -> int:
        """How many streams live."""
        return len(self._streams)

    def done(self, stream: MuxedStream) -> None:
        """Wind up a stream whose handler has returned; one with a receiver lives on."""
        if stream.receiver is not None or stream.gone:
            return
        stream.ignore()
        stream.close_write()
        if stream.name in self._streams:
            self._deadlines[stream] = self._after(self._limits.linger_seconds)

    # What a stream calls.

    def send(self, stream: MuxedStream, data: bytes) -> None:
        """Queue bytes of a stream."""
        over = self._outgoing.send(stream.name, data)
        if over:
            self._count("libp2p_reset_" + over, 1)
            stream.reset()

    def queued(self, stream: MuxedStream) -> int:
        """Bytes of a stream that wait."""
        return self._muxer.queued(stream.name)

    def consumed(self, stream: MuxedStream, count: int) -> None:
        """Give credit."""
        self._muxer.consumed(stream.name, count)
        if self._muxer.control:
            self._outgoing.schedule()

    def widen(self, stream: MuxedStream) -> None:
        """Let more be on the way."""
        self._muxer.widen(stream.name)
        self._outgoing.schedule()

    def hold(self, change: int) -> None:
        """Count bytes that nobody has read, and stop reading the socket while they are too many."""
        if self.closed:
            return
        self.held += change
        unread = self.held - self._unfinished
        if self._paused:
            if unread <= self._limits.unread_per_connection >> 1:
                self._paused = False
                self.pipe.resume()
        elif unread > self._limits.unread_per_connection:
            self._count("libp2p_paused_unread_per_connection", 1)
            self._paused = True
            self._stopped = self._owner.now()
            self.pipe.pause()
        self._ledger.hold(change)

    def assemble(self, stream: MuxedStream, change: int) -> None:
        """Count bytes of unfinished frames."""
        if self.closed:
            return
        self._unfinished += change
        self.held += change
        self._ledger.hold(change)
        if change > 0 and self._unfinished > self._limits.unfinished_per_connection:
            self._count("libp2p_reset_unfinished_per_connection", 1)
            stream.reset()

    def finish(self, stream: MuxedStream) -> None:
        """End our side of a stream."""
        self._muxer.close(stream.name)
        self._outgoing.schedule()
        if stream.ended:
            self._over(stream)

    def drop(self, stream: MuxedStream) -> None:
        """Reset a stream."""
        self._muxer.reset(stream.name)
        self._outgoing.account()
        self._outgoing.schedule()
        self._lose(stream)

    def settled(self, stream: MuxedStream) -> None:
        """Go on with a stream whose protocol is agreed."""
        self._deadlines.pop(stream, None)
        if stream.name in self._inbound:
            self._unagreed -= 1
            self._owner.accept(self, stream)

    def failed(self, stream: MuxedStream, error: Exception) -> None:
        """Reset a stream whose bytes its reader did not like."""
        self._count("libp2p_streams_failed", 1)
        stream.reset()
        if not isinstance(error, HushbellError):
            asyncio.get_running_loop().call_exception_handler({"message": "a receiver failed", "exception": error})

    async def drained(self, stream: MuxedStream) -> None:
        """Wait until few bytes of the stream wait."""
        await self._outgoing.drained(stream.name)

    # Inside.

    def _take(self, plain: bytes) -> None:
        streams = self._streams
        for kind, name, data in self._muxer.receive(plain):
            if kind == DATA:
                stream = streams.get(name)
                if stream is not None:
                    stream.feed(data)
            else:
                self._happened(kind, name)
            if self.closed:
                return

    def _happened(self, kind: int, name: int) -> None:
        if kind == OPENED:
            self._opened(name)
            return
        stream = self._streams.get(name)
        if kind == ENDED:
            if stream is not None:
                stream.end()
                if stream.finished:
                    self._over(stream)
            return
        self._outgoing.account()
        if stream is not None:
            self._lose(stream)

    def _opened(self, name: int) -> None:
        stream = MuxedStream(self, name, ProtocolResponder(self._owner.speaks, self._owner.protocols))
        self._streams[name] = stream
        self._inbound.add(name)
        self.inbound += 1
        self._unagreed += 1
        self._deadlines[stream] = self._after(self._limits.handshake_seconds)
        self._ledger.open()
        if self._unagreed > self._limits.streams_unagreed and not self.closed:
            self._count("libp2p_refused_streams_unagreed", 1)
            stream.reset()

    def _over(self, stream: MuxedStream) -> None:
        """Forget a stream that both sides ended; one with bytes to read stays for a while, so that they are counted."""
        if stream.unread:
            self._deadlines[stream] = self._after(self._limits.linger_seconds)
        else:
            self._forget(stream)

    def _lose(self, stream: MuxedStream) -> None:
        self._forget(stream)
        stream.lose()
        self._outgoing.wake()

    def _forget(self, stream: MuxedStream) -> None:
        if self._streams.pop(stream.name, None) is None:
            return
        self._deadlines.pop(stream, None)
        if stream.name in self._inbound:
            self._inbound.discard(stream.name)
            self.inbound -= 1
            self._ledger.streams -= 1
            if stream.negotiation is not None:
                self._unagreed -= 1

    def _end_overdue(self, now: Millis) -> None:
        for stream, deadline in list(self._deadlines.items()):
            if deadline > now:
                continue
            if stream.ended and stream.finished and not stream.unread:
                self._forget(stream)
            else:
                self._count("libp2p_streams_timed_out", 1)
                stream.reset()

    def _reset_slowest(self) -> None:
        """Nobody reads: give up the stream that waits with the most, so that the others go on."""
        slowest = max(self._streams.values(), key=lambda stream: stream.unread, default=None)
        self._stopped = self._owner.now()
        if slowest is not None:
            self._count("libp2p_reset_unread_seconds", 1)
            slowest.reset()

    def _fault(self) -> None:
        """End the connection: the peer broke its protocol."""
        self._count("libp2p_faults", 1)
        if not self.closed:
            self._muxer.leave(1)
            self._outgoing.flush()
            self.pipe.close()
            self.lost()

    def _after(self, seconds: int) -> Millis:
        return Millis(self._owner.now() + seconds * 1000)
