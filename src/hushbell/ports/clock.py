"""The clock of the drivers."""

from typing import Protocol

from hushbell.types import Millis


class Clock(Protocol):
    """``runtime.clock`` has the real one; that of tests moves when a test advances it."""

    def now(self) -> Millis:
        """Return Unix time in milliseconds."""

    async def sleep(self, seconds: float) -> None:
        """Return when that many seconds have passed."""
