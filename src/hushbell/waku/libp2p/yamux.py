"""
yamux, version 0: streams with windows over one connection. No I/O.

Source: github.com/hashicorp/yamux, spec.md, and github.com/libp2p/specs, yamux/README.md. A peer that sends more than
its window is cut, as go-yamux does with us.
"""

from collections import deque
from struct import Struct

from hushbell.errors import TooLarge, Undecodable
from hushbell.waku.libp2p.muxer import DATA, ENDED, OPENED, RESET, Event

PROTOCOL = "/yamux/1.0.0"
INITIAL_WINDOW = 256 * 1024
FRAME_MOST = 256 * 1024  # bytes in one frame of ours, so that streams take turns
NORMAL, PROTOCOL_FAULT = 0, 1

_HEADER = Struct(">BBHII")
_SIZE = _HEADER.size
_pack = _HEADER.pack
_unpack = _HEADER.unpack_from
_DATA, _WINDOW, _PING, _GO_AWAY = range(4)
_SYN, _ACK, _FIN, _RST = 1, 2, 4, 8
_WINDOW_MOST = 2**32 - 1
_NAME_MOST = 2**32 - 1


class _Channel:
    """Both directions of one stream."""

    __slots__ = ("allowed", "closing", "consumed", "ended", "name", "queue", "queued", "target", "window")

    def __init__(self, name: int) -> None:
        self.name = name
        self.window = INITIAL_WINDOW  # what we may send
        self.allowed = INITIAL_WINDOW  # what the peer may send
        self.target = INITIAL_WINDOW  # what ``allowed`` is brought back to
        self.consumed = 0  # read, and not given back yet
        self.queue: deque[bytes | memoryview] = deque()
        self.queued = 0
        self.closing = False  # our end was asked for
        self.ended = False  # the peer's end has come


class Yamux:
    """One connection's streams. See :class:`hushbell.waku.libp2p.muxer.Muxer`."""

    def __init__(self, *, initiator: bool, streams: int, wide_window: int) -> None:
        """
        Begin.

        Args:
            initiator: whether this side dialled; its streams are odd.
            streams: how many streams the peer may have open.
            wide_window: the receive window of widened streams, bytes.
        """
        self._next = 1 if initiator else 2
        self._remote_parity = 0 if initiator else 1
        self._most = streams
        self._wide = max(wide_window, INITIAL_WINDOW)
        self._channels: dict[int, _Channel] = {}
        self._remote_open = 0
        self._control: list[bytes] = []
        self._ready: dict[_Channel, None] = {}
        self._head = b""
        self._current: _Channel | None = None
        self._left = 0
        self._flags = 0
        self._pings = 0
        self._left_by_peer = False
        self.overhead = 0
        self.refused = 0
        self.waiting = 0

    @property
    def ready(self) -> bool:
        """Whether something can be sent now."""
        return bool(self._control or self._ready)

    @property
    def control(self) -> int:
        """Bytes of our own frames that wait."""
        return len(self._control) * _SIZE

    @property
    def accepting(self) -> bool:
        """Whether the peer still takes new streams."""
        return not self._left_by_peer and self._next < _NAME_MOST - 1

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
                    channel, self._current = self._current, None
                    self._finish(channel, self._flags, events)
                continue
            if end - place < _SIZE:
                self._head = data[place:]
                break
            version, kind, flags, name, length = _unpack(data, place)
            place += _SIZE
            if version:
                raise Undecodable("a yamux frame has an unknown version")
            if kind == _DATA:
                self._begin_data(flags, name, length, events)
            else:
                self._take_control(kind, flags, name, length, events)
        return events

    def _begin_data(self, flags: int, name: int, length: int, events: list[Event]) -> None:
        channel = self._found(flags, name, events)
        if channel is not None:
            if length > channel.allowed:
                raise TooLarge("a peer sent more than its window")
            if channel.ended and length:
                raise Undecodable("a peer sent on a stream that it ended")
            channel.allowed -= length
        if not length:
            self.overhead += 1
            self._finish(channel, flags, events)
            return
        self._current, self._left, self._flags = channel, length, flags

    def _take_control(self, kind: int, flags: int, name: int, length: int, events: list[Event]) -> None:
        self.overhead += 1
        if kind == _WINDOW:
            channel = self._found(flags, name, events)
            if channel is not None:
                if length:
                    channel.window = min(channel.window + length, _WINDOW_MOST)
                    if channel.queued:
                        self._ready[channel] = None
                self._finish(channel, flags, events)
        elif kind == _PING:
            if flags & _SYN:
                self._control.append(_pack(0, _PING, _ACK, 0, length))
        elif kind == _GO_AWAY:
            self._left_by_peer = True
        else:
            raise Undecodable("a yamux frame has an unknown type")

    def _found(self, flags: int, name: int, events: list[Event]) -> _Channel | None:
        """Return the stream of a frame, opened if the frame says so; None for one that is gone or refused."""
        channel = self._channels.get(name)
        if not flags & _SYN:
            return channel
        if channel is not None or name % 2 != self._remote_parity or not name:
            raise Undecodable("a peer opened a stream by a name that is not its to give")
        self.overhead += 1
        if self._remote_open >= self._most:
            self.refused += 1
            self._control.append(_pack(0, _WINDOW, _RST, name, 0))
            return None
        channel = self._channels[name] = _Channel(name)
        self._remote_open += 1
        self._control.append(_pack(0, _WINDOW, _ACK, name, 0))
        events.append((OPENED, name, b""))
        return channel

    def _finish(self, channel: _Channel | None, flags: int, events: list[Event]) -> None:
        """Act on the flags that count after a frame's bytes."""
        if channel is None or not flags & (_FIN | _RST) or self._channels.get(channel.name) is not channel:
            return
        if flags & _RST:
            self._forget(channel)
            events.append((RESET, channel.name, b""))
        elif not channel.ended:
            channel.ended = True
            events.append((ENDED, channel.name, b""))
            if channel.closing and not channel.queued and channel not in self._ready:
                self._forget(channel)

    def take(self, most: int) -> list[bytes | memoryview]:
        """Return frames to send now."""
        frames: list[bytes | memoryview] = [*self._control]
        self._control.clear()
        while self._ready and most > 0:
            channel = next(iter(self._ready))
            del self._ready[channel]
            count = min(channel.queued, channel.window, FRAME_MOST)
            if count:
                frames.append(_pack(0, _DATA, 0, channel.name, count))
                self._dequeue(channel, count, frames)
                most -= count
            if channel.queued:
                if channel.window:
                    self._ready[channel] = None
            elif channel.closing:
                frames.append(_pack(0, _WINDOW, _FIN, channel.name, 0))
                if channel.ended:
                    self._forget(channel)
        return frames

    def _dequeue(self, channel: _Channel, count: int, frames: list[bytes | memoryview]) -> None:
        channel.window -= count
        channel.queued -= count
        self.waiting -= count
        if not channel.queued:
            frames.extend(channel.queue)
            channel.queue.clear()
            return
        while count:
            piece = channel.queue.popleft()
            if len(piece) > count:
                channel.queue.appendleft(memoryview(piece)[count:])
                piece = piece[:count]
            frames.append(piece)
            count -= len(piece)

    def open(self) -> int:
        """Open a stream and return its name."""
        name = self._next
        self._next += 2
        self._channels[name] = _Channel(name)
        self._control.append(_pack(0, _WINDOW, _SYN, name, 0))
        return name

    def send(self, stream: int, data: bytes) -> int:
        """Queue bytes; returns how many wait in this stream."""
        channel = self._channels.get(stream)
        if channel is None or channel.closing or not data:
            return 0
        channel.queue.append(data)
        channel.queued += len(data)
        self.waiting += len(data)
        if channel.window:
            self._ready[channel] = None
        return channel.queued

    def queued(self, stream: int) -> int:
        """Return how many bytes of this stream wait."""
        channel = self._channels.get(stream)
        return 0 if channel is None else channel.queued

    def consumed(self, stream: int, count: int) -> None:
        """Give credit, batched to a quarter of the window."""
        channel = self._channels.get(stream)
        if channel is None or channel.ended:
            return
        channel.consumed += count
        if channel.consumed >= channel.target >> 2:
            self._credit(channel, channel.consumed)
            channel.consumed = 0

    def widen(self, stream: int) -> None:
        """Bring a stream's receive window to the wide one."""
        channel = self._channels.get(stream)
        if channel is not None and not channel.ended and channel.target < self._wide:
            self._credit(channel, self._wide - channel.target)
            channel.target = self._wide

    def _credit(self, channel: _Channel, count: int) -> None:
        channel.allowed += count
        self._control.append(_pack(0, _WINDOW, 0, channel.name, count))

    def close(self, stream: int) -> None:
        """End our side, after what is queued."""
        channel = self._channels.get(stream)
        if channel is not None and not channel.closing:
            channel.closing = True
            if not channel.queued or channel.window:
                self._ready[channel] = None

    def reset(self, stream: int) -> None:
        """End both sides at once."""
        channel = self._channels.get(stream)
        if channel is not None:
            self._forget(channel)
            self._control.append(_pack(0, _WINDOW, _RST, stream, 0))

    def has(self, stream: int) -> bool:
        """Whether the stream still lives."""
        return stream in self._channels

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._pings = (self._pings + 1) % _WINDOW_MOST
        self._control.append(_pack(0, _PING, _SYN, 0, self._pings))

    def leave(self, code: int) -> None:
        """Tell the peer that the connection ends."""
        self._control.append(_pack(0, _GO_AWAY, 0, 0, code))

    def _forget(self, channel: _Channel) -> None:
        del self._channels[channel.name]
        self._ready.pop(channel, None)
        self.waiting -= channel.queued
        channel.queue.clear()
        channel.queued = 0
        if channel.name % 2 == self._remote_parity:
            self._remote_open -= 1
