"""
Opens and seals in other processes: ``[server] workers = N``.

The parent hands over payloads and keys in batches. It alone decides, commits and sends: one writer, one order. A worker
lives no longer than its parent, however that ends, because its standard input closes with it.
"""

import asyncio
import pickle
import sys
from collections import deque
from collections.abc import Sequence
from typing import Any

from hushbell.config.limits import Limits
from hushbell.core.server.events import Event
from hushbell.core.server.facts import Reply
from hushbell.runtime.server.sealer import DiscardedEnvelope, SealedEnvelope
from hushbell.types import KeyPair, Nanos

MIN_SLICE = 8  # envelopes worth a hand-over; a smaller batch is not split
LENGTH_BYTES = 4  # before each pickle


def pack(value: object) -> bytes:
    """Return a value as a length and a pickle. Only ever read by our own processes, over their own pipes."""
    body = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


class WorkerPool:
    """An ``EnvelopeSealer`` on several processes. A batch is cut into one slice a worker and joined again in order."""

    def __init__(self, workers: "Sequence[_Worker]") -> None:
        self._workers = workers

    @classmethod
    async def start(cls, number: int, server: KeyPair, limits: Limits) -> "WorkerPool":
        """Start the processes; each gets the identity through its pipe, never through an argument."""
        return cls([await _Worker.start(server, limits) for _ in range(number)])

    async def open(self, sealed: Sequence[SealedEnvelope]) -> Sequence[Event | DiscardedEnvelope]:
        """Return one response for each envelope."""
        return await self._distribute("open", sealed, None)

    async def seal(self, replies: Sequence[Reply], timestamp: Nanos) -> Sequence[bytes]:
        """Return one complete WakuMessage for each reply."""
        return await self._distribute("seal", replies, timestamp)

    async def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            await worker.close()

    async def _distribute(self, task: str, items: Sequence[Any], extra: object) -> list[Any]:
        slices = max(1, min(len(self._workers), len(items) // MIN_SLICE))
        size = -(-len(items) // slices)
        idle = sorted(self._workers, key=lambda worker: worker.load)
        parts = [items[start : start + size] for start in range(0, len(items), size)]
        done = await asyncio.gather(
            *(worker.request((task, part, extra), len(part)) for worker, part in zip(idle, parts, strict=False))
        )
        return [one for part in done for one in part]


class _Worker:
    """One process and the requests that it has not responded to, in order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._pending: deque[tuple[asyncio.Future[Any], int]] = deque()
        self._reading = asyncio.get_running_loop().create_task(self._read())
        self.load = 0  # envelopes handed over and not responseed

    @classmethod
    async def start(cls, server: KeyPair, limits: Limits) -> "_Worker":
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hushbell.runtime.server.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        worker = cls(process)
        worker._send((server, limits))
        return worker

    async def request(self, request: object, size: int) -> Any:
        response: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending.append((response, size))
        self.load += size
        self._send(request)
        return await response

    async def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()
        await self._reading

    def _send(self, value: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(pack(value))

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while True:
                size = int.from_bytes(await self._process.stdout.readexactly(LENGTH_BYTES), "big")
                value = pickle.loads(await self._process.stdout.readexactly(size))  # noqa: S301  our own process
                response, items = self._pending.popleft()
                self.load -= items
                if not response.done():
                    response.set_result(value)
        except asyncio.IncompleteReadError:
            for response, _ in self._pending:
                if not response.done():
                    response.set_exception(RuntimeError("a worker process ended; start the server again"))
