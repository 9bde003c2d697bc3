"""One request and one answer on a stream of their own, with a deadline at both ends."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from hushbell.errors import StoreError, TransportError, WireError
from hushbell.ports.metrics import Count
from hushbell.waku.libp2p.stream import PeerId, Stream, StreamHost

EXCHANGE = 10.0  # seconds from the request to the last byte of the answer
IDLE = 60.0  # seconds until a request must have come; js-waku opens streams long before it needs them
GOODBYE = 2.0  # seconds for the other end to close its side after the answer

Answer = Callable[[PeerId, bytes, bool], Awaitable[bytes]]
"""Called with who asks, the request, and whether too much is being answered already; returns the answer."""


async def ask(host: StreamHost, peer: PeerId, protocol: str, request: bytes, *, limit: int, seconds: float) -> bytes:
    """
    Send a request and return the answer, at most ``limit`` bytes.

    Raises:
        TransportError: the peer is gone, does not speak the protocol, or did not answer in ``seconds``.
        WireError: what came is no frame, or too large.
    """
    try:
        async with asyncio.timeout(seconds):
            stream = await host.open(peer, (protocol,))
            try:
                stream.write_frame(request)
                stream.close_write()
                answer = await stream.read_frame(limit)
                await _part(stream)
            except BaseException:
                stream.reset()
                raise
    except TimeoutError:
        raise TransportError(f"no answer to {protocol}") from None
    return answer


async def _part(stream: Stream) -> None:
    """Wait a moment for the other end to close its side; whoever does not is cut off."""
    try:
        async with asyncio.timeout(GOODBYE):
            if await stream.read(1):
                stream.reset()
    except (TimeoutError, TransportError):
        stream.reset()


class Service:
    """
    Answers requests of one protocol.

    An answer counts as being given until it has left for the socket, so what slow readers hold is bounded: ``at_once``
    answers, ``per_peer`` of one peer.

    Args:
        host: where streams come from.
        protocol: its name.
        answer: makes the answer; one that raises an error of ours resets the stream.
        name: what counters begin with, such as ``store``.
        limit: bytes of a request.
        count: counts.
        at_once: answers being given.
        per_peer: of these to one peer.
        seconds: for an answer.
        idle: seconds for the request to come.
    """

    def __init__(
        self,
        *,
        host: StreamHost,
        protocol: str,
        answer: Answer,
        name: str,
        limit: int,
        count: Count,
        at_once: int = 64,
        per_peer: int = 8,
        seconds: float = EXCHANGE,
        idle: float = IDLE,
    ) -> None:
        self._answer = answer
        self._name = name
        self._limit = limit
        self._count = count
        self._at_once = at_once
        self._per_peer = per_peer
        self._seconds = seconds
        self._idle = idle
        self._busy: Counter[PeerId] = Counter()
        host.handle(protocol, self._serve)

    async def _serve(self, stream: Stream) -> None:
        try:
            async with asyncio.timeout(self._idle):
                request = await stream.read_frame(self._limit)
            async with asyncio.timeout(self._seconds):
                await self._give(stream, request)
        except (WireError, StoreError, TransportError, TimeoutError):
            self._count(f"{self._name}_requests_failed", 1)
            stream.reset()
        except BaseException:
            stream.reset()
            raise

    async def _give(self, stream: Stream, request: bytes) -> None:
        peer = stream.peer
        is_busy = self._busy.total() >= self._at_once or self._busy[peer] >= self._per_peer
        self._busy[peer] += 1
        try:
            self._count(f"{self._name}_requests", 1)
            stream.write_frame(await self._answer(peer, request, is_busy))
            stream.close_write()
            await stream.drain()
        finally:
            self._busy[peer] -= 1
            if not self._busy[peer]:
                del self._busy[peer]


class Tasks:
    """Tasks that nobody waits for, kept until they are done and ended together."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work``, which raises nothing."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End what still runs."""
        for task in list(self._tasks):
            task.cancel()
        for task in list(self._tasks):
            with contextlib.suppress(asyncio.CancelledError):
                await task
