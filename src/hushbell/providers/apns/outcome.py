"""What each answer of Apple's push service means (reference/gateway.md 5.1). Pure functions."""

import json
from typing import Any

from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.ports.http import HttpResponse
from hushbell.providers.responses import by_status, retry_after
from hushbell.types import Millis

TOKEN_LIFE = 1200.0  # seconds that Apple wants a provider token to be used at least

# The reasons that blame the topic: the registration's if it named one, else the operator's.
TOPIC_REASONS = frozenset({"BadTopic", "MissingTopic", "TopicDisallowed"})

_TABLE: dict[Verdict, dict[Scope, tuple[str, ...]]] = {
    Verdict.DEAD_TOKEN: {Scope.TOKEN: ("BadDeviceToken", "DeviceTokenNotForTopic", "Unregistered", "ExpiredToken")},
    Verdict.INVALID: {
        Scope.TOKEN: (
            *sorted(TOPIC_REASONS),
            "InvalidPushType",
            "BadCollapseId",
            "BadExpirationDate",
            "BadMessageId",
            "BadPriority",
            "DuplicateHeaders",
            "MissingDeviceToken",
            "PayloadEmpty",
            "PayloadTooLarge",
        )
    },
    Verdict.MISCONFIGURED: {
        Scope.APP: (
            "BadCertificate",
            "BadCertificateEnvironment",
            "Forbidden",
            "InvalidProviderToken",
            "MissingProviderToken",
            "ExpiredProviderToken",
            "UnrelatedKeyIdInToken",
            "BadEnvironmentKeyIdInToken",
        ),
        Scope.PROVIDER: ("BadPath", "MethodNotAllowed"),
    },
    Verdict.RETRY: {
        Scope.TOKEN: ("TooManyRequests",),
        Scope.APP: ("TooManyProviderTokenUpdates",),
        Scope.PROVIDER: ("IdleTimeout", "InternalServerError", "ServiceUnavailable", "Shutdown"),
    },
}
REASONS = {
    reason: Outcome(
        verdict, reason, scope=scope, after=TOKEN_LIFE if scope is Scope.APP and verdict.name == "RETRY" else None
    )
    for verdict, scopes in _TABLE.items()
    for scope, reasons in scopes.items()
    for reason in reasons
}


def outcome(answer: HttpResponse, *, is_default_topic: bool = False) -> Outcome:
    """
    Reduce an answer to what the server must do. Any body is allowed, even a proxy's.

    Args:
        answer: what came back for one push.
        is_default_topic: the topic is the operator's default, so the operator must correct a bad one.
    """
    if answer.status == 200:
        return ACCEPTED
    reason, since = error_code(answer.body)
    after = retry_after(answer)
    if reason in REASONS and _belongs(reason, answer.status):
        return by_reason(reason, since=since, after=after, is_default_topic=is_default_topic)
    return _by_status(answer.status, reason, since, after)


def _belongs(reason: str, status: int) -> bool:
    """Say whether status and reason agree as far as it matters: a token dies of nothing but a 400 or a 410."""
    return REASONS[reason].verdict is not Verdict.DEAD_TOKEN or status in (400, 410)


def by_reason(
    reason: str, *, since: Millis | None = None, after: float | None = None, is_default_topic: bool = False
) -> Outcome:
    """Return the outcome of one of Apple's documented reasons."""
    known = REASONS[reason]
    if is_default_topic and reason in TOPIC_REASONS:
        return Outcome(Verdict.MISCONFIGURED, reason, scope=Scope.APP)
    if known.verdict is Verdict.DEAD_TOKEN:
        return Outcome(Verdict.DEAD_TOKEN, reason, since=since)
    if known.verdict is Verdict.RETRY and after is not None:
        return Outcome(Verdict.RETRY, reason, after=max(after, known.after or 0), scope=known.scope)
    return known


def _by_status(status: int, reason: str, since: Millis | None, after: float | None) -> Outcome:
    """Return the outcome of a response whose reason, if any, is none of the table's."""
    if status == 410 and reason:
        return Outcome(Verdict.DEAD_TOKEN, reason, since=since)
    if status == 410:  # not Apple's own, so it ends no token
        return Outcome(Verdict.RETRY, f"HTTP {status}", after=after, scope=Scope.PROVIDER)
    if status == 429 and reason:
        return Outcome(Verdict.RETRY, reason, after=after)
    return by_status(status, reason, after)


def error_code(body: bytes) -> tuple[str, Millis | None]:
    """Return Apple's one-word reason, or "", and the time a token died, if this is the JSON object Apple documents."""
    try:
        parsed: Any = json.loads(body)
        reason = parsed["reason"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return "", None
    if not isinstance(reason, str) or not reason.isalnum() or not reason.isascii() or len(reason) > 64:
        return "", None
    since = parsed.get("timestamp")
    return reason, Millis(since) if type(since) is int and since >= 0 else None
