"""How a push leaves for the device."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.core.push import Push

__all__ = ["ACCEPTED", "Done", "EagerGateway", "Gateway", "Outcome", "Scope", "Verdict"]

Done = Callable[[int, Outcome], None]
"""Told once for each push: its place among those attempted, and what came of it."""


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


@runtime_checkable
class EagerGateway(Gateway, Protocol):
    """A gateway that also takes pushes of many requests at once and tells each outcome when it is known."""

    def attempt(self, pushes: Sequence[Push], done: Done) -> None:
        """
        Attempt pushes in their order; ``done`` is called once for each, now or later.

        Costs neither a task nor a future for a push, and no push waits for another's answer. Otherwise as
        :meth:`Gateway.deliver`.
        """
        ...
