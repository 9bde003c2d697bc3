"""
yamux, version 0: streams with windows over one connection. No I/O.

Source: github.com/hashicorp/yamux, spec.md, and github.com/libp2p/specs, yamux/README.md. A peer that sends more than
its window is cut, as go-yamux does with us.
"""

from struct import Struct

from hushbell.errors import TooLarge, Undecodable
from hushbell.waku.libp2p.muxer import OPENED, Event
from hushbell.waku.libp2p.muxer_streams import MuxerStream, MuxerStreams

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


class _YamuxStream(MuxerStream):
    """Both directions of one stream, with the windows of both."""

    __slots__ = ("allowed", "consumed", "target", "window")

    def __init__(self, name: int) -> None:
        super().__init__(name)
        self.window = INITIAL_WINDOW  # what we may send
        self.allowed = INITIAL_WINDOW  # what the peer may send
        self.target = INITIAL_WINDOW  # what ``allowed`` is brought back to
        self.consumed = 0  # read, and not given back yet


class Yamux(MuxerStreams[_YamuxStream]):
    """One connection's streams. See :class:`hushbell.waku.libp2p.muxer.Muxer`."""

    def __init__(self, *, initiator: bool, streams: int, wide_window: int) -> None:
        """
        Begin.

        Args:
            initiator: whether this side dialled; its streams are odd.
            streams: how many streams the peer may have open.
            wide_window: the receive window of widened streams, bytes.
        """
        super().__init__(streams=streams)
        self._next = 1 if initiator else 2
        self._remote_parity = 0 if initiator else 1
        self._wide = max(wide_window, INITIAL_WINDOW)
        self._flags = 0
        self._pings = 0
        self._left_by_peer = False

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
        data = self._with_head(data)
        place, end = 0, len(data)
        while place < end:
            if self._left:
                place = self._payload(data, place, events)
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

    def _found(self, flags: int, name: int, events: list[Event]) -> _YamuxStream | None:
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
        channel = self._channels[name] = _YamuxStream(name)
        self._remote_open += 1
        self._control.append(_pack(0, _WINDOW, _ACK, name, 0))
        events.append((OPENED, name, b""))
        return channel

    def _finish(self, channel: _YamuxStream | None, flags: int, events: list[Event]) -> None:
        """Act on the flags that count after a frame's bytes."""
        if channel is None or not flags & (_FIN | _RST) or self._channels.get(channel.name) is not channel:
            return
        if flags & _RST:
            self._was_reset(channel, events)
        else:
            self._was_ended(channel, events)

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
                channel.window -= count
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

    def open(self) -> int:
        """Open a stream and return its name."""
        name = self._next
        self._next += 2
        self._channels[name] = _YamuxStream(name)
        self._control.append(_pack(0, _WINDOW, _SYN, name, 0))
        return name

    def send(self, stream: int, data: bytes) -> int:
        """Queue bytes; returns how many wait in this stream."""
        channel = self._writable(stream)
        if channel is None or not data:
            return 0
        if channel.window:
            self._ready[channel] = None
        return self._queue(channel, data)

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

    def _credit(self, channel: _YamuxStream, count: int) -> None:
        channel.allowed += count
        self._control.append(_pack(0, _WINDOW, 0, channel.name, count))

    def close(self, stream: int) -> None:
        """End our side, after what is queued."""
        channel = self._writable(stream)
        if channel is not None:
            channel.closing = True
            if not channel.queued or channel.window:
                self._ready[channel] = None

    def reset(self, stream: int) -> None:
        """End both sides at once."""
        channel = self._channels.get(stream)
        if channel is not None:
            self._forget(channel)
            self._control.append(_pack(0, _WINDOW, _RST, stream, 0))

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._pings = (self._pings + 1) % _WINDOW_MOST
        self._control.append(_pack(0, _PING, _SYN, 0, self._pings))

    def leave(self, code: int) -> None:
        """Tell the peer that the connection ends."""
        self._control.append(_pack(0, _GO_AWAY, 0, 0, code))

    def _is_ours(self, name: int) -> bool:
        return name % 2 != self._remote_parity
