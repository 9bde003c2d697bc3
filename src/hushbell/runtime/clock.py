"""The real clock and the real randomness. Nothing else asks the machine for either."""

import asyncio
import os
import time

from hushbell.types import Millis, Nanos, Random

system_random: Random = os.urandom


class SystemClock:
    """Unix time as the machine knows it."""

    def now(self) -> Millis:
        """Return Unix time in milliseconds."""
        return Millis(time.time_ns() // 1_000_000)

    async def sleep(self, seconds: float) -> None:
        """Return when that many seconds have passed."""
        await asyncio.sleep(seconds)


def nanos(now: Millis) -> Nanos:
    """Return the same moment in the unit of a WakuMessage's timestamp."""
    return Nanos(now * 1_000_000)
