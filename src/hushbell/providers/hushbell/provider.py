"""A hushbell gateway elsewhere: a gorush that also heeds repeated requests and says which tokens are dead."""

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar

from hushbell.core.delivery.outcome import Outcome, Verdict
from hushbell.providers.gorush.provider import GorushProvider
from hushbell.providers.responses import MAX_WAIT, error_code, json_object
from hushbell.types import Millis


class HushbellProvider(GorushProvider):
    """The same to a hushbell gateway: requests that are repeated count once, and its logs say what is dead."""

    name: ClassVar[str] = "hushbell"

    def _headers(self, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
        key = hashlib.sha256("\n".join(names).encode()).hexdigest()
        return (*super()._headers(names), ("idempotency-key", key))

    def _logged(self, body: bytes) -> dict[str, Outcome]:
        logs = json_object(body).get("logs")
        if not isinstance(logs, list):
            return {}
        outcomes = {log["notif_id"]: own_outcome(log) for log in logs if isinstance(log, dict) and _names(log)}
        return super()._logged(body) | {name: result for name, result in outcomes.items() if result is not None}


def own_outcome(log: dict[str, Any]) -> Outcome | None:
    """Return what a line of a hushbell gateway's log means, or None if it says no more than gorush's would."""
    code = error_code(log.get("code"))
    if not code:
        return None
    if log.get("token_dead") is True:
        since = log.get("timestamp")
        return Outcome(Verdict.DEAD_TOKEN, code, since=Millis(since) if type(since) is int and since >= 0 else None)
    if log.get("retryable") is True:
        after = log.get("retry_after")
        is_wait = isinstance(after, int | float) and 0 <= after <= MAX_WAIT
        return Outcome(Verdict.RETRY, code, after=float(after or 0) if is_wait else None)
    if log.get("retryable") is False:
        return Outcome(Verdict.INVALID, code)
    return None


def _names(log: dict[str, Any]) -> bool:
    return isinstance(log.get("notif_id"), str) and log.get("type") == "failed-push"
