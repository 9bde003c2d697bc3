"""How a push leaves for the device."""

from collections.abc import Sequence
from typing import Protocol

from hushbell.core.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.core.push import Push

__all__ = ["ACCEPTED", "Gateway", "Outcome", "Scope", "Verdict"]


class Gateway(Protocol):
    """Every adapter passes every test in tests/providers/test_contract.py."""

    async def deliver(self, pushes: Sequence[Push]) -> Sequence[Outcome]:
        """
        Attempt the pushes of one request and return one outcome each, in order.

        Never raises for what the other side does or fails to do; bounded in time. Many calls run at once.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Calls under way end with UNKNOWN."""
        ...
