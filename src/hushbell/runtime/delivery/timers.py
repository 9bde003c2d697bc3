"""What happens at a later time: retries of single pushes, ends of pauses."""

import asyncio
import heapq
from collections.abc import Callable

from hushbell.ports.clock import Clock
from hushbell.types import Millis

IDLE_INTERVAL = 60.0  # seconds between looks at the clock when nothing is known to become due


class Timers:
    """Callbacks by their time. One task serves them all."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timers: list[tuple[int, int, Callable[[], None]]] = []  # a heap: when, number, callback
        self._count = 0
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """Return how many callbacks wait."""
        return len(self._timers)

    def call_at(self, when: Millis, callback: Callable[[], None]) -> None:
        """Call back at a Unix time in milliseconds, or soon after it."""
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, callback))
        if self._timers[0][1] == self._count:
            self._changed.set()

    def interrupt(self) -> None:
        """End the current call of :meth:`wait`."""
        self._changed.set()

    async def wait(self) -> None:
        """Call back whatever is due, then wait until something else may be."""
        self._changed.clear()
        delay = self._call_due()
        if self._changed.is_set():
            return
        changing = asyncio.ensure_future(self._changed.wait())
        sleeping = asyncio.ensure_future(self._clock.sleep(delay))
        try:
            await asyncio.wait([changing, sleeping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            changing.cancel()
            sleeping.cancel()

    def _call_due(self) -> float:
        """Call back whatever is due; return the seconds until the next."""
        now = self._clock.now()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()
        return min(IDLE_INTERVAL, max(0.0, (self._timers[0][0] - now) / 1000)) if self._timers else IDLE_INTERVAL
