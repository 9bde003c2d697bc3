"""
Opening and sealing in other processes: ``[server] workers = N``.

The parent hands over raw bytes in batches and alone decides, commits and sends: one writer, one order. A worker lives
no longer than its parent, whatever ends that, because its standard input closes with it.
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

LEAST = 8  # envelopes worth a hand-over; a smaller batch is not split
FRAME = 4  # bytes of the length before each pickle


def pack(value: object) -> bytes:
    """Return a value as a length and a pickle. Only ever read by our own processes, over their own pipes."""
    body = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return len(body).to_bytes(FRAME, "big") + body


class WorkerPool:
    """Sealing on several processes. A batch is cut into one slice a worker, and put together again in order."""

    def __init__(self, workers: "Sequence[_Worker]") -> None:
        self._workers = workers

    @classmethod
    async def start(cls, number: int, server: KeyPair, limits: Limits) -> "WorkerPool":
        """Start the processes; each gets the identity through its pipe, never through an argument."""
        return cls([await _Worker.start(server, limits) for _ in range(number)])

    async def open(self, sealed: Sequence[SealedEnvelope]) -> Sequence[Event | DiscardedEnvelope]:
        """Return one answer for each envelope."""
        return await self._spread("open", sealed, None)

    async def seal(self, replies: Sequence[Reply], timestamp: Nanos) -> Sequence[bytes]:
        """Return one complete WakuMessage for each reply."""
        return await self._spread("seal", replies, timestamp)

    async def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            await worker.close()

    async def _spread(self, task: str, items: Sequence[Any], extra: object) -> list[Any]:
        slices = max(1, min(len(self._workers), len(items) // LEAST))
        size = -(-len(items) // slices)
        idle = sorted(self._workers, key=lambda worker: worker.load)
        parts = [items[start : start + size] for start in range(0, len(items), size)]
        done = await asyncio.gather(
            *(worker.ask((task, part, extra), len(part)) for worker, part in zip(idle, parts, strict=False))
        )
        return [one for part in done for one in part]


class _Worker:
    """One process and the questions it has not answered yet, in order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._asked: deque[tuple[asyncio.Future[Any], int]] = deque()
        self._reading = asyncio.get_running_loop().create_task(self._read())
        self.load = 0  # envelopes handed over and not answered

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

    async def ask(self, question: object, size: int) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked.append((answer, size))
        self.load += size
        self._send(question)
        return await answer

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
                size = int.from_bytes(await self._process.stdout.readexactly(FRAME), "big")
                value = pickle.loads(await self._process.stdout.readexactly(size))  # noqa: S301  our own process
                answer, items = self._asked.popleft()
                self.load -= items
                if not answer.done():
                    answer.set_result(value)
        except asyncio.IncompleteReadError:
            for answer, _ in self._asked:
                if not answer.done():
                    answer.set_exception(RuntimeError("a worker process ended; start the server again"))
