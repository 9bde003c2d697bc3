"""How a push leaves for the device, and what the answer means (reference/gateway.md 5.5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from hushbell.core.push import Push
from hushbell.types import Millis


class Verdict(Enum):
    """What must happen to a push after one attempt."""

    ACCEPTED = "accepted"  # the provider has it: final
    DROP_TOKEN = "drop_token"  # the device token is dead: final, and the registration is marked
    RETRY = "retry"  # try again, not before ``after``
    CALLER_ERROR = "caller_error"  # this push can never be delivered: final
    CONFIG_ERROR = "config_error"  # the operator must act: keep it, pause the app, raise an alarm
    UNKNOWN = "unknown"  # sent, but no answer came: try again with the same identifier


class Scope(Enum):
    """What a RETRY or CONFIG_ERROR holds up besides this push."""

    TOKEN = "token"
    APP = "app"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one push on one attempt."""

    verdict: Verdict
    reason: str = ""  # the provider's own word; never a token or a payload
    after: float | None = None  # seconds to wait, if the provider said so
    since: Millis | None = None  # DROP_TOKEN: when the provider learnt that the token died
    scope: Scope = Scope.TOKEN


ACCEPTED = Outcome(Verdict.ACCEPTED)


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
