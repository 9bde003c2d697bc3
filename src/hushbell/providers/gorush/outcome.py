"""What each response of a gorush means. Pure functions."""

import json
from collections.abc import Mapping
from typing import Any

from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.ports.http import HttpResponse
from hushbell.providers.apns import outcome as apns_outcome
from hushbell.providers.responses import retry_after
from hushbell.types import Millis

FCM_GONE = ("Requested entity was not found", "UNREGISTERED", "registration-token-not-registered")


def outcome(answer: HttpResponse) -> Outcome:
    """Return the outcome of a whole request. Any body is allowed, even a proxy's."""
    status = answer.status
    reason = f"HTTP {status}"
    if 200 <= status < 300:
        return ACCEPTED
    if status == 429 or status >= 500 or status == 408:
        return Outcome(Verdict.RETRY, reason, after=retry_after(answer), scope=Scope.PROVIDER)
    if status in (400, 413):
        return Outcome(Verdict.INVALID, reason)
    return Outcome(Verdict.MISCONFIGURED, reason, scope=Scope.PROVIDER)


def logged_outcomes(answer: bytes) -> dict[str, Outcome]:
    """Return the outcome of each notification that failed by gorush's response, by ``notif_id``."""
    try:
        logs: Any = json.loads(answer)["logs"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    if not isinstance(logs, list):
        return {}
    return {
        log["notif_id"]: _logged(log)
        for log in logs
        if isinstance(log, dict) and isinstance(log.get("notif_id"), str) and log.get("type") == "failed-push"
    }


def _logged(log: Mapping[str, Any]) -> Outcome:
    """Return the outcome of a log entry: Apple's code as it is, or Google's sentence, which may hold a token."""
    error = str(log.get("error", ""))
    if any(sentence in error for sentence in FCM_GONE):
        return Outcome(Verdict.DEAD_TOKEN, "UNREGISTERED", since=_millis(log.get("timestamp")))
    if error in apns_outcome.REASONS:
        return apns_outcome.by_reason(error, since=_millis(log.get("timestamp")))
    return Outcome(Verdict.RETRY, "failed-push")


def _millis(value: Any) -> Millis | None:
    return Millis(value) if type(value) is int else None
