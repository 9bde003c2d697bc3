"""
mplex 6.7.0, the muxer that js-waku offers first. No I/O.

Source: github.com/libp2p/specs, mplex/README.md. mplex has no windows: a slow reader can only pause the whole
connection, which the connection does, or reset the stream.

Streams of the two sides may have the same number; here a stream's name is ``number * 2``, plus one if we opened it.
"""

from hushbell.errors import TooLarge, Undecodable
from hushbell.waku.libp2p import varint
from hushbell.waku.libp2p.muxer import OPENED, Event
from hushbell.waku.libp2p.muxer_streams import MuxerStream, MuxerStreams

PROTOCOL = "/mplex/6.7.0"
MAX_MESSAGE = 1024 * 1024  # by the specification
MAX_FRAME = 64 * 1024  # bytes in one frame of ours, so that streams take turns
_MAX_HEAD = 14  # nine bytes of stream and flag, five of length

_NEW, _DATA_IN, _DATA_OUT, _CLOSE_IN, _CLOSE_OUT, _RESET_IN, _RESET_OUT = range(7)
# A flag's parity shows which side opened the stream: odd ones come from the side that did not.


class Mplex(MuxerStreams[MuxerStream]):
    """One connection's streams. See :class:`hushbell.waku.libp2p.muxer.Muxer`."""

    def __init__(self, *, streams: int) -> None:
        """
        Begin.

        Args:
            streams: how many streams the peer may have open.
        """
        super().__init__(streams=streams)
        self._next = 0
        self.control = 0

    @property
    def accepting(self) -> bool:
        """Whether the peer still accepts new streams; mplex has no way to refuse."""
        return True

    def receive(self, data: bytes) -> list[Event]:
        """Return the events in some bytes. Raises TooLarge, Undecodable."""
        events: list[Event] = []
        data = self._with_head(data)
        place, end = 0, len(data)
        while place < end:
            if self._left:
                place = self._payload(data, place, events)
                if not self._left:
                    self._current = None
                continue
            head = varint.decode(data, place)
            size = varint.decode(data, head[1], max_length=4) if head else None
            if head is None or size is None:
                if end - place > _MAX_HEAD:
                    raise Undecodable("an mplex frame has no end of its header")
                self._head = data[place:]
                break
            place = size[1]
            self._begin(head[0] >> 3, head[0] & 7, size[0], events)
        return events

    def _begin(self, number: int, flag: int, length: int, events: list[Event]) -> None:
        if length > MAX_MESSAGE:
            raise TooLarge("an mplex frame is too long")
        if flag > _RESET_OUT:
            raise Undecodable("an mplex frame has an unknown flag")
        self._left = length
        self._current = None
        if flag == _NEW:
            self._on_opened(number << 1, events)
            return
        stream = self._streams.get(number << 1 | flag & 1)
        if flag in {_DATA_IN, _DATA_OUT}:
            if stream is not None and stream.ended:
                raise Undecodable("a peer sent data on a stream that it had ended")
            self.overhead += stream is None or not length
            self._current = stream
            return
        self.overhead += 1
        if stream is None:
            return
        if flag in {_RESET_IN, _RESET_OUT}:
            self._was_reset(stream, events)
        else:
            self._was_ended(stream, events)

    def _on_opened(self, stream_id: int, events: list[Event]) -> None:
        self.overhead += 1
        if stream_id in self._streams:
            raise Undecodable("a peer opened a stream twice")
        if self._inbound_open >= self._most:
            self.refused += 1
            self._put(stream_id >> 1 << 3 | _RESET_IN)
            return
        self._streams[stream_id] = MuxerStream(stream_id)
        self._inbound_open += 1
        events.append((OPENED, stream_id, b""))

    def next_frames(self, max_size: int) -> list[bytes | memoryview]:
        """Return frames to send now."""
        frames: list[bytes | memoryview] = [*self._control]
        self._control.clear()
        self.control = 0
        while self._ready and max_size > 0:
            stream = next(iter(self._ready))
            del self._ready[stream]
            number, ours = stream.stream_id >> 1 << 3, stream.stream_id & 1
            count = min(stream.queued, MAX_FRAME)
            if count:
                frames.append(varint.encode(number | (_DATA_OUT if ours else _DATA_IN)) + varint.encode(count))
                self._dequeue(stream, count, frames)
                max_size -= count
            if stream.queued:
                self._ready[stream] = None
            elif stream.closing:
                frames.append(varint.encode(number | (_CLOSE_OUT if ours else _CLOSE_IN)) + b"\0")
                if stream.ended:
                    self._forget(stream)
        return frames

    def open(self) -> int:
        """Open a stream and return its name."""
        number = self._next
        self._next += 1
        stream_id = number << 1 | 1
        self._streams[stream_id] = MuxerStream(stream_id)
        label = str(number).encode()
        self._put(number << 3 | _NEW, label)
        return stream_id

    def send(self, stream_id: int, data: bytes) -> int:
        """Queue bytes; returns how many wait in this stream."""
        stream = self._writable(stream_id)
        if stream is None or not data:
            return 0
        self._ready[stream] = None
        return self._queue(stream, data)

    def consumed(self, stream_id: int, count: int) -> None:
        """Do nothing: mplex gives no credit."""

    def widen(self, stream_id: int) -> None:
        """Do nothing: mplex has no windows."""

    def close(self, stream_id: int) -> None:
        """End our side, after what is queued."""
        stream = self._writable(stream_id)
        if stream is not None:
            stream.closing = True
            self._ready[stream] = None

    def reset(self, stream_id: int) -> None:
        """End both sides at once."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._forget(stream)
            self._put(stream_id >> 1 << 3 | (_RESET_OUT if stream_id & 1 else _RESET_IN))

    def ping(self) -> None:
        """Do nothing: mplex has no ping."""

    def leave(self, code: int) -> None:
        """Do nothing: mplex has no such message."""

    def _put(self, head: int, body: bytes = b"") -> None:
        frame = varint.encode(head) + varint.framed(body)
        self._control.append(frame)
        self.control += len(frame)

    def _is_ours(self, stream_id: int) -> bool:
        return bool(stream_id & 1)
