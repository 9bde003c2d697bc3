"""One request and one response on a stream of their own, with a deadline at both ends."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from hushbell.errors import StoreError, TransportError, WireError
from hushbell.ports.metrics import Count
from hushbell.waku.libp2p.stream import PeerId, Stream, StreamHost

RESPONSE_TIMEOUT = 10.0  # seconds from the request to the last byte of the response
REQUEST_TIMEOUT = 60.0  # seconds from the stream to its request; js-waku opens streams long before it needs them
CLOSE_TIMEOUT = 2.0  # seconds for the other end to close its side after the response

Answer = Callable[[PeerId, bytes, bool], Awaitable[bytes]]
"""Called with the peer, the request, and whether too many responses are under way; returns the response."""


async def ask(host: StreamHost, peer: PeerId, protocol: str, request: bytes, *, limit: int, seconds: float) -> bytes:
    """
    Send a request and return the response, at most ``limit`` bytes.

    Raises:
        TransportError: the peer is not connected, does not speak the protocol, or did not respond in ``seconds``.
        WireError: the response is no frame, or too large.
    """
    try:
        async with asyncio.timeout(seconds):
            stream = await host.open(peer, (protocol,))
            try:
                stream.write_frame(request)
                stream.close_write()
                answer = await stream.read_frame(limit)
                await _wait_for_close(stream)
            except BaseException:
                stream.reset()
                raise
    except TimeoutError:
        raise TransportError(f"no answer to {protocol}") from None
    return answer


async def _wait_for_close(stream: Stream) -> None:
    """Wait until the other end closes its side; reset the stream if it does not in time."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            if await stream.read(1):
                stream.reset()
    except (TimeoutError, TransportError):
        stream.reset()


class Service:
    """
    Answers requests of one protocol.

    A response counts as under way until it has left for the socket, so slow readers hold at most ``max_responses``
    responses, and one peer ``max_per_peer``.

    Args:
        host: where peers open streams.
        protocol: its name.
        answer: makes the response; if it raises an error of ours, the stream is reset.
        name: the prefix of the counters, such as ``store``.
        limit: bytes of a request.
        count: counts.
        at_once: answers being given.
        per_peer: of these to one peer.
        seconds: for a response.
        idle: seconds until the request must have arrived.
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
        max_responses: int = 64,
        max_per_peer: int = 8,
        seconds: float = RESPONSE_TIMEOUT,
        idle: float = REQUEST_TIMEOUT,
    ) -> None:
        self._answer = answer
        self._name = name
        self._limit = limit
        self._count = count
        self._max_responses = max_responses
        self._max_per_peer = max_per_peer
        self._seconds = seconds
        self._idle = idle
        self._busy: Counter[PeerId] = Counter()
        host.handle(protocol, self._on_stream)

    async def _on_stream(self, stream: Stream) -> None:
        try:
            async with asyncio.timeout(self._idle):
                request = await stream.read_frame(self._limit)
            async with asyncio.timeout(self._seconds):
                await self._respond(stream, request)
        except (WireError, StoreError, TransportError, TimeoutError):
            self._count(f"{self._name}_requests_failed", 1)
            stream.reset()
        except BaseException:
            stream.reset()
            raise

    async def _respond(self, stream: Stream, request: bytes) -> None:
        peer = stream.peer
        is_busy = self._busy.total() >= self._max_responses or self._busy[peer] >= self._max_per_peer
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
    """Background tasks, referenced until they are done and cancelled together."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work``, which must not raise."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel the tasks that still run."""
        for task in list(self._tasks):
            task.cancel()
        for task in list(self._tasks):
            with contextlib.suppress(asyncio.CancelledError):
                await task
