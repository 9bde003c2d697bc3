"""What every provider's HTTP has in common."""

from typing import Any

import orjson

from hushbell.ports.gateway import Outcome, Scope, Verdict
from hushbell.ports.http import HttpFailure, HttpResponse
from hushbell.types import SECONDS_PER_DAY

LONGEST_WAIT = float(SECONDS_PER_DAY)  # seconds; whoever asks for more asks for the push to expire


def failure(failed: HttpFailure, scope: Scope = Scope.PROVIDER) -> Outcome:
    """
    Return what no answer means: unsent is safe to send again, sent may have arrived.

    Args:
        failed: what happened.
        scope: whom the silence concerns; a host that a user named speaks for nobody else.
    """
    verdict = Verdict.UNKNOWN if failed.sent else Verdict.RETRY
    return Outcome(verdict, failed.kind.value, scope=scope)


def retry_after(answer: HttpResponse) -> float | None:
    """Return the seconds a Retry-After header asks for. Dates are ignored: their clock is not ours."""
    value = answer.header("retry-after")
    if not (value.isascii() and value.isdigit()) or len(value) > 9:
        return None
    return min(float(value), LONGEST_WAIT)


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is, or an empty one if it is something else."""
    try:
        parsed = orjson.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def word(value: Any) -> str:
    """Return a provider's own word for what happened, or "" if this is none: a word never quotes a token."""
    if not isinstance(value, str) or len(value) > 64 or not value.isascii():
        return ""
    return value if value.replace("_", "").replace(".", "").isalnum() else ""
