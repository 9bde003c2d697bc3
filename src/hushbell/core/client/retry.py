"""
When a registration is sent again (spec 16, "Registering"; reference/status-go.md 7.2).

An answer is waited for as long as the next trial is away: until then silence is patience, after it a failure.
"""

from typing import Final

from hushbell.wire import RegistrationError

BASE: Final = 15_000  # milliseconds
TRIALS: Final = 12  # of one content; the last comes 7 days after the first

# The same content will meet the same error.
FINAL: Final = frozenset({RegistrationError.MALFORMED_MESSAGE, RegistrationError.UNSUPPORTED_TOKEN_TYPE})


def wait(trials: int) -> int:
    """Return the milliseconds between the last of that many trials and the next: 15 s times n times 2 to the n."""
    return BASE * trials << trials
