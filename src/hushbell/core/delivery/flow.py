"""The flow of one app's pushes to one provider: window, pauses, retries, expiry. Time and jitter are arguments."""

from math import ceil
from typing import NamedTuple

from hushbell.core.delivery.backoff import Backoff
from hushbell.core.delivery.breaker import Breaker
from hushbell.core.delivery.outcome import Outcome, Scope, Verdict
from hushbell.core.delivery.state import FINAL, State
from hushbell.core.delivery.window import Window
from hushbell.types import Millis

REFUSALS_BEFORE_PAUSE = 3  # in a row, none accepted between: the cause is the provider and not a single push

_OVERLOAD = frozenset({"timeout", "closed"})  # reasons of our own HTTP clients


class Pause(NamedTuple):
    """Nothing leaves until ``until``."""

    until: Millis
    outcome: Outcome  # what began it


class FailedAttempt(NamedTuple):
    """What an attempt that was not accepted leads to: a final state, or another attempt."""

    outcome: Outcome  # as the breaker judges it
    state: State | None = None  # the final state, or None
    retry_at: Millis | None = None  # of the next attempt; None without a final state: first after the pause
    pause: Pause | None = None  # that this attempt began


class ProviderFlow:
    """Window, breaker, pause and backoff of one provider queue."""

    __slots__ = ("_backoff", "_breaker", "_consecutive_pauses", "_refusals", "accepted", "pause", "window")

    def __init__(self, backoff: Backoff) -> None:
        self.window = Window()
        # Pushes accepted since the last failure. The queue counts them here, since a call for each would cost too much.
        self.accepted = 0
        self.pause: Pause | None = None
        self._backoff = backoff
        self._breaker = Breaker()
        self._refusals = 0  # in a row
        self._consecutive_pauses = 0

    def room(self, in_flight: int) -> int:
        """Return how many more attempts may be begun."""
        return 0 if self.pause is not None else max(0, ceil(self.window.size) - in_flight)

    def failed(
        self, outcome: Outcome, *, attempts: int, retries: int | None, expires_at: Millis, now: Millis, jitter: float
    ) -> FailedAttempt:
        """
        Return what an attempt that was not accepted leads to.

        Args:
            outcome: of the attempt, as the provider reports it.
            attempts: to deliver this push, this one included.
            retries: the cap on attempts after the first, None for no cap.
            expires_at: when the push is given up.
            now: Unix time in milliseconds.
            jitter: in [0, 1).
        """
        self._count_accepted(now)
        self._breaker, outcome = self._breaker.judge(outcome, now)
        pause = None
        if outcome.concerns_others:
            if self._should_pause(outcome):
                pause = self.begin_pause(outcome, now, jitter)
        elif outcome.reason in _OVERLOAD:
            self.window.halve(now)
        state = FINAL.get(outcome.verdict) or _given_up(outcome, attempts, retries, expires_at, now)
        if state is not None:
            return FailedAttempt(outcome, state, None, pause)
        if self.pause is not None:
            # The pause delays it already.
            return FailedAttempt(outcome, None, None, pause)
        wait = max(self._backoff.delay(attempts, jitter), outcome.after or 0.0)
        return FailedAttempt(outcome, retry_at=Millis(min(now + int(wait * 1000), expires_at)))

    def begin_pause(self, outcome: Outcome, now: Millis, jitter: float) -> Pause | None:
        """Begin a pause and return it; None if there is one, as for all but the first of simultaneous refusals."""
        if self.pause is not None:
            return None
        self._count_accepted(now)
        self._consecutive_pauses += 1
        self._refusals = max(self._refusals, 1)
        wait = max(self._backoff.delay(self._consecutive_pauses, jitter), outcome.after or 0.0)
        self.pause = Pause(Millis(now + int(wait * 1000)), outcome)
        return self.pause

    def resumed(self, now: Millis) -> bool:
        """End the pause if its time is over; return whether there is none any more."""
        if self.pause is not None and now < self.pause.until:
            return False
        if self.pause is not None:
            self.pause = None
            self.window.restart()
        return True

    def _count_accepted(self, now: Millis) -> None:
        if self.accepted:
            self._breaker = self._breaker.having_accepted(self.accepted, now)
            self.accepted = self._refusals = self._consecutive_pauses = 0

    def _should_pause(self, outcome: Outcome) -> bool:
        """Whether a refusal concerns all pushes: one 503 in a hundred responses must not delay the other 99."""
        self._refusals += 1
        is_weak = outcome.verdict is Verdict.RETRY and outcome.scope is Scope.PROVIDER and outcome.after is None
        return not is_weak or self._consecutive_pauses > 0 or self._refusals >= REFUSALS_BEFORE_PAUSE


def _given_up(outcome: Outcome, attempts: int, retries: int | None, expires_at: Millis, now: Millis) -> State | None:
    """Return the final state of a push that is not attempted again, or None."""
    if now >= expires_at:
        return State.EXPIRED
    if retries is None or attempts <= retries:
        return None
    # A wrong configuration is not the push's failure, unless one attempt is all that was asked for.
    if outcome.verdict is Verdict.MISCONFIGURED and retries:
        return None
    return State.FAILED
