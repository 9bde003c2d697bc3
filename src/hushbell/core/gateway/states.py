"""
Where a push is on its way, in the vocabulary of autopush (reference/gateway.md 3.4).

A push that was stored ends in exactly one of the last four.
"""

from enum import Enum

from hushbell.core.outcome import Verdict


class State(Enum):
    """The value is what callers read; ``code`` is the byte on the disk."""

    STORED = "stored"  # on the disk: accepted by us
    RETRIEVED = "retrieved"  # taken from the disk and being attempted
    WAITING = "int_transmitted"  # attempted without success; it will be attempted again
    ACCEPTED = "bridge_transmitted"  # final: the provider took it
    DEAD = "not_delivered"  # final: the provider says that the device token is dead
    REFUSED = "errored"  # final: the provider can never deliver it, or the caller's retries are used up
    EXPIRED = "expired"  # final: its time to live ended first

    @property
    def code(self) -> int:
        """Return the byte that stands for it."""
        return CODES.index(self)

    @property
    def is_final(self) -> bool:
        """Whether nothing can follow."""
        return self.code >= FIRST_FINAL


CODES = tuple(State)
"""By byte. What is on a disk never changes its meaning: new states are added before nothing, at the end."""

FIRST_FINAL = CODES.index(State.ACCEPTED)

FINAL = {
    Verdict.ACCEPTED: State.ACCEPTED,
    Verdict.DROP_TOKEN: State.DEAD,
    Verdict.CALLER_ERROR: State.REFUSED,
}
"""The final state that an outcome brings. The other verdicts bring another attempt."""
