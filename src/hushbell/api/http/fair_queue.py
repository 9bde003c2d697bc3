"""
Fair queueing of callers, so that one's flood of large requests does not hold up another's small one.

Within a turn of the event loop requests are handled as they come, until so much time is spent on them; the rest
waits, and is handled one by one for each caller in turn.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

TURN_SECONDS = 0.002  # of one turn of the event loop
MAX_CARRIED_SECONDS = TURN_SECONDS / 4  # that may be left over from turns before

Work = Callable[[], None]


class FairQueue:
    """One for all connections. What waits is bounded by them: each has one request under way."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._spent = 0.0  # seconds of this turn of the event loop
        self._waiting: dict[bytes, deque[Work]] = {}  # by caller, the next one's first
        self._is_turn_scheduled = False

    def run(self, caller: bytes, work: Work) -> None:
        """Handle a request now, or when its caller's turn comes."""
        if self._waiting or self._spent >= TURN_SECONDS:
            self._waiting.setdefault(caller, deque()).append(work)
            return
        self._handle(work)

    def _handle(self, work: Work) -> None:
        start = self._now()
        try:
            work()
        finally:
            self._spent += self._now() - start
            # A new turn each time would cost as much as a small request, and a few of those need none.
            if (self._spent >= MAX_CARRIED_SECONDS or self._waiting) and not self._is_turn_scheduled:
                self._is_turn_scheduled = True
                asyncio.get_running_loop().call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        """Begin the next turn with what waits from this one."""
        self._is_turn_scheduled = False
        self._spent = 0.0
        while self._waiting and self._spent < TURN_SECONDS:
            caller = next(iter(self._waiting))
            queue = self._waiting.pop(caller)
            work = queue.popleft()
            if queue:
                self._waiting[caller] = queue  # behind the others
            self._handle(work)
