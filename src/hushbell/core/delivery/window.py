"""The congestion window of a provider queue: how many attempts may be under way, adapted as in TCP."""

MIN_WINDOW = 16
FIRST_WINDOW = 256
MAX_WINDOW = 8192  # more than any provider's streams; bounds what waits inside its client
WINDOW_AFTER_PAUSE = 1.0
HALVING_INTERVAL_MS = 1000


class Window:
    """Grows while pushes are accepted, halves when the provider is overloaded, restarts from one after a pause."""

    __slots__ = ("_halved_at", "size")

    def __init__(self) -> None:
        self.size: float = FIRST_WINDOW
        self._halved_at = 0

    def grow(self) -> None:
        """Count an accepted push while the window was full."""
        if self.size < MAX_WINDOW:
            # One more for each accepted push doubles the window in a round trip; above the first size it grows slower.
            self.size += 1.0 if self.size < FIRST_WINDOW else FIRST_WINDOW / self.size

    def halve(self, now: int) -> None:
        """Halve it, at most once a second. ``now`` is Unix time in milliseconds."""
        if now - self._halved_at >= HALVING_INTERVAL_MS or now < self._halved_at:
            self._halved_at = now
            self.size = max(MIN_WINDOW, self.size / 2)

    def restart(self) -> None:
        """Allow one attempt: the provider may still be down."""
        self.size = WINDOW_AFTER_PAUSE
