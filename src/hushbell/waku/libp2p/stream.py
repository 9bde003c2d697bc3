"""
What a protocol sees of libp2p: streams, the names of peers, and how either fails.

A failed write is silent, like one to a socket: the stream's end is told by ``on_closed``, ``read`` and ``drain``.

Errors, from :mod:`hushbell.errors`:
    TransportError: the stream was reset, its connection is gone, or the peer does not speak the protocol.
    TooLarge: a frame over the limit its reader gave.
    Undecodable: the stream ended inside a frame, or its length is no varint.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NewType, Protocol

PeerId = NewType("PeerId", bytes)
"""The multihash that names a peer, 34 to 42 bytes. Its text is :func:`hushbell.waku.libp2p.keys.peer_id_text`."""


class Stream(Protocol):
    """
    One stream of a connection, both ways.

    Not for two readers at once. Bytes that nobody took yet count against the peer's window, so a slow reader slows its
    own stream down and no other.
    """

    peer: PeerId
    protocol: str
    receiver: Callable[[bytes], None] | None
    """
    Set: called with each chunk as it comes, at once with those that wait, and the window is given back immediately.
    None: chunks wait for ``read``. A receiver that raises ``WireError`` resets the stream.
    """
    on_closed: Callable[[], None] | None
    """Called once, when the other end has closed its side or reset the stream, or the connection is gone."""

    def write(self, data: bytes) -> None:
        """
        Take the bytes and send them as the peer's window allows; never waits.

        A stream whose peer does not read is reset when more than a stated bound waits in it.
        """
        ...

    @property
    def buffered(self) -> int:
        """Bytes that ``write`` took and that have not left for the socket."""
        ...

    async def drain(self) -> None:
        """
        Return when ``buffered`` is below the low-water mark.

        Raises:
            TransportError: the stream was reset.
        """
        ...

    async def read(self, limit: int) -> bytes:
        """
        Wait for some bytes, at most ``limit``; empty at the end.

        Raises:
            TransportError: the stream was reset.
        """
        ...

    async def read_frame(self, limit: int) -> bytes:
        """
        Wait for one frame with an unsigned-varint length prefix and return what it holds.

        Raises:
            TooLarge: the frame claims to be longer than ``limit``; nothing of it was read.
            Undecodable: the stream ended first, or the prefix is no varint.
            TransportError: the stream was reset.
        """
        ...

    def write_frame(self, data: bytes) -> None:
        """Write the bytes behind their length as an unsigned varint."""
        ...

    def close_write(self) -> None:
        """Tell the peer that nothing more will come; what waits is still sent."""
        ...

    def reset(self) -> None:
        """End the stream both ways at once; what waits is lost."""
        ...


class OutboundStream(Stream, Protocol):
    """A stream that this side opened. Bytes written before the peer agreed to the protocol are sent at once."""

    async def agreed(self) -> None:
        """
        Return when the peer has agreed to the protocol.

        Raises:
            TransportError: it did not, or the stream was reset.
        """
        ...


class StreamHost(Protocol):
    """The part of a libp2p host that the relay and the services use."""

    def handle(self, protocol: str, handler: Callable[[Stream], Awaitable[None]]) -> None:
        """Run ``handler`` in a task of its own for each stream that a peer opens for ``protocol``."""
        ...

    async def open(self, peer: PeerId, protocols: Sequence[str]) -> OutboundStream:
        """
        Open a stream for the first of the protocols that the peer speaks.

        Raises:
            TransportError: it speaks none, or is not connected.
        """
        ...

    def watch(self, connected: Callable[[PeerId, Sequence[str]], None], disconnected: Callable[[PeerId], None]) -> None:
        """Call ``connected`` when a peer's protocols are known, ``disconnected`` when its last connection ended."""
        ...

    def disconnect(self, peer: PeerId) -> None:
        """Close every connection to the peer."""
        ...
