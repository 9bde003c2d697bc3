"""Time, as the drivers see it."""

from typing import Protocol

from hushbell.types import Millis


class Clock(Protocol):
    """The real one is ``runtime.clock``; tests use one that moves only when told."""

    def now(self) -> Millis:
        """Return Unix time in milliseconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when that many seconds have passed."""
        ...
