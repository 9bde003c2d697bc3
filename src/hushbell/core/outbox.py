"""
What an attempt to deliver means for a push: its final state, or when to try again.

Pure: the time and the jitter are arguments. A push ends in exactly one of the four states below.
"""

from collections.abc import Sequence

from hushbell.core.delivery.backoff import Backoff
from hushbell.core.delivery.outcome import Outcome, Verdict
from hushbell.core.push import Pending
from hushbell.core.server.facts import Defer, MarkDeadToken, Settle, Write
from hushbell.types import Millis

DELIVERED = "delivered"
DROPPED = "dropped"
FAILED = "failed"
EXPIRED = "expired"

_FINAL = {Verdict.ACCEPTED: DELIVERED, Verdict.DEAD_TOKEN: DROPPED, Verdict.INVALID: FAILED}


def conclude(pending: Pending, outcome: Outcome, now: Millis, *, backoff: Backoff, jitter: float) -> Sequence[Write]:
    """Return what one attempt writes: a final state, or the moment of the next attempt."""
    push, attempts = pending.push, pending.attempts + 1
    state = _FINAL.get(outcome.verdict)
    if state is not None:
        settled = Settle(push.notification_id, state, attempts, now)
        if state != DROPPED:
            return (settled,)
        # Without a time from the provider, only what was registered before this push is known to be dead.
        since = push.created_at if outcome.since is None else outcome.since
        return (settled, MarkDeadToken(push.device, since))
    if now >= push.expires_at:
        return (expire(pending, now),)
    wait = max(backoff.delay(attempts, jitter), outcome.after or 0.0)
    # A last look at the time to live, so that the final state never comes later than it.
    due = min(now + int(wait * 1000), push.expires_at)
    return (Defer(push.notification_id, attempts, Millis(due)),)


def expire(pending: Pending, now: Millis) -> Settle:
    """Return the final state of a push whose time to live is over."""
    return Settle(pending.push.notification_id, EXPIRED, pending.attempts, now)
