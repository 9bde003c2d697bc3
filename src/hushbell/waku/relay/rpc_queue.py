"""
The frames that wait for one peer, and which are dropped when the peer does not read.

The policy: control and own messages are sent first and never dropped, but beyond ``limits.urgent`` ``publish`` returns
False. Forwarded messages wait within ``limits.forwarded``; beyond it the oldest is dropped (``relay_forward_dropped``).
A peer is cut when control exceeds ``limits.overflow``, when it reads nothing for ``limits.stalled`` heartbeats, or when
messages were dropped in each of ``limits.dropping`` heartbeats. When too much waits for all peers, those with more than
their share are treated as if their own limit were reached.
"""

from collections import deque
from collections.abc import Callable

from hushbell.errors import TransportError
from hushbell.ports.metrics import Count
from hushbell.waku.byte_total import ByteTotal
from hushbell.waku.libp2p.stream import Stream
from hushbell.waku.relay.settings import RelayLimits


class RpcQueue:
    """
    The queue to one peer.

    Args:
        limits: of the frames that wait.
        total: shared by all queues.
        count: counter by name.
        wait: called when something waits for the stream: it must run ``drain`` in a task.
    """

    def __init__(self, limits: RelayLimits, total: ByteTotal, count: Count, wait: Callable[["RpcQueue"], None]) -> None:
        self._stream: Stream | None = None
        self._urgent: deque[bytes] = deque()
        self._forwarded: deque[bytes] = deque()
        self._urgent_size = self._forwarded_size = 0
        self._waiting = True  # for the stream to open, at first
        self._limits = limits
        self._in_stream = limits.in_stream
        self._unchecked = 0  # bytes that may be written before looking how many the stream has
        self._total = total
        self._count = count
        self._wait = wait
        self._taken = True  # since the last heartbeat
        self._stalled = self._dropping = 0
        self._dropped = self._overflows = False
        self._left = 0  # in the stream at the last heartbeat

    @property
    def size(self) -> int:
        """Bytes that wait here, not counting those in the stream."""
        return self._urgent_size + self._forwarded_size

    @property
    def _exceeds_share(self) -> bool:
        """Whether too much waits for all peers, and for this one more than its share."""
        return self._total.size > self._limits.waiting and self.size > self._limits.waiting_share

    @property
    def waiting(self) -> bool:
        """Whether frames wait, here or in the stream."""
        return self._waiting

    @property
    def open(self) -> bool:
        """Whether there is a stream."""
        return self._stream is not None

    def forward(self, frame: bytes) -> None:
        """Send a message of another node."""
        stream = self._stream
        if not self._waiting and stream is not None:
            stream.write(frame)
            self._unchecked -= len(frame)
            if self._unchecked < 0:
                self._check(stream)
            return
        self._forwarded.append(frame)
        self._forwarded_size += len(frame)
        self._total.size += len(frame)
        while self._forwarded and (self._forwarded_size > self._limits.forwarded or self._exceeds_share):
            self._drop()

    def publish(self, frame: bytes) -> bool:
        """Send a message of our own; return False if too much waits for the peer already."""
        if self._urgent_size >= self._limits.urgent or self._exceeds_share:
            self._count("relay_publish_skipped", 1)
            return False
        self.control(frame)
        return True

    def control(self, frame: bytes) -> None:
        """Send control."""
        stream = self._stream
        if not self._waiting and stream is not None:
            stream.write(frame)
            self._unchecked -= len(frame)
            if self._unchecked < 0:
                self._check(stream)
            return
        if self._exceeds_share:
            self._overflows = True  # without a control message, the peer's view of us would be wrong
            return
        self._urgent.append(frame)
        self._urgent_size += len(frame)
        self._total.size += len(frame)

    def attach(self, stream: Stream) -> None:
        """Set the stream and send what waits."""
        self._stream = stream
        self._flush()
        if self.size:
            self._wait(self)
        else:
            self._waiting = False

    def detach(self) -> Stream | None:
        """Drop all queued RPCs and return the stream, if there was one."""
        stream, self._stream = self._stream, None
        self._waiting = True
        self._total.size -= self.size
        self._urgent.clear()
        self._forwarded.clear()
        self._urgent_size = self._forwarded_size = 0
        return stream

    async def drain(self) -> None:
        """
        Send what waits as the stream takes it, until nothing waits.

        Raises:
            TransportError: the stream was reset.
        """
        while (stream := self._stream) is not None:
            await stream.drain()
            if self._stream is not stream:
                continue
            self._taken = True
            self._flush()
            if not self.size:
                self._waiting = False
                return
        raise TransportError("the stream was closed")

    def heartbeat(self) -> str | None:
        """Return why the peer has to be cut, or None."""
        left = self._stream.buffered if self._stream is not None else 0
        self._stalled = self._stalled + 1 if self._waiting and not self._taken and left >= self._left else 0
        self._dropping = self._dropping + 1 if self._dropped else 0
        self._left, self._taken, self._dropped = left, False, False
        if self._overflows or self._urgent_size > self._limits.overflow:
            return "relay_cut_overflow"
        if self._stalled >= self._limits.stalled:
            return "relay_cut_stalled"
        return "relay_cut_slow" if self._dropping >= self._limits.dropping else None

    def _check(self, stream: Stream) -> None:
        self._unchecked = self._in_stream // 16
        if stream.buffered >= self._in_stream:
            self._waiting = True
            self._wait(self)

    def _flush(self) -> None:
        """Write until the stream holds ``in_stream`` bytes, at least one frame: its low-water mark may be higher."""
        stream = self._stream
        assert stream is not None
        while True:
            if self._urgent:
                frame = self._urgent.popleft()
                self._urgent_size -= len(frame)
            elif self._forwarded:
                frame = self._forwarded.popleft()
                self._forwarded_size -= len(frame)
            else:
                return
            self._total.size -= len(frame)
            stream.write(frame)
            if stream.buffered >= self._in_stream:
                return

    def _drop(self) -> None:
        frame = self._forwarded.popleft()
        self._forwarded_size -= len(frame)
        self._total.size -= len(frame)
        self._dropped = True
        self._count("relay_forward_dropped", 1)
