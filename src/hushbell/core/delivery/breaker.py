"""The circuit breaker: too many dead tokens at once mean a wrong credential and not dead devices."""

from dataclasses import dataclass, replace

from hushbell.core.delivery.outcome import Outcome, Scope, Verdict
from hushbell.types import Millis

NEVER = Millis(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """
    Turns DEAD_TOKEN into MISCONFIGURED while it is open, so that a wrong credential marks no living device as dead.

    Counts outcomes in windows of ``window`` milliseconds.
    """

    max_share: float = 0.2  # of the outcomes in the window
    min_dead: int = 10  # below so many dead tokens it is never open
    window: int = 60_000
    began: Millis = NEVER
    answered: int = 0
    dead: int = 0
    open_until: Millis = NEVER

    def having_accepted(self, accepted: int, now: Millis) -> "Breaker":
        """Return the breaker after ``accepted`` more pushes were accepted."""
        if not accepted:
            return self
        once, _ = self.judge(Outcome(Verdict.ACCEPTED), now)
        return replace(once, answered=once.answered + accepted - 1)

    def judge(self, outcome: Outcome, now: Millis) -> "tuple[Breaker, Outcome]":
        """Count one outcome; return the breaker after it, and the outcome to handle."""
        if outcome.verdict not in (Verdict.ACCEPTED, Verdict.DEAD_TOKEN):
            return self, outcome
        is_dead = outcome.verdict is Verdict.DEAD_TOKEN
        is_new_window = now - self.began >= self.window
        # A window after one that opened it starts with ``min_dead`` dead tokens: a wrong credential that is tried
        # every minute must not mark a few devices as dead each time.
        carried = self.min_dead if self.began < self.open_until else 0
        answered = (carried if is_new_window else self.answered) + 1
        dead = (carried if is_new_window else self.dead) + is_dead
        trips = dead >= self.min_dead and dead > self.max_share * answered
        after = Breaker(
            max_share=self.max_share,
            min_dead=self.min_dead,
            window=self.window,
            began=now if is_new_window else self.began,
            answered=answered,
            dead=dead,
            open_until=Millis(now + self.window) if trips else self.open_until,
        )
        if is_dead and now < after.open_until:
            return after, Outcome(Verdict.MISCONFIGURED, "MassDrop", scope=Scope.APP)
        return after, outcome
