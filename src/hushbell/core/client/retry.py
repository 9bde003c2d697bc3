"""
The schedule by which a registration is repeated (spec 16, "Registering"; reference/status-go.md 7.2).

A trial without a response fails when the next one is due.
"""

from typing import Final

from hushbell.wire import RegistrationError

BASE: Final = 15_000  # milliseconds
MAX_TRIALS: Final = 12  # of one content; the last comes 7 days after the first

# Errors that the same content meets again.
FINAL: Final = frozenset({RegistrationError.MALFORMED_MESSAGE, RegistrationError.UNSUPPORTED_TOKEN_TYPE})


def delay_millis(trials: int) -> int:
    """Return the milliseconds from trial n to the next one: 15 s · n · 2^n."""
    return BASE * trials << trials
