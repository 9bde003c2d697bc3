"""
The writing half of a connection. All bytes written in one turn of the event loop are sent together, as full records.

It waits while the socket is full. Meanwhile bytes wait in the muxer's queues, where they are bounded.
"""

import asyncio

from hushbell.waku.libp2p.limits import KIB, HostLimits
from hushbell.waku.libp2p.muxer import Muxer
from hushbell.waku.libp2p.noise import Sealer
from hushbell.waku.libp2p.raw_connection import RawConnection
from hushbell.waku.libp2p.resource_manager import ResourceManager

_EAGER = 128 * KIB  # bytes of one stream that are flushed before the turn's end


class StreamWriter:
    """Sends the bytes of a connection's streams."""

    def __init__(
        self, raw: RawConnection, muxer: Muxer, sealer: Sealer, limits: HostLimits, resources: ResourceManager
    ) -> None:
        self._raw = raw
        self._muxer = muxer
        self._seal = sealer.seal
        self._limits = limits
        self._resources = resources
        self._loop = asyncio.get_running_loop()
        self._scheduled = False
        self._closed = False
        self._accounted = 0
        self._drains: dict[asyncio.Future[None], int] = {}

    def send(self, stream: int, data: bytes) -> str:
        """Queue bytes of a stream and return the bound that was broken, or ""."""
        waiting = 0 if self._closed else self._muxer.send(stream, data)
        if not waiting:
            return ""
        self._accounted += len(data)
        self._resources.write(len(data))
        if waiting >= _EAGER:
            if not self._raw.full:
                self.flush()
                waiting = self._muxer.queued(stream)
            if waiting > self._limits.unsent_per_stream:
                return "unsent_per_stream"
            if self._muxer.waiting > self._limits.unsent_per_connection:
                return "unsent_per_connection"
        self.schedule()
        return ""

    def schedule(self) -> None:
        """Flush at the end of this turn of the loop."""
        if not self._scheduled and not self._closed and not self._raw.full:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def flush(self) -> None:
        """Send what windows and the socket allow now."""
        if self._closed:
            return
        frames = self._muxer.next_frames(self._limits.flush_most)
        if frames:
            self._raw.write(self._seal(b"".join(frames)))
            self.account()
        if self._drains:
            self._wake()
        if self._muxer.ready:
            self.schedule()

    def account(self) -> None:
        """Update the total of the resource manager after the queues have shrunk."""
        if self._closed:
            return
        waiting = self._muxer.waiting
        self._resources.unsent += waiting - self._accounted
        self._accounted = waiting

    async def drain(self, stream: int) -> None:
        """Return when few bytes of the stream are queued, or the connection has ended."""
        while not self._closed and self._muxer.queued(stream) >= self._limits.low_water:
            future = self._loop.create_future()
            self._drains[future] = stream
            try:
                await future
            finally:
                self._drains.pop(future, None)

    def close(self) -> None:
        """Release the queued bytes."""
        self._closed = True
        self._resources.unsent -= self._accounted
        self._accounted = 0
        self._wake()

    def wake(self) -> None:
        """Wake the tasks whose stream has drained."""
        if self._drains:
            self._wake()

    def _turn(self) -> None:
        self._scheduled = False
        if not self._raw.full:
            self.flush()

    def _wake(self) -> None:
        for future, stream in self._drains.items():
            if not future.done() and (self._closed or self._muxer.queued(stream) < self._limits.low_water):
                future.set_result(None)
