"""
The queue of messages to one filter subscriber.

Every message goes on a stream of its own, of which our half is closed at once. go-waku reads one message of a stream
and ignores what follows; js-waku never closes its half and takes at most 100 open ones, so the oldest beyond 32 are
reset (measured with both, reference/waku.md 9.1.2). A reset loses nothing: the peer has agreed to the stream, and to
later ones since, so that the message behind the agreement has arrived as well.

Streams are opened at a bounded rate: each costs three frames without data, and hosts cut a connection with too many of
those a second (``HostLimits.overhead_per_second``).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from hushbell.errors import TransportError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.types import Millis
from hushbell.waku.byte_total import ByteTotal
from hushbell.waku.libp2p.stream import PeerId, Stream, StreamHost
from hushbell.waku.protocols.request_response import Tasks

PROTOCOL = "/vac/waku/filter-push/2.0.0-beta1"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushLimits:
    """Bounds of what is queued for subscribers, and for how long."""

    waiting: int = 1_024  # messages for one subscriber
    waiting_bytes: int = 4 * 1024 * 1024  # for one subscriber
    all_bytes: int = 64 * 1024 * 1024  # for all of them
    max_responses: int = 16  # streams being opened to one subscriber, so that a long round trip does not limit the rate
    per_second: int = 400  # streams to one subscriber, and as many at once
    open: int = 32  # streams to one subscriber that it has not closed
    seconds: float = 10.0  # for one push
    unreachable: int = 60_000  # ms of failing pushes after which a subscriber is dropped (RFC 12)


class Pusher:
    """
    Pushes to one subscriber, most of the time in order.

    Args:
        peer: the subscriber.
        host: opens streams.
        clock: time.
        limits: what may wait.
        waiting: shared with the other pushers.
        count: counts.
        on_hopeless: called once when the subscriber must be dropped, because it is too slow or unreachable.
    """

    def __init__(
        self,
        peer: PeerId,
        *,
        host: StreamHost,
        clock: Clock,
        limits: PushLimits,
        waiting: ByteTotal,
        count: Count,
        on_give_up: Callable[[PeerId], None],
    ) -> None:
        self._peer = peer
        self._host = host
        self._clock = clock
        self._limits = limits
        self._all = waiting
        self._count = count
        self._on_give_up = on_give_up
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._open: dict[int, Stream] = {}
        self._opened = 0
        self._failing_since: Millis | None = None
        self._next_at = 0.0  # ms
        self._tasks = Tasks()
        self._is_stopped = False

    def push(self, frame: bytes) -> None:
        """Queue a message, or give the subscriber up if too much is queued for it."""
        if self._is_stopped:
            return
        limits = self._limits
        # The bound of all subscribers never blocks the only message of one.
        is_too_much = self._queue and (
            len(self._queue) >= limits.waiting
            or self._size + len(frame) > limits.waiting_bytes
            or self._all.size + len(frame) > limits.all_bytes
        )
        if is_too_much:
            self._count("filter_slow_dropped", 1)
            self._give_up()
            return
        self._queue.append(frame)
        self._size += len(frame)
        self._all.size += len(frame)
        if len(self._tasks) < limits.max_responses:
            self._tasks.start(self._work())

    def stop(self) -> None:
        """Drop the queue. Pushes under way end by themselves, within their deadline."""
        self._is_stopped = True
        self._queue.clear()
        self._all.size -= self._size
        self._size = 0

    async def close(self) -> None:
        """Stop, and end the pushes under way."""
        self.stop()
        await self._tasks.close()
        for stream in list(self._open.values()):
            stream.reset()

    async def _work(self) -> None:
        while self._queue:
            frame = self._queue.popleft()
            try:
                await self._pace()
                if self._is_stopped:
                    return
                await self._send(frame)
            except (TransportError, TimeoutError):
                self._failed()
            else:
                self._failing_since = None
                self._count("filter_pushed", 1)
            finally:
                # Only now: bytes in the buffer of a stream count as queued.
                if not self._is_stopped:
                    self._size -= len(frame)
                    self._all.size -= len(frame)

    async def _pace(self) -> None:
        now = self._clock.now()
        self._next_at = max(self._next_at, now - 1000) + 1000 / self._limits.per_second
        if self._next_at > now:
            await self._clock.sleep((self._next_at - now) / 1000)

    async def _send(self, frame: bytes) -> None:
        async with asyncio.timeout(self._limits.seconds):
            stream = await self._host.open(self._peer, (PROTOCOL,))
            try:
                self._keep(stream)
                stream.write_frame(frame)
                stream.close_write()
                await stream.drain()
                await stream.agreed()
            except BaseException:
                stream.reset()
                raise

    def _keep(self, stream: Stream) -> None:
        number = self._opened
        self._opened += 1
        self._open[number] = stream

        def closed() -> None:
            self._open.pop(number, None)

        stream.on_closed = closed
        while len(self._open) > self._limits.open:
            oldest = self._open.pop(next(iter(self._open)))
            oldest.on_closed = None
            oldest.reset()

    def _failed(self) -> None:
        self._count("filter_push_failed", 1)
        now = self._clock.now()
        if self._failing_since is None:
            self._failing_since = now
        elif now - self._failing_since >= self._limits.unreachable:
            self._count("filter_unreachable_dropped", 1)
            self._give_up()

    def _give_up(self) -> None:
        if not self._is_stopped:
            self.stop()
            self._on_give_up(self._peer)
