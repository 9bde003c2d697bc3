"""Who hears of final states."""

from typing import Protocol

from hushbell.runtime.delivery.provider_queue import ProviderQueue


class Listeners(Protocol):
    """Whoever tells callers what became of their pushes."""

    def reload(self) -> None:
        """Look again who wants to hear what."""
        ...

    def attach(self, lane: ProviderQueue) -> None:
        """Set what a lane calls for each final state, or nothing."""
        ...
