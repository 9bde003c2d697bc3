"""How many attempts may be under way to one provider for one app: found out by trying, as TCP does."""

MIN_WINDOW = 16
FIRST_WINDOW = 256
MAX_WINDOW = 8192  # more than any provider's streams; bounds what waits inside its client
WINDOW_AFTER_PAUSE = 1.0
HALVING_INTERVAL_MS = 1000


class Window:
    """Grows while answers come, shrinks when the provider is overloaded, restarts from one after a pause."""

    __slots__ = ("_halved_at", "size")

    def __init__(self) -> None:
        self.size: float = FIRST_WINDOW
        self._halved_at = 0

    def grow(self) -> None:
        """Count a good answer while as much was under way as is allowed."""
        if self.size < MAX_WINDOW:
            # One more for each answer doubles the window in each round trip; above the first size it grows slower.
            self.size += 1.0 if self.size < FIRST_WINDOW else FIRST_WINDOW / self.size

    def halve(self, now: int) -> None:
        """Halve it, once for all the answers of the same second. ``now`` is Unix time in milliseconds."""
        if now - self._halved_at >= HALVING_INTERVAL_MS or now < self._halved_at:
            self._halved_at = now
            self.size = max(MIN_WINDOW, self.size / 2)

    def restart(self) -> None:
        """Allow one attempt: the provider may still be down."""
        self.size = WINDOW_AFTER_PAUSE
