"""A stream of a connection, for asyncio. See :class:`hushbell.waku.libp2p.stream.Stream`."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from hushbell.errors import TooLarge, TransportError, Undecodable, WireError
from hushbell.waku.libp2p import multistream, varint
from hushbell.waku.libp2p.stream import PeerId

Negotiation = multistream.ProtocolProposer | multistream.ProtocolResponder


class StreamConnection(Protocol):
    """What a stream needs of its connection."""

    peer: PeerId

    def send(self, stream: "MuxedStream", data: bytes) -> None:
        """Queue bytes of a stream."""
        ...

    def queued(self, stream: "MuxedStream") -> int:
        """Return how many of them wait."""
        ...

    def consumed(self, stream: "MuxedStream", count: int) -> None:
        """Give the peer credit for bytes that left the stream's buffer."""
        ...

    def widen(self, stream: "MuxedStream") -> None:
        """Let more be on the way."""
        ...

    def hold(self, change: int) -> None:
        """Note that more or fewer received bytes wait for a reader."""
        ...

    def assemble(self, stream: "MuxedStream", change: int) -> None:
        """Note that more or fewer bytes of an unfinished frame are kept."""
        ...

    def finish(self, stream: "MuxedStream") -> None:
        """End our side."""
        ...

    def drop(self, stream: "MuxedStream") -> None:
        """End both sides at once."""
        ...

    def settled(self, stream: "MuxedStream") -> None:
        """The stream's protocol is agreed."""
        ...

    def failed(self, stream: "MuxedStream", error: Exception) -> None:
        """A receiver or a negotiation failed; the stream must go."""
        ...

    async def drained(self, stream: "MuxedStream") -> None:
        """Wait until few of the stream's bytes wait."""
        ...


class MuxedStream:
    """One stream, both ways."""

    __slots__ = (
        "_assembled",
        "_buffer",
        "_carrier",
        "_receiver",
        "_settling",
        "_waiter",
        "ended",
        "finished",
        "gone",
        "ignored",
        "name",
        "negotiation",
        "on_closed",
        "peer",
        "protocol",
    )

    def __init__(self, carrier: StreamConnection, name: int, negotiation: Negotiation, protocol: str = "") -> None:
        self._carrier = carrier
        self.name = name
        self.peer = carrier.peer
        self.protocol = protocol
        self.negotiation: Negotiation | None = negotiation
        self.on_closed: Callable[[], None] | None = None
        self._settling: asyncio.Future[None] | None = None
        self._receiver: Callable[[bytes], None] | None = None
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._assembled = 0
        self.ended = False  # the peer's side
        self.finished = False  # our side
        self.gone = False  # both, by a reset
        self.ignored = False  # nobody will read any more

    @property
    def receiver(self) -> Callable[[bytes], None] | None:
        """Who gets each chunk as it comes."""
        return self._receiver

    @receiver.setter
    def receiver(self, receiver: Callable[[bytes], None] | None) -> None:
        self._receiver = receiver
        if receiver is None or self.gone:
            return
        self._carrier.widen(self)
        if self._buffer:
            waiting = bytes(self._buffer)
            self._buffer.clear()
            self._carrier.hold(-len(waiting))
            self._give(receiver, waiting)

    @property
    def buffered(self) -> int:
        """Bytes that wait to be sent."""
        return self._carrier.queued(self)

    @property
    def unread(self) -> int:
        """Bytes that wait to be read."""
        return len(self._buffer)

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        if not self.gone and not self.finished:
            self._carrier.send(self, data)

    def write_frame(self, data: bytes) -> None:
        """Queue bytes behind their length."""
        self.write(varint.framed(data))

    async def drain(self) -> None:
        """Wait until few bytes wait."""
        await self._carrier.drained(self)
        self._check()

    async def read(self, limit: int) -> bytes:
        """Wait for some bytes; empty at the end."""
        await self._something()
        taken = bytes(self._buffer[:limit])
        self._take(len(taken))
        return taken

    async def read_frame(self, limit: int) -> bytes:
        """Wait for one frame behind its length."""
        while (found := varint.decode(self._buffer, longest=5)) is None:
            await self._more()
        size, start = found
        if size > limit:
            raise TooLarge("a frame is longer than its reader takes")
        if len(self._buffer) >= start + size:
            frame = bytes(memoryview(self._buffer)[start : start + size])
            self._take(start + size)
            return frame
        self._take(start)
        return await self._assemble(size)

    async def _assemble(self, size: int) -> bytes:
        # Credit is given as the bytes come: a frame may be longer than the window.
        frame = bytearray()
        try:
            while len(frame) < size:
                if not self._buffer:
                    await self._more()
                piece = self._buffer[: size - len(frame)]
                frame += piece
                self._assembled += len(piece)
                self._carrier.assemble(self, len(piece))
                self._take(len(piece))
            return bytes(frame)
        finally:
            self._carrier.assemble(self, -self._assembled)
            self._assembled = 0

    def close_write(self) -> None:
        """End our side."""
        if not self.finished and not self.gone:
            self.finished = True
            self._carrier.finish(self)

    def reset(self) -> None:
        """End both sides."""
        if not self.gone:
            self._carrier.drop(self)

    async def agreed(self) -> None:
        """
        Wait until the peer has agreed to a protocol.

        Raises:
            TransportError: it did not.
        """
        if self.negotiation is None or self.gone:
            self._check()
            return
        self._settling = asyncio.get_running_loop().create_future()
        try:
            await self._settling
        except asyncio.CancelledError:
            self.reset()
            raise

    def ignore(self) -> None:
        """Read nothing more; what waits is forgotten."""
        self.ignored = True
        self._forget_unread()

    def feed(self, data: bytes) -> None:
        """Take bytes from the connection."""
        if self.negotiation is not None:
            self._negotiate(data)
        elif self._receiver is not None:
            self._give(self._receiver, data)
        elif self.ignored:
            self._carrier.consumed(self, len(data))
        else:
            self._buffer += data
            self._carrier.hold(len(data))
            self._wake()

    def end(self) -> None:
        """Note that the peer ended its side."""
        if self.negotiation is not None:
            self._carrier.failed(self, TransportError("the stream ended before its protocol was agreed"))
            return
        self.ended = True
        self._wake()
        self._closed()

    def lose(self) -> None:
        """Note that both sides are gone."""
        if self.gone:
            return
        self.gone = True
        self._forget_unread()
        self._wake()
        if self._settling is not None and not self._settling.done():
            self._settling.set_exception(TransportError("the peer speaks none of the protocols, or left"))
        if not self.ended:
            self._closed()

    def _closed(self) -> None:
        called, self.on_closed = self.on_closed, None
        if called is not None:
            called()

    def _give(self, receiver: Callable[[bytes], None], data: bytes) -> None:
        try:
            receiver(data)
        except Exception as error:  # noqa: BLE001 whatever it is, it costs this stream and no other
            self._carrier.failed(self, error)
            return
        self._carrier.consumed(self, len(data))

    def _negotiate(self, data: bytes) -> None:
        negotiation = self.negotiation
        if negotiation is None:
            return
        try:
            answer = negotiation.receive(data)
        except (WireError, TransportError) as error:
            self._carrier.failed(self, error)
            return
        if answer:
            self._carrier.send(self, answer)
        rest = b""
        if negotiation.chosen is not None:
            rest = negotiation.rest
            self.protocol = negotiation.chosen
            self.negotiation = None
        self._carrier.consumed(self, len(data) - len(rest))
        if negotiation.chosen is not None:
            self._carrier.settled(self)
            if self._settling is not None and not self._settling.done():
                self._settling.set_result(None)
            if rest and not self.gone:
                self.feed(rest)

    def _take(self, count: int) -> None:
        if count:
            del self._buffer[:count]
            self._carrier.hold(-count)
            self._carrier.consumed(self, count)

    def _forget_unread(self) -> None:
        if self._buffer:
            forgotten = len(self._buffer)
            self._buffer.clear()
            self._carrier.hold(-forgotten)
            self._carrier.consumed(self, forgotten)

    async def _more(self) -> None:
        """Wait for more bytes than there are."""
        had = len(self._buffer)
        while len(self._buffer) == had:
            self._check()
            if self.ended:
                raise Undecodable("the stream ended inside a frame")
            await self._wait()

    async def _something(self) -> None:
        while not self._buffer and not self.ended:
            self._check()
            await self._wait()
        self._check()

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _check(self) -> None:
        if self.gone:
            raise TransportError("the stream was reset")
