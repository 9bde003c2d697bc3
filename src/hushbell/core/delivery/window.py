"""How many attempts may be under way to one provider for one app: found out by trying, as TCP does."""

LEAST = 16
FIRST = 256
MOST = 8192  # more than any provider's streams; bounds what waits inside its client
AFTER_PAUSE = 1.0


class Window:
    """Grows while answers come, shrinks when the provider is overloaded, starts again from one after a pause."""

    __slots__ = ("_shrunk_at", "size")

    def __init__(self) -> None:
        self.size: float = FIRST
        self._shrunk_at = 0

    def accepted(self) -> None:
        """Count a good answer while as much was under way as is allowed."""
        if self.size < MOST:
            # One more for each answer doubles the window in each round trip; above the first size it grows slower.
            self.size += 1.0 if self.size < FIRST else FIRST / self.size

    def overloaded(self, now: int) -> None:
        """Halve it, once for all the answers of the same second. ``now`` is Unix time in milliseconds."""
        if now - self._shrunk_at >= 1000 or now < self._shrunk_at:
            self._shrunk_at = now
            self.size = max(LEAST, self.size / 2)

    def begin_again(self) -> None:
        """Send one first: the provider may still be down."""
        self.size = AFTER_PAUSE
