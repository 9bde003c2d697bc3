"""A clock that moves only by ``advance``."""

import asyncio
import heapq

from hushbell.types import Millis

START = Millis(1_700_000_000_000)


class FakeClock:
    """
    Implements ``ports.clock.Clock`` without waiting.

    By default a sleep passes at once and takes the time with it. With ``manual`` a sleeper waits until
    :meth:`advance` has moved the time far enough.
    """

    def __init__(self, start: Millis = START, *, manual: bool = False) -> None:
        self.slept: list[float] = []  # seconds, in order
        self._now: int = start
        self._manual = manual
        self._order = 0
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now(self) -> Millis:
        """Return Unix time in milliseconds."""
        return Millis(self._now)

    async def sleep(self, seconds: float) -> None:
        """Return when that many seconds have passed."""
        self.slept.append(seconds)
        until = self._now + round(max(seconds, 0) * 1000)
        if not self._manual or until <= self._now:
            self._now = max(self._now, until)
            await asyncio.sleep(0)  # let the other tasks run, as a real sleep would
            return
        self._order += 1
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (until, self._order, wake))
        await wake

    def advance(self, seconds: float) -> None:
        """Move the time forward and wake the sleepers that are due, earliest first."""
        self._now += round(seconds * 1000)
        while self._sleepers and self._sleepers[0][0] <= self._now:
            wake = heapq.heappop(self._sleepers)[2]
            if not wake.done():
                wake.set_result(None)
