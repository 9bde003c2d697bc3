"""
yamux, version 0: streams with windows over one connection. No I/O.

Source: github.com/hashicorp/yamux, spec.md, and github.com/libp2p/specs, yamux/README.md. A peer that sends more than
its window is cut, as by go-yamux.
"""

from struct import Struct

from hushbell.errors import TooLarge, Undecodable
from hushbell.waku.libp2p.muxer import OPENED, Event
from hushbell.waku.libp2p.muxer_streams import MuxerStream, MuxerStreams

PROTOCOL = "/yamux/1.0.0"
INITIAL_WINDOW = 256 * 1024
MAX_FRAME = 256 * 1024  # bytes in one frame of ours, so that streams alternate
NORMAL, PROTOCOL_FAULT = 0, 1

_HEADER = Struct(">BBHII")
_SIZE = _HEADER.size
_pack = _HEADER.pack
_unpack = _HEADER.unpack_from
_DATA, _WINDOW, _PING, _GO_AWAY = range(4)
_SYN, _ACK, _FIN, _RST = 1, 2, 4, 8
_MAX_WINDOW = 2**32 - 1
_MAX_STREAM_ID = 2**32 - 1


class _YamuxStream(MuxerStream):
    """Both directions of one stream, with the windows of both."""

    __slots__ = ("allowed", "consumed", "target", "window")

    def __init__(self, stream_id: int) -> None:
        super().__init__(stream_id)
        self.window = INITIAL_WINDOW  # what we may send
        self.allowed = INITIAL_WINDOW  # what the peer may send
        self.target = INITIAL_WINDOW  # what ``allowed`` is brought back to
        self.consumed = 0  # read, and not yet credited


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
        return not self._left_by_peer and self._next < _MAX_STREAM_ID - 1

    def receive(self, data: bytes) -> list[Event]:
        """Return the events in some bytes. Raises TooLarge, Undecodable."""
        events: list[Event] = []
        data = self._with_head(data)
        place, end = 0, len(data)
        while place < end:
            if self._left:
                place = self._payload(data, place, events)
                if not self._left:
                    stream, self._current = self._current, None
                    self._finish(stream, self._flags, events)
                continue
            if end - place < _SIZE:
                self._head = data[place:]
                break
            version, kind, flags, stream_id, length = _unpack(data, place)
            place += _SIZE
            if version:
                raise Undecodable("a yamux frame has an unknown version")
            if kind == _DATA:
                self._begin_data(flags, stream_id, length, events)
            else:
                self._take_control(kind, flags, stream_id, length, events)
        return events

    def _begin_data(self, flags: int, stream_id: int, length: int, events: list[Event]) -> None:
        stream = self._found(flags, stream_id, events)
        if stream is not None:
            if length > stream.allowed:
                raise TooLarge("a peer sent more than its window")
            if stream.ended and length:
                raise Undecodable("a peer sent data on a stream that it had ended")
            stream.allowed -= length
        if not length:
            self.overhead += 1
            self._finish(stream, flags, events)
            return
        self._current, self._left, self._flags = stream, length, flags

    def _take_control(self, kind: int, flags: int, stream_id: int, length: int, events: list[Event]) -> None:
        self.overhead += 1
        if kind == _WINDOW:
            stream = self._found(flags, stream_id, events)
            if stream is not None:
                if length:
                    stream.window = min(stream.window + length, _MAX_WINDOW)
                    if stream.queued:
                        self._ready[stream] = None
                self._finish(stream, flags, events)
        elif kind == _PING:
            if flags & _SYN:
                self._control.append(_pack(0, _PING, _ACK, 0, length))
        elif kind == _GO_AWAY:
            self._left_by_peer = True
        else:
            raise Undecodable("a yamux frame has an unknown type")

    def _found(self, flags: int, stream_id: int, events: list[Event]) -> _YamuxStream | None:
        """Return the stream of a frame, opened if the frame opens it; None if it has ended or is refused."""
        stream = self._streams.get(stream_id)
        if not flags & _SYN:
            return stream
        if stream is not None or stream_id % 2 != self._remote_parity or not stream_id:
            raise Undecodable("a peer opened a stream with an id of the other side, or twice")
        self.overhead += 1
        if self._inbound_open >= self._most:
            self.refused += 1
            self._control.append(_pack(0, _WINDOW, _RST, stream_id, 0))
            return None
        stream = self._streams[stream_id] = _YamuxStream(stream_id)
        self._inbound_open += 1
        self._control.append(_pack(0, _WINDOW, _ACK, stream_id, 0))
        events.append((OPENED, stream_id, b""))
        return stream

    def _finish(self, stream: _YamuxStream | None, flags: int, events: list[Event]) -> None:
        """Apply the flags that follow a frame's bytes."""
        if stream is None or not flags & (_FIN | _RST) or self._streams.get(stream.stream_id) is not stream:
            return
        if flags & _RST:
            self._was_reset(stream, events)
        else:
            self._was_ended(stream, events)

    def next_frames(self, max_size: int) -> list[bytes | memoryview]:
        """Return frames to send now."""
        frames: list[bytes | memoryview] = [*self._control]
        self._control.clear()
        while self._ready and max_size > 0:
            stream = next(iter(self._ready))
            del self._ready[stream]
            count = min(stream.queued, stream.window, MAX_FRAME)
            if count:
                frames.append(_pack(0, _DATA, 0, stream.stream_id, count))
                stream.window -= count
                self._dequeue(stream, count, frames)
                max_size -= count
            if stream.queued:
                if stream.window:
                    self._ready[stream] = None
            elif stream.closing:
                frames.append(_pack(0, _WINDOW, _FIN, stream.stream_id, 0))
                if stream.ended:
                    self._forget(stream)
        return frames

    def open(self) -> int:
        """Open a stream and return its id."""
        stream_id = self._next
        self._next += 2
        self._streams[stream_id] = _YamuxStream(stream_id)
        self._control.append(_pack(0, _WINDOW, _SYN, stream_id, 0))
        return stream_id

    def send(self, stream_id: int, data: bytes) -> int:
        """Queue bytes and return how many wait in this stream."""
        stream = self._writable(stream_id)
        if stream is None or not data:
            return 0
        if stream.window:
            self._ready[stream] = None
        return self._queue(stream, data)

    def consumed(self, stream_id: int, count: int) -> None:
        """Give credit, collected to a quarter of the window."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.ended:
            return
        stream.consumed += count
        if stream.consumed >= stream.target >> 2:
            self._credit(stream, stream.consumed)
            stream.consumed = 0

    def widen(self, stream_id: int) -> None:
        """Enlarge a stream's receive window to the wide one."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.ended and stream.target < self._wide:
            self._credit(stream, self._wide - stream.target)
            stream.target = self._wide

    def _credit(self, stream: _YamuxStream, count: int) -> None:
        stream.allowed += count
        self._control.append(_pack(0, _WINDOW, 0, stream.stream_id, count))

    def close(self, stream_id: int) -> None:
        """End our side, after the queued bytes."""
        stream = self._writable(stream_id)
        if stream is not None:
            stream.closing = True
            if not stream.queued or stream.window:
                self._ready[stream] = None

    def reset(self, stream_id: int) -> None:
        """End both sides at once."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._forget(stream)
            self._control.append(_pack(0, _WINDOW, _RST, stream_id, 0))

    def ping(self) -> None:
        """Send a ping."""
        self._pings = (self._pings + 1) % _MAX_WINDOW
        self._control.append(_pack(0, _PING, _SYN, 0, self._pings))

    def leave(self, code: int) -> None:
        """Send a goodbye."""
        self._control.append(_pack(0, _GO_AWAY, 0, 0, code))

    def _is_ours(self, stream_id: int) -> bool:
        return stream_id % 2 != self._remote_parity
