"""What yamux and mplex do alike with their streams, whatever their frames look like. No I/O."""

from collections import deque
from typing import Generic, TypeVar

from hushbell.waku.libp2p.muxer import DATA, ENDED, RESET, Event


class MuxerStream:
    """Both directions of one stream."""

    __slots__ = ("closing", "ended", "name", "queue", "queued")

    def __init__(self, name: int) -> None:
        self.name = name
        self.queue: deque[bytes | memoryview] = deque()
        self.queued = 0
        self.closing = False  # our end was asked for
        self.ended = False  # the peer's end has come


C = TypeVar("C", bound=MuxerStream)


class MuxerStreams(Generic[C]):
    """One connection's streams. See :class:`hushbell.waku.libp2p.muxer.Muxer`."""

    def __init__(self, *, streams: int) -> None:
        self._most = streams
        self._channels: dict[int, C] = {}
        self._remote_open = 0
        self._control: list[bytes] = []
        self._ready: dict[C, None] = {}
        self._head = b""  # the beginning of a frame's header
        self._current: C | None = None  # whose bytes come; None: of a stream that is gone
        self._left = 0  # bytes of the frame that have not come
        self.overhead = 0
        self.refused = 0
        self.waiting = 0

    @property
    def ready(self) -> bool:
        """Whether something can be sent now."""
        return bool(self._control or self._ready)

    def queued(self, stream: int) -> int:
        """Return how many bytes of this stream wait."""
        channel = self._channels.get(stream)
        return 0 if channel is None else channel.queued

    def has(self, stream: int) -> bool:
        """Whether the stream still lives."""
        return stream in self._channels

    def _writable(self, stream: int) -> C | None:
        """Return a stream that takes bytes of ours."""
        channel = self._channels.get(stream)
        return None if channel is None or channel.closing else channel

    def _queue(self, channel: C, data: bytes) -> int:
        channel.queue.append(data)
        channel.queued += len(data)
        self.waiting += len(data)
        return channel.queued

    def _dequeue(self, channel: C, count: int, frames: list[bytes | memoryview]) -> None:
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

    def _with_head(self, data: bytes) -> bytes:
        """Return bytes with what was left over before them."""
        if self._head:
            data, self._head = self._head + data, b""
        return data

    def _payload(self, data: bytes, place: int, events: list[Event]) -> int:
        """Take a frame's bytes from ``place`` on; return where they end."""
        end = len(data)
        after = min(end, place + self._left)
        self._left -= after - place
        if self._current is not None:
            whole = place == 0 and after == end
            events.append((DATA, self._current.name, data if whole else data[place:after]))
        return after

    def _was_ended(self, channel: C, events: list[Event]) -> None:
        if channel.ended:
            return
        channel.ended = True
        events.append((ENDED, channel.name, b""))
        if channel.closing and not channel.queued and channel not in self._ready:
            self._forget(channel)

    def _was_reset(self, channel: C, events: list[Event]) -> None:
        self._forget(channel)
        events.append((RESET, channel.name, b""))

    def _forget(self, channel: C) -> None:
        del self._channels[channel.name]
        self._ready.pop(channel, None)
        self.waiting -= channel.queued
        channel.queue.clear()
        channel.queued = 0
        if not self._is_ours(channel.name):
            self._remote_open -= 1

    def _is_ours(self, name: int) -> bool:
        """Whether we opened the stream of this name."""
        raise NotImplementedError
