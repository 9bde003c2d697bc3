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

SAME_TURN = 0.0005  # seconds between two requests that count as one turn

Work = Callable[[], None]


class Turns:
    """One for all connections. What waits is bounded by them: each has one request under way."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._spent = 0.0
        self._turn = 0.0
        self._waiting: dict[bytes, deque[Work]] = {}  # by caller, the next one's first
        self._is_scheduled = False

    def do(self, caller: bytes, work: Work) -> None:
        """Handle a request now, or when its caller's turn comes."""
        loop = asyncio.get_running_loop()
        turn = loop.time()  # uvloop's stands still during a turn
        if turn - self._turn > SAME_TURN:
            self._turn, self._spent = turn, 0.0
        if not self._waiting and self._spent < SPENT:
            start = self._now()
            work()
            self._spent += self._now() - start
            return
        self._waiting.setdefault(caller, deque()).append(work)
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Begin a turn with what waits from the one before."""
        self._is_scheduled = False
        self._spent = 0.0
        start = self._now()
        while self._waiting and self._spent < SPENT:
            caller = next(iter(self._waiting))
            queue = self._waiting.pop(caller)
            queue.popleft()()
            if queue:
                self._waiting[caller] = queue  # behind the others
            self._spent = self._now() - start
        if self._waiting:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._go_on)
