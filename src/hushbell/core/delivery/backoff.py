"""How long a push, or a provider queue, waits before the next attempt."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before the next attempt, in seconds."""

    first: float = 1.0
    factor: float = 2.0
    max_delay: float = 600.0

    def delay(self, attempts: int, jitter: float) -> float:
        """Return the wait after that many failed attempts; ``jitter`` in [0, 1) takes off up to a half."""
        full = min(self.max_delay, self.first * self.factor ** min(max(0, attempts - 1), 64))
        return full * (1.0 - jitter / 2)
