"""One stream of a connection, for asyncio. See :class:`hushbell.waku.libp2p.stream.Stream`."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from hushbell.errors import TooLarge, TransportError, Undecodable, WireError
from hushbell.waku.libp2p import multistream, varint
from hushbell.waku.libp2p.stream import PeerId

Negotiation = multistream.ProtocolProposer | multistream.ProtocolResponder


class StreamConnection(Protocol):
    """The part of a connection that a stream uses."""

    peer: PeerId

    def send(self, stream: "MuxedStream", data: bytes) -> None:
        """Queue bytes of a stream."""

    def queued(self, stream: "MuxedStream") -> int:
        """Return how many bytes are queued."""

    def consumed(self, stream: "MuxedStream", count: int) -> None:
        """Give the peer credit for bytes that left the stream's buffer."""

    def widen(self, stream: "MuxedStream") -> None:
        """Enlarge the receive window."""

    def hold(self, change: int) -> None:
        """Count received bytes that wait for a reader."""

    def add_unfinished(self, stream: "MuxedStream", change: int) -> None:
        """Count bytes of an unfinished frame."""

    def close_stream(self, stream: "MuxedStream") -> None:
        """End our side."""

    def reset_stream(self, stream: "MuxedStream") -> None:
        """End both sides at once."""

    def on_agreed(self, stream: "MuxedStream") -> None:
        """Note that the stream's protocol is agreed."""

    def failed(self, stream: "MuxedStream", error: Exception) -> None:
        """Reset a stream whose receiver or negotiation failed."""

    async def drain(self, stream: "MuxedStream") -> None:
        """Return when few of the stream's bytes are queued."""


class MuxedStream:
    """One stream, both ways."""

    __slots__ = (
        "_agreement_future",
        "_assembled",
        "_buffer",
        "_connection",
        "_receiver",
        "_waiter",
        "has_ended",
        "is_ignored",
        "is_reset",
        "is_write_closed",
        "negotiation",
        "on_closed",
        "peer",
        "protocol",
        "stream_id",
    )

    def __init__(self, connection: StreamConnection, name: int, negotiation: Negotiation, protocol: str = "") -> None:
        self._connection = connection
        self.stream_id = name
        self.peer = connection.peer
        self.protocol = protocol
        self.negotiation: Negotiation | None = negotiation
        self.on_closed: Callable[[], None] | None = None
        self._agreement_future: asyncio.Future[None] | None = None
        self._receiver: Callable[[bytes], None] | None = None
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._assembled = 0
        self.has_ended = False  # the peer's side
        self.is_write_closed = False  # our side
        self.is_reset = False  # both, by a reset
        self.is_ignored = False  # received bytes are dropped

    @property
    def receiver(self) -> Callable[[bytes], None] | None:
        """The function that gets each chunk as it arrives."""
        return self._receiver

    @receiver.setter
    def receiver(self, receiver: Callable[[bytes], None] | None) -> None:
        self._receiver = receiver
        if receiver is None or self.is_reset:
            return
        self._connection.widen(self)
        if self._buffer:
            waiting = bytes(self._buffer)
            self._buffer.clear()
            self._connection.hold(-len(waiting))
            self._give(receiver, waiting)

    @property
    def buffered(self) -> int:
        """Queued bytes."""
        return self._connection.queued(self)

    @property
    def unread(self) -> int:
        """Received bytes that were not read."""
        return len(self._buffer)

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        if not self.is_reset and not self.is_write_closed:
            self._connection.send(self, data)

    def write_frame(self, data: bytes) -> None:
        """Queue bytes behind their length."""
        self.write(varint.framed(data))

    async def drain(self) -> None:
        """Return when few bytes are queued."""
        await self._connection.drain(self)
        self._check()

    async def read(self, limit: int) -> bytes:
        """Wait for some bytes; empty at the end."""
        await self._something()
        taken = bytes(self._buffer[:limit])
        self._consume(len(taken))
        return taken

    async def read_frame(self, limit: int) -> bytes:
        """Wait for one frame behind its length."""
        while (found := varint.decode(self._buffer, max_length=5)) is None:
            await self._more()
        size, start = found
        if size > limit:
            raise TooLarge("a frame is longer than its reader takes")
        if len(self._buffer) >= start + size:
            frame = bytes(memoryview(self._buffer)[start : start + size])
            self._consume(start + size)
            return frame
        self._consume(start)
        return await self._assemble(size)

    async def _assemble(self, size: int) -> bytes:
        # Credit is given as the bytes arrive: a frame may be longer than the window.
        frame = bytearray()
        try:
            while len(frame) < size:
                if not self._buffer:
                    await self._more()
                piece = self._buffer[: size - len(frame)]
                frame += piece
                self._assembled += len(piece)
                self._connection.add_unfinished(self, len(piece))
                self._consume(len(piece))
            return bytes(frame)
        finally:
            self._connection.add_unfinished(self, -self._assembled)
            self._assembled = 0

    def close_write(self) -> None:
        """End our side."""
        if not self.is_write_closed and not self.is_reset:
            self.is_write_closed = True
            self._connection.close_stream(self)

    def reset(self) -> None:
        """End both sides."""
        if not self.is_reset:
            self._connection.reset_stream(self)

    async def agreed(self) -> None:
        """
        Wait until the peer has agreed to a protocol.

        Raises:
            TransportError: it did not.
        """
        if self.negotiation is None or self.is_reset:
            self._check()
            return
        self._agreement_future = asyncio.get_running_loop().create_future()
        try:
            await self._agreement_future
        except asyncio.CancelledError:
            self.reset()
            raise

    def ignore(self) -> None:
        """Read nothing more and drop the unread bytes."""
        self.is_ignored = True
        self._forget_unread()

    def on_data(self, data: bytes) -> None:
        """Process bytes of the connection."""
        if self.negotiation is not None:
            self._negotiate(data)
        elif self._receiver is not None:
            self._give(self._receiver, data)
        elif self.is_ignored:
            self._connection.consumed(self, len(data))
        else:
            self._buffer += data
            self._connection.hold(len(data))
            self._wake()

    def end(self) -> None:
        """Note that the peer ended its side."""
        if self.negotiation is not None:
            self._connection.failed(self, TransportError("the stream ended before its protocol was agreed"))
            return
        self.has_ended = True
        self._wake()
        self._closed()

    def on_reset(self) -> None:
        """Note that the stream was reset."""
        if self.is_reset:
            return
        self.is_reset = True
        self._forget_unread()
        self._wake()
        if self._agreement_future is not None and not self._agreement_future.done():
            self._agreement_future.set_exception(TransportError("the peer speaks none of the protocols, or left"))
        if not self.has_ended:
            self._closed()

    def _closed(self) -> None:
        called, self.on_closed = self.on_closed, None
        if called is not None:
            called()

    def _give(self, receiver: Callable[[bytes], None], data: bytes) -> None:
        try:
            receiver(data)
        except Exception as error:  # noqa: BLE001 any failure costs this stream and no other
            self._connection.failed(self, error)
            return
        self._connection.consumed(self, len(data))

    def _negotiate(self, data: bytes) -> None:
        negotiation = self.negotiation
        if negotiation is None:
            return
        try:
            answer = negotiation.receive(data)
        except (WireError, TransportError) as error:
            self._connection.failed(self, error)
            return
        if answer:
            self._connection.send(self, answer)
        rest = b""
        if negotiation.chosen is not None:
            rest = negotiation.rest
            self.protocol = negotiation.chosen
            self.negotiation = None
        self._connection.consumed(self, len(data) - len(rest))
        if negotiation.chosen is not None:
            self._connection.on_agreed(self)
            if self._agreement_future is not None and not self._agreement_future.done():
                self._agreement_future.set_result(None)
            if rest and not self.is_reset:
                self.on_data(rest)

    def _consume(self, count: int) -> None:
        if count:
            del self._buffer[:count]
            self._connection.hold(-count)
            self._connection.consumed(self, count)

    def _forget_unread(self) -> None:
        if self._buffer:
            forgotten = len(self._buffer)
            self._buffer.clear()
            self._connection.hold(-forgotten)
            self._connection.consumed(self, forgotten)

    async def _more(self) -> None:
        """Wait for further bytes."""
        had = len(self._buffer)
        while len(self._buffer) == had:
            self._check()
            if self.has_ended:
                raise Undecodable("the stream ended inside a frame")
            await self._wait()

    async def _something(self) -> None:
        while not self._buffer and not self.has_ended:
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
        if self.is_reset:
            raise TransportError("the stream was reset")
