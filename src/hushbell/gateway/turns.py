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

Work = Callable[[], None]


class Turns:
    """One for all connections. What waits is bounded by them: each has one request under way."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._spent = 0.0  # seconds of this turn of the event loop
        self._waiting: dict[bytes, deque[Work]] = {}  # by caller, the next one's first
        self._ends = False  # the end of this turn is planned

    def do(self, caller: bytes, work: Work) -> None:
        """Handle a request now, or when its caller's turn comes."""
        if not self._ends:
            self._ends = True
            asyncio.get_running_loop().call_soon(self._end)
        if self._waiting or self._spent >= SPENT:
            self._waiting.setdefault(caller, deque()).append(work)
            return
        start = self._now()
        work()
        self._spent += self._now() - start

    def _end(self) -> None:
        """Begin the next turn with what waits from this one."""
        self._ends = False
        self._spent = 0.0
        start = self._now()
        while self._waiting and self._spent < SPENT:
            caller = next(iter(self._waiting))
            queue = self._waiting.pop(caller)
            queue.popleft()()
            if queue:
                self._waiting[caller] = queue  # behind the others
            self._spent = self._now() - start
        if self._spent:
            self._ends = True
            asyncio.get_running_loop().call_soon(self._end)
