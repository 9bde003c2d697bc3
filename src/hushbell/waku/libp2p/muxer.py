"""
The interface of a muxer: many streams over one connection. No I/O.

``receive`` returns the events in received bytes, ``next_frames`` the frames to send; in between the caller opens,
writes, gives credit and closes. A stream id is used once in a connection.
"""

from typing import Protocol

OPENED = 0
"""The peer opened a stream."""
DATA = 1
"""Bytes of a stream. They count against the peer's window until ``consumed`` gives them back."""
ENDED = 2
"""The peer will send nothing more on a stream."""
RESET = 3
"""The stream was reset."""

Event = tuple[int, int, bytes]
"""Kind, stream, bytes (empty unless DATA)."""


class Muxer(Protocol):
    """The core of one connection's muxer."""

    overhead: int
    """Frames of the peer without data, such as opens and pings, since the caller last set this to 0."""
    refused: int
    """Streams of the peer that were refused because it had too many, since the caller last set this to 0."""
    waiting: int
    """Bytes of all streams that were passed to ``send`` and not yet returned by ``next_frames``."""

    def receive(self, data: bytes) -> list[Event]:
        """
        Process some bytes and return the events.

        Raises:
            TooLarge: a frame over the bound, or over the stream's window.
            Undecodable: not this muxer's frames.
        """

    def next_frames(self, max_size: int) -> list[bytes | memoryview]:
        """Return frames to send now, about ``max_size`` bytes, as far as windows allow, in turns of the streams."""

    @property
    def ready(self) -> bool:
        """Whether ``next_frames`` would return something."""

    @property
    def control(self) -> int:
        """Bytes of the muxer's own frames that wait."""

    @property
    def accepting(self) -> bool:
        """Whether the peer still accepts new streams."""

    def open(self) -> int:
        """Open a stream and return its id."""

    def send(self, stream_id: int, data: bytes) -> int:
        """Queue bytes and return how many wait in this stream, 0 if it has ended."""

    def queued(self, stream_id: int) -> int:
        """Return how many bytes of this stream wait."""

    def consumed(self, stream_id: int, count: int) -> None:
        """Give the peer credit for bytes that were read."""

    def widen(self, stream_id: int) -> None:
        """Enlarge the receive window of a stream whose bytes are consumed at once."""

    def close(self, stream_id: int) -> None:
        """End our side, after the queued bytes."""

    def reset(self, stream_id: int) -> None:
        """End both sides at once and drop the queued bytes."""

    def has(self, stream_id: int) -> bool:
        """Whether the stream is open, in one direction or both."""

    def ping(self) -> None:
        """Send a ping, if the muxer has one."""

    def leave(self, code: int) -> None:
        """Send a goodbye, if the muxer has one. Code 0: normal; 1: protocol error."""
