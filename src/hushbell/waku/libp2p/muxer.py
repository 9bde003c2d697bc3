"""
What a muxer's core has in common with the other: many streams over one run of bytes, without I/O.

``receive`` turns bytes into events, ``take`` gives what is to be sent now; in between the caller opens, writes, gives
credit and closes. A stream is named by a number that is used once in a connection.
"""

from typing import Protocol

OPENED = 0
"""The peer opened a stream."""
DATA = 1
"""Bytes of a stream. They count against the peer's window until ``consumed`` gives them back."""
ENDED = 2
"""The peer will send nothing more on a stream."""
RESET = 3
"""The stream is gone both ways."""

Event = tuple[int, int, bytes]
"""Kind, stream, bytes (empty unless DATA)."""


class Muxer(Protocol):
    """The core of one connection's muxer."""

    overhead: int
    """Frames of the peer that carried no data since the caller last set this to 0: opens, pings, refusals and such."""
    refused: int
    """Streams of the peer turned down because it had too many, since the caller last set this to 0."""
    waiting: int
    """Bytes that ``send`` took and ``take`` has not given, over all streams."""

    def receive(self, data: bytes) -> list[Event]:
        """
        Take some bytes and return what happened.

        Raises:
            TooLarge: a frame over the bound, or over the stream's window.
            Undecodable: not this muxer's frames.
        """
        ...

    def take(self, max_size: int) -> list[bytes | memoryview]:
        """Return frames to send now, about ``max_size`` bytes, as far as windows allow; streams take turns."""
        ...

    @property
    def ready(self) -> bool:
        """Whether ``take`` would return something."""
        ...

    @property
    def control(self) -> int:
        """Bytes of frames of the muxer's own that wait to be taken."""
        ...

    @property
    def accepting(self) -> bool:
        """Whether the peer still takes new streams."""
        ...

    def open(self) -> int:
        """Open a stream and return its name."""
        ...

    def send(self, stream_id: int, data: bytes) -> int:
        """Queue bytes; returns how many wait in this stream, 0 if it is gone."""
        ...

    def queued(self, stream_id: int) -> int:
        """Return how many bytes of this stream wait to be taken."""
        ...

    def consumed(self, stream_id: int, count: int) -> None:
        """Give the peer credit for bytes that were read."""
        ...

    def widen(self, stream_id: int) -> None:
        """Let more be on the way, for a stream whose bytes are consumed as they come."""
        ...

    def close(self, stream_id: int) -> None:
        """End our side, after what is queued."""
        ...

    def reset(self, stream_id: int) -> None:
        """End both sides at once and forget what is queued."""
        ...

    def has(self, stream_id: int) -> bool:
        """Whether the stream still lives, in one direction or both."""
        ...

    def ping(self) -> None:
        """Ask for a sign of life, if the muxer has such a thing."""
        ...

    def leave(self, code: int) -> None:
        """Tell the peer that the connection ends: 0 normally, 1 for a fault in the protocol."""
        ...
