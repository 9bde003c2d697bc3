"""What each answer of a push service means (RFC 8030; reference/gateway.md 5.3). Pure functions."""

from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Verdict
from hushbell.ports.http import HttpResponse
from hushbell.providers.responses import retry_after

REFUSED_WAIT = 300.0  # seconds after 401 and 403


def outcome(answer: HttpResponse) -> Outcome:
    """
    Reduce an answer to what must happen to this push.

    It concerns nobody else: a user chose the host that speaks, and may have chosen it to stop the pushes of others.
    So a refused VAPID key is tried again later rather than held against the app.
    """
    status = answer.status
    if 200 <= status < 300:
        return ACCEPTED
    reason = f"HTTP {status}"
    if status in (404, 410):
        return Outcome(Verdict.DEAD_TOKEN, reason)
    if status in (401, 403):
        return Outcome(Verdict.RETRY, reason, after=max(retry_after(answer) or 0.0, REFUSED_WAIT))
    if status in (408, 425, 429) or status >= 500:
        return Outcome(Verdict.RETRY, reason, after=retry_after(answer))
    if 300 <= status < 500:
        return Outcome(Verdict.INVALID, reason)
    return Outcome(Verdict.UNKNOWN, reason)
