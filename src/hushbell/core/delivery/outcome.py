"""What came of one attempt to deliver a push (reference/gateway.md 5.5)."""

from dataclasses import dataclass, replace
from enum import Enum

from hushbell.types import Millis

MAX_REASON = 120  # characters of a provider's reason that are kept


class Verdict(Enum):
    """What must happen to a push after one attempt."""

    ACCEPTED = "accepted"  # the provider has it: final
    DEAD_TOKEN = "dead_token"  # the device token is dead: final, and the registration is marked
    RETRY = "retry"  # try again, not before ``after``
    INVALID = "invalid"  # this push can never be delivered: final
    MISCONFIGURED = "misconfigured"  # the operator must act: keep it, pause the app, raise an alarm
    UNKNOWN = "unknown"  # sent, but no answer came: try again with the same identifier

    # The names of 0.1.0, for providers of third parties, kept for one release.
    DROP_TOKEN = "dead_token"  # noqa: PIE796
    CALLER_ERROR = "invalid"  # noqa: PIE796
    CONFIG_ERROR = "misconfigured"  # noqa: PIE796


class Scope(Enum):
    """What a RETRY or MISCONFIGURED holds up besides this push."""

    TOKEN = "token"
    APP = "app"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one push on one attempt."""

    verdict: Verdict
    reason: str = ""  # the provider's own word; never a token or a payload
    after: float | None = None  # seconds to wait, if the provider said so
    since: Millis | None = None  # DEAD_TOKEN: when the provider learnt that the token died
    scope: Scope = Scope.TOKEN

    @property
    def concerns_others(self) -> bool:
        """Whether the pushes behind this one would meet the same answer, so that sending them is pointless."""
        if self.verdict is Verdict.MISCONFIGURED:
            return True
        return self.verdict is Verdict.RETRY and self.scope is not Scope.TOKEN

    def printable(self) -> "Outcome":
        """Return it with a reason that a database and a response may hold: ASCII, at most MAX_REASON characters."""
        reason = self.reason
        if len(reason) <= MAX_REASON and reason.isascii():
            return self
        return replace(self, reason=reason[:MAX_REASON].encode("ascii", "replace").decode())


ACCEPTED = Outcome(Verdict.ACCEPTED)
