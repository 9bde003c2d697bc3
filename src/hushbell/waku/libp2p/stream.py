"""
The interface of libp2p for protocols: streams, peer ids, the host, and how they fail.

A failed write is silent, like one to a socket. ``on_closed``, ``read`` and ``drain`` report the end of the stream.

Errors, from :mod:`hushbell.errors`:
    TransportError: the stream was reset, its connection is gone, or the peer does not speak the protocol.
    TooLarge: a frame over the limit its reader gave.
    Undecodable: the stream ended inside a frame, or its length is no varint.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NewType, Protocol

PeerId = NewType("PeerId", bytes)
"""The multihash of a peer's key, 34 to 42 bytes. Its text is :func:`hushbell.waku.libp2p.keys.peer_id_text`."""


class Stream(Protocol):
    """
    One stream of a connection, both ways.

    It has one reader. Unread bytes count against the peer's window, so a slow reader slows down its own stream and no
    other.
    """

    peer: PeerId
    protocol: str
    receiver: Callable[[bytes], None] | None
    """
    If set: called with each chunk as it arrives, first with those that wait; credit is given at once. None: chunks wait
    for ``read``. A receiver that raises ``WireError`` resets the stream.
    """
    on_closed: Callable[[], None] | None
    """Called once, when the other end has closed its side or reset the stream, or the connection has ended."""

    def write(self, data: bytes) -> None:
        """
        Queue the bytes, which are sent as the peer's window allows. Never waits.

        A stream whose peer does not read is reset when more than ``HostLimits.unsent_per_stream`` is queued.
        """

    @property
    def buffered(self) -> int:
        """Bytes that were written and have not left for the socket."""

    async def drain(self) -> None:
        """
        Return when ``buffered`` is below the low-water mark.

        Raises:
            TransportError: the stream was reset.
        """

    async def read(self, limit: int) -> bytes:
        """
        Wait for some bytes, at most ``limit``; empty at the end.

        Raises:
            TransportError: the stream was reset.
        """

    async def read_frame(self, limit: int) -> bytes:
        """
        Wait for one frame, an unsigned varint length and so many bytes, and return the bytes.

        Raises:
            TooLarge: the frame's length is over ``limit``; nothing of it was read.
            Undecodable: the stream ended first, or the prefix is no varint.
            TransportError: the stream was reset.
        """

    def write_frame(self, data: bytes) -> None:
        """Write the bytes behind their length as an unsigned varint."""

    def close_write(self) -> None:
        """End our side of the stream. Queued bytes are still sent."""

    def reset(self) -> None:
        """End both sides at once. Queued bytes are lost."""


class OutboundStream(Stream, Protocol):
    """A stream that this side opened. Bytes written before the peer agreed to the protocol are sent at once."""

    async def agreed(self) -> None:
        """
        Return when the peer has agreed to the protocol.

        Raises:
            TransportError: it did not, or the stream was reset.
        """


class StreamHost(Protocol):
    """The part of a libp2p host that the relay and the services use."""

    def handle(self, protocol: str, handler: Callable[[Stream], Awaitable[None]]) -> None:
        """Run ``handler`` in a task of its own for each stream that a peer opens for ``protocol``."""

    async def open(self, peer: PeerId, protocols: Sequence[str]) -> OutboundStream:
        """
        Open a stream for the first of the protocols that the peer speaks.

        Raises:
            TransportError: it speaks none, or is not connected.
        """

    def watch(self, connected: Callable[[PeerId, Sequence[str]], None], disconnected: Callable[[PeerId], None]) -> None:
        """Call ``connected`` when a peer's protocols are known, ``disconnected`` when its last connection ended."""

    def disconnect(self, peer: PeerId) -> None:
        """Close every connection to the peer."""
