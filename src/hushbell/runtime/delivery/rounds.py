"""Deficit round robin: provider queues share the event loop, so that no app waits for another's flood."""

import asyncio
from collections import deque

from hushbell.runtime.delivery.job_reader import JobReader
from hushbell.runtime.delivery.provider_queue import ProviderQueue

QUANTUM = 32  # attempts that a queue begins before the next queue's
BUDGET = 128  # attempts begun before the event loop sees to everything else


class Rounds:
    """Calls the queues that may send attempts or read jobs, in turn."""

    def __init__(self, reader: JobReader) -> None:
        self._reader = reader
        self._queues: deque[ProviderQueue] = deque()
        self._is_scheduled = False

    def wake(self, queue: ProviderQueue) -> None:
        """Put a queue into the round, if it may send or read and is not there yet."""
        if not queue.is_in_round and (queue.may_send or queue.may_read):
            queue.is_in_round = True
            self._queues.append(queue)
            self._schedule()

    def run(self) -> None:
        """Have each queue in the round begin a quantum of attempts, until the budget is spent."""
        self._is_scheduled = False
        left = BUDGET
        queues = self._queues
        while queues and left > 0:
            queue = queues.popleft()
            if queue.may_read:
                self._reader.begin(queue, self.wake)
            left -= 1 + queue.send_next(min(QUANTUM, left)) if queue.may_send else 1
            if queue.may_send or queue.may_read:
                queues.append(queue)
            else:
                queue.is_in_round = False
        if queues:
            self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self.run)
