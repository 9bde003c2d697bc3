"""What each answer of Pushy means (reference/gateway.md 5.4). Pure functions."""

from collections.abc import Collection

from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.ports.http import HttpResponse
from hushbell.providers.responses import by_status, error_code, json_object, retry_after

DEAD = Outcome(Verdict.DEAD_TOKEN, "NO_RECIPIENTS")

_KEY = ("INVALID_API_KEY", "UNAUTHORIZED", "ACCOUNT_SUSPENDED", "SUBSCRIPTION_EXPIRED", "APP_NOT_FOUND")
_BUSY = ("RATE_LIMIT_EXCEEDED", "INTERNAL_ERROR")


def outcome(answer: HttpResponse) -> tuple[Outcome, Collection[str]]:
    """Return what an answer means for the tokens of its request, and which of them it says are dead."""
    fields = json_object(answer.body)
    code, status = error_code(fields.get("code")), answer.status
    if status == 200:
        if fields.get("success") is not True:
            return Outcome(Verdict.UNKNOWN, code or "HTTP 200", scope=Scope.PROVIDER), ()
        info = fields.get("info")
        failed = info.get("failed") if isinstance(info, dict) else None
        return ACCEPTED, frozenset(one for one in failed if isinstance(one, str)) if isinstance(failed, list) else ()
    return _refusal(status, code, retry_after(answer)), ()


def _refusal(status: int, code: str, after: float | None) -> Outcome:
    reason = code or f"HTTP {status}"
    if status in (400, 404) and code == "NO_RECIPIENTS":
        return DEAD
    if status == 402 or (status < 500 and code in _KEY):
        return Outcome(Verdict.MISCONFIGURED, reason, scope=Scope.APP)
    if status == 429:
        return Outcome(Verdict.RETRY, reason, after=after, scope=Scope.APP)
    if status == 400 and code in _BUSY:
        return Outcome(Verdict.RETRY, reason, after=after, scope=Scope.PROVIDER)
    return by_status(status, code, after)
