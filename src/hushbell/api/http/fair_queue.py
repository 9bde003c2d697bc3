"""
Callers take turns, so that one's flood of large requests does not hold up another's small one.

Within a turn of the event loop requests are handled as they come, until so much time was spent on them; the rest
waits, and is handled one by one for each caller in turn.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

SPENT = 0.002  # seconds of one turn of the event loop
LITTLE = SPENT / 4  # that may be left over from turns before

Work = Callable[[], None]


class FairQueue:
    """One for all connections. What waits is bounded by them: each has one request under way."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._spent = 0.0  # seconds of this turn of the event loop
        self._waiting: dict[bytes, deque[Work]] = {}  # by caller, the next one's first
        self._ends = False  # the end of this turn is planned

    def do(self, caller: bytes, work: Work) -> None:
        """Handle a request now, or when its caller's turn comes."""
        if self._waiting or self._spent >= SPENT:
            self._waiting.setdefault(caller, deque()).append(work)
            return
        self._handle(work)

    def _handle(self, work: Work) -> None:
        start = self._now()
        try:
            work()
        finally:
            self._spent += self._now() - start
            # To begin anew in each turn would cost as much as a small request, and the few of those are not worth it.
            if (self._spent >= LITTLE or self._waiting) and not self._ends:
                self._ends = True
                asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        """Begin the next turn with what waits from this one."""
        self._ends = False
        self._spent = 0.0
        while self._waiting and self._spent < SPENT:
            caller = next(iter(self._waiting))
            queue = self._waiting.pop(caller)
            work = queue.popleft()
            if queue:
                self._waiting[caller] = queue  # behind the others
            self._handle(work)
