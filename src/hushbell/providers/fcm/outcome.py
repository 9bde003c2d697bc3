"""What each answer of Firebase Cloud Messaging means (reference/gateway.md 5.2). Pure functions."""

from collections.abc import Iterator, Mapping
from typing import Any

from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.ports.http import HttpResponse
from hushbell.providers.responses import by_status, error_code, json_object, retry_after

QUOTA_WAIT = 60.0  # seconds that Google wants us to wait at least after QUOTA_EXCEEDED
BAD_TOKEN = Outcome(Verdict.DEAD_TOKEN, "INVALID_ARGUMENT")
REFUSED_TOKEN = Outcome(Verdict.MISCONFIGURED, "UNAUTHENTICATED", scope=Scope.APP)
"""The access token was not taken: worth one more try with a new one."""

_TABLE = {
    "UNREGISTERED": Outcome(Verdict.DEAD_TOKEN, "UNREGISTERED"),
    "SENDER_ID_MISMATCH": Outcome(Verdict.DEAD_TOKEN, "SENDER_ID_MISMATCH"),
    "INVALID_ARGUMENT": Outcome(Verdict.INVALID, "INVALID_ARGUMENT"),
    "QUOTA_EXCEEDED": Outcome(Verdict.RETRY, "QUOTA_EXCEEDED", scope=Scope.APP),
    "UNAVAILABLE": Outcome(Verdict.RETRY, "UNAVAILABLE", scope=Scope.PROVIDER),
    "INTERNAL": Outcome(Verdict.RETRY, "INTERNAL", scope=Scope.PROVIDER),
    "THIRD_PARTY_AUTH_ERROR": Outcome(Verdict.MISCONFIGURED, "THIRD_PARTY_AUTH_ERROR", scope=Scope.APP),
}
_STATUS = {
    "UNREGISTERED": 404,
    "SENDER_ID_MISMATCH": 403,
    "INVALID_ARGUMENT": 400,
    "QUOTA_EXCEEDED": 429,
    "UNAVAILABLE": 503,
    "INTERNAL": 500,
    "THIRD_PARTY_AUTH_ERROR": 401,
}
"""The status that each code comes with: with another status it is a proxy's answer, and no token is dead."""


def outcome(answer: HttpResponse) -> Outcome:
    """Reduce an answer to what must happen. Any body is allowed, even a proxy's."""
    if answer.status == 200:
        return ACCEPTED
    error = json_object(answer.body).get("error")
    error = error if isinstance(error, dict) else {}
    code = _error_code(error)
    after = retry_after(answer)
    known = _TABLE.get(code)
    if known is None or _STATUS[code] != answer.status:
        return _by_status(answer.status, code or error_code(error.get("status")), after)
    if code == "INVALID_ARGUMENT" and _blames_token(error):
        return BAD_TOKEN
    if known.verdict is not Verdict.RETRY:
        return known
    if code == "QUOTA_EXCEEDED":
        after = max(after or 0.0, QUOTA_WAIT)
    return Outcome(known.verdict, known.reason, after=after, scope=known.scope)


def _by_status(status: int, reason: str, after: float | None) -> Outcome:
    """Return the outcome of a response without an error code of Firebase's own."""
    if status == 401:
        return REFUSED_TOKEN
    if status == 429:
        wait = max(after or 0.0, QUOTA_WAIT)
        return Outcome(Verdict.RETRY, reason or f"HTTP {status}", after=wait, scope=Scope.APP)
    return by_status(status, reason, after)


def _error_code(error: Mapping[str, Any]) -> str:
    """Return Firebase's own code, which stands in a detail of its own."""
    for detail in _details(error):
        if str(detail.get("@type", "")).endswith("google.firebase.fcm.v1.FcmError"):
            return error_code(detail.get("errorCode"))
    return ""


def _blames_token(error: Mapping[str, Any]) -> bool:
    """Say whether an invalid argument is the token and nothing else."""
    fields = [
        violation.get("field")
        for detail in _details(error)
        for violation in _listed(detail.get("fieldViolations"))
        if isinstance(violation, dict)
    ]
    if fields:
        return fields == ["message.token"]
    return "not a valid FCM registration token" in str(error.get("message", ""))


def _details(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (detail for detail in _listed(error.get("details")) if isinstance(detail, dict))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
