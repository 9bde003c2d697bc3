"""What the HTTP responses of all providers have in common."""

from typing import Any

import orjson

from hushbell.core.delivery.outcome import Outcome, Scope, Verdict
from hushbell.ports.http import HttpFailure, HttpResponse
from hushbell.types import SECONDS_PER_DAY

MAX_WAIT = float(SECONDS_PER_DAY)  # seconds; a push that must wait longer would expire


def failure(failed: HttpFailure, scope: Scope = Scope.PROVIDER) -> Outcome:
    """
    Return the outcome without a response: RETRY if the request was not sent, UNKNOWN if it was.

    Args:
        failed: what happened.
        scope: what else waits; TOKEN for a host that a user named.
    """
    verdict = Verdict.UNKNOWN if failed.sent else Verdict.RETRY
    return Outcome(verdict, failed.kind.value, scope=scope)


def by_status(status: int, error: str, after: float | None) -> Outcome:
    """
    Return the outcome of a response whose error code, if any, decides nothing by itself.

    Args:
        status: of the response, which is not a good one.
        error: the provider's error code; "" if the body has none, as of a proxy's.
        after: seconds to wait, if the response says so.
    """
    reason = error or f"HTTP {status}"
    if status == 413 or (status == 400 and error):
        return Outcome(Verdict.INVALID, reason)
    if status in (400, 408, 429) or status >= 500:
        return Outcome(Verdict.RETRY, reason, after=after, scope=Scope.PROVIDER)
    if status in (401, 403):
        return Outcome(Verdict.MISCONFIGURED, reason, scope=Scope.APP)
    if 300 <= status < 500:
        return Outcome(Verdict.MISCONFIGURED, reason, scope=Scope.PROVIDER)
    return Outcome(Verdict.UNKNOWN, reason, scope=Scope.PROVIDER)


def retry_after(answer: HttpResponse) -> float | None:
    """Return the seconds a Retry-After header asks for. Dates are ignored: their clock is not ours."""
    value = answer.header("retry-after")
    if not (value.isascii() and value.isdigit()) or len(value) > 9:
        return None
    return min(float(value), MAX_WAIT)


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is, or an empty one if it is something else."""
    try:
        parsed = orjson.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def error_code(value: Any) -> str:
    """Return a provider's error code, or "" if this is none. A code is at most 64 characters and quotes no token."""
    if not isinstance(value, str) or len(value) > 64 or not value.isascii():
        return ""
    return value if value.replace("_", "").replace(".", "").isalnum() else ""
