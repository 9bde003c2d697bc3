"""
mplex 6.7.0, the muxer that js-waku offers first. No I/O.

Source: github.com/libp2p/specs, mplex/README.md. mplex has no windows: a reader who is behind can only stop reading the
whole connection, which is what the connection does, or reset the stream.

Streams of the two sides may have the same number; here a stream's name is ``number * 2``, plus one if we opened it.
"""

from collections import deque

from hushbell.errors import TooLarge, Undecodable
from hushbell.waku.libp2p import varint
from hushbell.waku.libp2p.muxer import DATA, ENDED, OPENED, RESET, Event

PROTOCOL = "/mplex/6.7.0"
MESSAGE_MOST = 1024 * 1024  # by the specification
FRAME_MOST = 64 * 1024  # bytes in one frame of ours, so that streams take turns
_HEAD_MOST = 14  # nine bytes of stream and flag, five of length

_NEW, _DATA_IN, _DATA_OUT, _CLOSE_IN, _CLOSE_OUT, _RESET_IN, _RESET_OUT = range(7)
# A flag's own parity tells who opened the stream: the odd ones come from the side that was opened to.


class _Channel:
    """Both directions of one stream."""

    __slots__ = ("closing", "ended", "name", "queue", "queued")

    def __init__(self, name: int) -> None:
        self.name = name
        self.queue: deque[bytes | memoryview] = deque()
        self.queued = 0
        self.closing = False
        self.ended = False


class Mplex:
    """One connection's streams. See :class:`hushbell.waku.libp2p.muxer.Muxer`."""

    def __init__(self, *, streams: int) -> None:
        """
        Begin.

        Args:
            streams: how many streams the peer may have open.
        """
        self._most = streams
        self._next = 0
        self._channels: dict[int, _Channel] = {}
        self._remote_open = 0
        self._control: list[bytes] = []
        self._ready: dict[_Channel, None] = {}
        self._head = b""
        self._current: _Channel | None = None
        self._left = 0
        self.control = 0
        self.overhead = 0
        self.refused = 0
        self.waiting = 0

    @property
    def ready(self) -> bool:
        """Whether something can be sent now."""
        return bool(self._control or self._ready)

    @property
    def accepting(self) -> bool:
        """Whether the peer still takes new streams; mplex cannot say no."""
        return True

    def receive(self, data: bytes) -> list[Event]:
        """Turn bytes into events; raises TooLarge or Undecodable."""
        events: list[Event] = []
        if self._head:
            data = self._head + data
            self._head = b""
        place, end = 0, len(data)
        while place < end:
            if self._left:
                after = min(end, place + self._left)
                self._left -= after - place
                if self._current is not None:
                    whole = place == 0 and after == end
                    events.append((DATA, self._current.name, data if whole else data[place:after]))
                place = after
                if not self._left:
                    self._current = None
                continue
            head = varint.decode(data, place)
            size = varint.decode(data, head[1], longest=4) if head else None
            if head is None or size is None:
                if end - place > _HEAD_MOST:
                    raise Undecodable("an mplex frame has no end of its header")
                self._head = data[place:]
                break
            place = size[1]
            self._begin(head[0] >> 3, head[0] & 7, size[0], events)
        return events

    def _begin(self, number: int, flag: int, length: int, events: list[Event]) -> None:
        if length > MESSAGE_MOST:
            raise TooLarge("an mplex frame is too long")
        if flag > _RESET_OUT:
            raise Undecodable("an mplex frame has an unknown flag")
        self._left = length
        self._current = None
        if flag == _NEW:
            self._opened(number << 1, events)
            return
        channel = self._channels.get(number << 1 | flag & 1)
        if flag in {_DATA_IN, _DATA_OUT}:
            if channel is not None and channel.ended:
                raise Undecodable("a peer sent on a stream that it ended")
            self.overhead += channel is None or not length
            self._current = channel
            return
        self.overhead += 1
        if channel is None:
            return
        if flag in {_RESET_IN, _RESET_OUT}:
            self._forget(channel)
            events.append((RESET, channel.name, b""))
        elif not channel.ended:
            channel.ended = True
            events.append((ENDED, channel.name, b""))
            if channel.closing and not channel.queued and channel not in self._ready:
                self._forget(channel)

    def _opened(self, name: int, events: list[Event]) -> None:
        self.overhead += 1
        if name in self._channels:
            raise Undecodable("a peer opened a stream twice")
        if self._remote_open >= self._most:
            self.refused += 1
            self._put(name >> 1 << 3 | _RESET_IN)
            return
        self._channels[name] = _Channel(name)
        self._remote_open += 1
        events.append((OPENED, name, b""))

    def take(self, most: int) -> list[bytes | memoryview]:
        """Return frames to send now."""
        frames: list[bytes | memoryview] = [*self._control]
        self._control.clear()
        self.control = 0
        while self._ready and most > 0:
            channel = next(iter(self._ready))
            del self._ready[channel]
            number, ours = channel.name >> 1 << 3, channel.name & 1
            count = min(channel.queued, FRAME_MOST)
            if count:
                frames.append(varint.encode(number | (_DATA_OUT if ours else _DATA_IN)) + varint.encode(count))
                self._dequeue(channel, count, frames)
                most -= count
            if channel.queued:
                self._ready[channel] = None
            elif channel.closing:
                frames.append(varint.encode(number | (_CLOSE_OUT if ours else _CLOSE_IN)) + b"\0")
                if channel.ended:
                    self._forget(channel)
        return frames

    def _dequeue(self, channel: _Channel, count: int, frames: list[bytes | memoryview]) -> None:
        channel.queued -= count
        self.waiting -= count
        while count:
            piece = channel.queue.popleft()
            if len(piece) > count:
                channel.queue.appendleft(memoryview(piece)[count:])
                piece = piece[:count]
            frames.append(piece)
            count -= len(piece)

    def open(self) -> int:
        """Open a stream and return its name."""
        number = self._next
        self._next += 1
        name = number << 1 | 1
        self._channels[name] = _Channel(name)
        label = str(number).encode()
        self._put(number << 3 | _NEW, label)
        return name

    def send(self, stream: int, data: bytes) -> int:
        """Queue bytes; returns how many wait in this stream."""
        channel = self._channels.get(stream)
        if channel is None or channel.closing or not data:
            return 0
        channel.queue.append(data)
        channel.queued += len(data)
        self.waiting += len(data)
        self._ready[channel] = None
        return channel.queued

    def queued(self, stream: int) -> int:
        """Return how many bytes of this stream wait."""
        channel = self._channels.get(stream)
        return 0 if channel is None else channel.queued

    def consumed(self, stream: int, count: int) -> None:
        """Do nothing: mplex gives no credit."""

    def widen(self, stream: int) -> None:
        """Do nothing: mplex has no windows."""

    def close(self, stream: int) -> None:
        """End our side, after what is queued."""
        channel = self._channels.get(stream)
        if channel is not None and not channel.closing:
            channel.closing = True
            self._ready[channel] = None

    def reset(self, stream: int) -> None:
        """End both sides at once."""
        channel = self._channels.get(stream)
        if channel is not None:
            self._forget(channel)
            self._put(stream >> 1 << 3 | (_RESET_OUT if stream & 1 else _RESET_IN))

    def has(self, stream: int) -> bool:
        """Whether the stream still lives."""
        return stream in self._channels

    def ping(self) -> None:
        """Do nothing: mplex has no ping."""

    def leave(self, code: int) -> None:
        """Do nothing: mplex has no word for it."""

    def _put(self, head: int, body: bytes = b"") -> None:
        frame = varint.encode(head) + varint.framed(body)
        self._control.append(frame)
        self.control += len(frame)

    def _forget(self, channel: _Channel) -> None:
        del self._channels[channel.name]
        self._ready.pop(channel, None)
        self.waiting -= channel.queued
        channel.queue.clear()
        channel.queued = 0
        if not channel.name & 1:
            self._remote_open -= 1
