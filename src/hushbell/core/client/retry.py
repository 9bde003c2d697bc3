"""
When a registration is sent again (spec 16, "Registering"; reference/status-go.md 7.2).

An answer is waited for as long as the next trial is away: until then silence is patience, after it a failure.
"""

from dataclasses import dataclass, replace

from hushbell.types import Millis
from hushbell.wire import RegistrationError

BASE = 15_000  # milliseconds
TRIALS = 12  # of one content; the last comes 7 days after the first

_FINAL = frozenset(
    {
        RegistrationError.MALFORMED_MESSAGE,
        RegistrationError.VERSION_MISMATCH,
        RegistrationError.UNSUPPORTED_TOKEN_TYPE,
    }
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one content has come with one server. Other content, such as a next version, starts from the default."""

    trials: int = 0
    last: Millis = Millis(0)
    registered: bool = False
    refused: bool = False


def wait(trials: int) -> int:
    """Return the milliseconds between the last of that many trials and the next: 15 s times n times 2 to the n."""
    return BASE * trials << trials


def due(progress: Progress) -> Millis | None:
    """
    Return when to send next, at once being any moment in the past.

    None is never: the server has it, or refused it, or was silent too often.
    """
    if progress.registered or progress.refused or progress.trials >= TRIALS:
        return None
    return Millis(progress.last + wait(progress.trials))


def tried(progress: Progress, now: Millis) -> Progress:
    """Return the progress after one more trial."""
    return replace(progress, trials=progress.trials + 1, last=now)


def answered(progress: Progress, *, success: bool, error: int) -> Progress:
    """
    Return the progress after the server's answer.

    What it calls wrong is not sent again: the same bytes would be as wrong. An internal error, or one that this
    version does not know, may pass.
    """
    return replace(progress, registered=success, refused=not success and error in _FINAL)
