"""
Where a push is on its way, in the vocabulary of autopush (reference/gateway.md 3.4).

A push that was stored ends in exactly one of the last four.
"""

from enum import IntEnum

from hushbell.core.delivery.outcome import Verdict


class State(IntEnum):
    """The number is the byte on the disk, so it never changes its meaning; callers read the label."""

    STORED = 0  # on the disk: accepted by us
    SENDING = 1  # an attempt is under way
    RETRYING = 2  # attempted without success; it will be attempted again
    ACCEPTED = 3  # final: the provider took it
    DEAD_TOKEN = 4  # final: the provider says that the device token is dead
    FAILED = 5  # final: the provider can never deliver it, or the retries are used up
    EXPIRED = 6  # final: its time to live ended first

    @property
    def label(self) -> str:
        """Return autopush's word for it."""
        return LABELS[self]

    @property
    def is_final(self) -> bool:
        """Whether nothing can follow."""
        return self >= FIRST_FINAL


LABELS = (
    "stored",
    "retrieved",
    "int_transmitted",
    "bridge_transmitted",
    "not_delivered",
    "errored",
    "expired",
)

FIRST_FINAL = State.ACCEPTED

FINAL = {
    Verdict.ACCEPTED: State.ACCEPTED,
    Verdict.DEAD_TOKEN: State.DEAD_TOKEN,
    Verdict.INVALID: State.FAILED,
}
"""The final state that an outcome brings. The other verdicts bring another attempt."""
