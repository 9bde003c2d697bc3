"""
What an attempt to deliver means for a push: its final state, or when to try again.

Pure: the time and the jitter are arguments. A push ends in exactly one of the four states below.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hushbell.core.delivery.outcome import Outcome, Scope, Verdict
from hushbell.core.push import Pending
from hushbell.core.server.facts import Defer, MarkDeadToken, Settle, Write
from hushbell.types import Millis

NEVER = Millis(0)

DELIVERED = "delivered"
DROPPED = "dropped"
FAILED = "failed"
EXPIRED = "expired"

_FINAL = {Verdict.ACCEPTED: DELIVERED, Verdict.DEAD_TOKEN: DROPPED, Verdict.INVALID: FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before the next attempt, in seconds."""

    first: float = 1.0
    factor: float = 2.0
    longest: float = 600.0

    def delay(self, attempts: int, jitter: float) -> float:
        """Return the wait after that many failed attempts; ``jitter`` in [0, 1) takes off up to a half."""
        full = min(self.longest, self.first * self.factor ** min(max(0, attempts - 1), 64))
        return full * (1.0 - jitter / 2)


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


def pauses(outcome: Outcome) -> bool:
    """Whether the pushes behind this one would meet the same answer, so that sending them is pointless."""
    if outcome.verdict is Verdict.MISCONFIGURED:
        return True
    return outcome.verdict is Verdict.RETRY and outcome.scope is not Scope.TOKEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """
    Tells a dead device from a broken credential: many dead tokens at once are the operator's mistake, never a purge.

    Counts answers in windows of ``window`` milliseconds. Open, it turns DEAD_TOKEN into MISCONFIGURED.
    """

    share: float = 0.2  # of the tokens answered in the window
    least: int = 10  # below so many dead tokens it is never open
    window: int = 60_000
    began: Millis = NEVER
    answered: int = 0
    dropped: int = 0
    open_until: Millis = NEVER

    def having_accepted(self, accepted: int, now: Millis) -> "Breaker":
        """Return the breaker after so many pushes were accepted, counted together."""
        if not accepted:
            return self
        once, _ = self.judge(Outcome(Verdict.ACCEPTED), now)
        return replace(once, answered=once.answered + accepted - 1)

    def judge(self, outcome: Outcome, now: Millis) -> "tuple[Breaker, Outcome]":
        """Count one answer and return the breaker after it, with the outcome to act upon."""
        if outcome.verdict not in (Verdict.ACCEPTED, Verdict.DEAD_TOKEN):
            return self, outcome
        drop = outcome.verdict is Verdict.DEAD_TOKEN
        fresh = now - self.began >= self.window
        # After a window that tripped, suspicion stays until enough pushes were accepted: a dead credential
        # that is tried again every minute must not purge a few devices each time.
        carried = self.least if self.began < self.open_until else 0
        answered = (carried if fresh else self.answered) + 1
        dropped = (carried if fresh else self.dropped) + drop
        trips = dropped >= self.least and dropped > self.share * answered
        after = Breaker(
            share=self.share,
            least=self.least,
            window=self.window,
            began=now if fresh else self.began,
            answered=answered,
            dropped=dropped,
            open_until=Millis(now + self.window) if trips else self.open_until,
        )
        if drop and now < after.open_until:
            return after, Outcome(Verdict.MISCONFIGURED, "MassDrop", scope=Scope.APP)
        return after, outcome
