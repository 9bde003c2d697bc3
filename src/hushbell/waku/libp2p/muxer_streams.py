"""The streams of a muxer, as far as yamux and mplex treat them alike. No I/O."""

from collections import deque
from typing import Generic, TypeVar

from hushbell.waku.libp2p.muxer import DATA, ENDED, RESET, Event


class MuxerStream:
    """Both directions of one stream."""

    __slots__ = ("closing", "ended", "queue", "queued", "stream_id")

    def __init__(self, stream_id: int) -> None:
        self.stream_id = stream_id
        self.queue: deque[bytes | memoryview] = deque()
        self.queued = 0
        self.closing = False  # we end our side
        self.ended = False  # the peer has ended its side


C = TypeVar("C", bound=MuxerStream)


class MuxerStreams(Generic[C]):
    """One connection's streams. See :class:`hushbell.waku.libp2p.muxer.Muxer`."""

    def __init__(self, *, streams: int) -> None:
        self._most = streams
        self._streams: dict[int, C] = {}
        self._inbound_open = 0
        self._control: list[bytes] = []
        self._ready: dict[C, None] = {}
        self._head = b""  # the beginning of a frame's header
        self._current: C | None = None  # the stream of the current frame; None: it has ended
        self._left = 0  # bytes of the frame that are missing
        self.overhead = 0
        self.refused = 0
        self.waiting = 0

    @property
    def ready(self) -> bool:
        """Whether frames can be sent now."""
        return bool(self._control or self._ready)

    def queued(self, stream_id: int) -> int:
        """Return how many bytes of this stream wait."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else stream.queued

    def has(self, stream_id: int) -> bool:
        """Whether the stream is open."""
        return stream_id in self._streams

    def _writable(self, stream_id: int) -> C | None:
        """Return the stream if we may still write to it."""
        stream = self._streams.get(stream_id)
        return None if stream is None or stream.closing else stream

    def _queue(self, stream: C, data: bytes) -> int:
        stream.queue.append(data)
        stream.queued += len(data)
        self.waiting += len(data)
        return stream.queued

    def _dequeue(self, stream: C, count: int, frames: list[bytes | memoryview]) -> None:
        stream.queued -= count
        self.waiting -= count
        if not stream.queued:
            frames.extend(stream.queue)
            stream.queue.clear()
            return
        while count:
            piece = stream.queue.popleft()
            if len(piece) > count:
                stream.queue.appendleft(memoryview(piece)[count:])
                piece = piece[:count]
            frames.append(piece)
            count -= len(piece)

    def _with_head(self, data: bytes) -> bytes:
        """Return the bytes behind those that were left over."""
        if self._head:
            data, self._head = self._head + data, b""
        return data

    def _payload(self, data: bytes, place: int, events: list[Event]) -> int:
        """Process a frame's bytes from ``place`` on and return where they end."""
        end = len(data)
        after = min(end, place + self._left)
        self._left -= after - place
        if self._current is not None:
            whole = place == 0 and after == end
            events.append((DATA, self._current.stream_id, data if whole else data[place:after]))
        return after

    def _was_ended(self, stream: C, events: list[Event]) -> None:
        if stream.ended:
            return
        stream.ended = True
        events.append((ENDED, stream.stream_id, b""))
        if stream.closing and not stream.queued and stream not in self._ready:
            self._forget(stream)

    def _was_reset(self, stream: C, events: list[Event]) -> None:
        self._forget(stream)
        events.append((RESET, stream.stream_id, b""))

    def _forget(self, stream: C) -> None:
        del self._streams[stream.stream_id]
        self._ready.pop(stream, None)
        self.waiting -= stream.queued
        stream.queue.clear()
        stream.queued = 0
        if not self._is_ours(stream.stream_id):
            self._inbound_open -= 1

    def _is_ours(self, stream_id: int) -> bool:
        """Whether we opened the stream."""
        raise NotImplementedError
