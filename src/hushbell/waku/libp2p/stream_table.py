"""The streams of one connection, with their deadlines. No I/O."""

from hushbell.types import Millis
from hushbell.waku.libp2p.muxed_stream import MuxedStream


class StreamTable:
    """
    Streams by id.

    Attributes:
        by_id: the streams. The connection looks them up for each frame.
        unagreed: inbound streams whose protocol is not agreed yet.
    """

    def __init__(self) -> None:
        self.by_id: dict[int, MuxedStream] = {}
        self.unagreed = 0
        self._inbound: set[int] = set()
        self._deadlines: dict[MuxedStream, Millis] = {}

    def __len__(self) -> int:
        return len(self.by_id)

    def __contains__(self, stream: MuxedStream) -> bool:
        return stream.stream_id in self.by_id

    @property
    def inbound(self) -> int:
        """How many of the streams the peer opened."""
        return len(self._inbound)

    def add(self, stream: MuxedStream, deadline: Millis, *, inbound: bool) -> None:
        """Add a stream whose protocol must be agreed by the deadline."""
        self.by_id[stream.stream_id] = stream
        self._deadlines[stream] = deadline
        if inbound:
            self._inbound.add(stream.stream_id)
            self.unagreed += 1

    def set_deadline(self, stream: MuxedStream, deadline: Millis) -> None:
        """End the stream at that time."""
        self._deadlines[stream] = deadline

    def agree(self, stream: MuxedStream) -> bool:
        """Note that the protocol is agreed, drop the deadline, and return whether the stream is inbound."""
        self._deadlines.pop(stream, None)
        is_inbound = stream.stream_id in self._inbound
        self.unagreed -= is_inbound
        return is_inbound

    def remove(self, stream: MuxedStream) -> bool:
        """Remove a stream if it is here, and return whether that was an inbound one."""
        if self.by_id.pop(stream.stream_id, None) is None:
            return False
        self._deadlines.pop(stream, None)
        if stream.stream_id not in self._inbound:
            return False
        self._inbound.discard(stream.stream_id)
        self.unagreed -= stream.negotiation is not None
        return True

    def overdue(self, now: Millis) -> list[MuxedStream]:
        """Return the streams whose deadline has passed."""
        return [stream for stream, deadline in self._deadlines.items() if deadline <= now]

    def slowest(self) -> MuxedStream | None:
        """Return the stream with the most unread bytes."""
        return max(self.by_id.values(), key=lambda stream: stream.unread, default=None)

    def clear(self) -> list[MuxedStream]:
        """Remove all streams and return them."""
        streams = list(self.by_id.values())
        self.by_id.clear()
        self._inbound.clear()
        self._deadlines.clear()
        return streams
