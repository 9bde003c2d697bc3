"""What every provider's HTTP has in common."""

from hushbell.ports.gateway import Outcome, Scope, Verdict
from hushbell.ports.http import HttpAnswer, HttpFailure

LONGEST_WAIT = 86_400.0  # seconds; whoever asks for more asks for the push to expire


def failure(failed: HttpFailure) -> Outcome:
    """Return what no answer means: unsent is safe to send again, sent may have arrived."""
    verdict = Verdict.UNKNOWN if failed.sent else Verdict.RETRY
    return Outcome(verdict, failed.kind.value, scope=Scope.PROVIDER)


def retry_after(answer: HttpAnswer) -> float | None:
    """Return the seconds a Retry-After header asks for. Dates are ignored: their clock is not ours."""
    value = answer.header("retry-after")
    if not (value.isascii() and value.isdigit()) or len(value) > 9:
        return None
    return min(float(value), LONGEST_WAIT)
