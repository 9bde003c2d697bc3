"""
One app's pushes to one provider: their order, their attempts, their pauses.

Every lane stands alone: what its provider does to it delays no other. Pushes to one token leave one after another, the
next one when the one before ended, so that a retry never overtakes what was accepted later.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from hushbell.core.delivery.backoff import Backoff
from hushbell.core.delivery.breaker import Breaker
from hushbell.core.delivery.changes import DeadToken
from hushbell.core.delivery.number_queue import NumberQueue
from hushbell.core.delivery.outcome import Outcome, Scope, Verdict
from hushbell.core.delivery.state import FINAL, State
from hushbell.core.delivery.window import Window
from hushbell.ports.provider import Attempt, Provider
from hushbell.runtime.delivery.active_job import ActiveJob, ActiveNotification, FailedPush
from hushbell.runtime.delivery.handing import handing
from hushbell.types import Millis

HELD = 16_384  # pushes in memory, of one lane; more stay on the disk alone until there is room
HELD_BYTES = 32 * 1024 * 1024  # of one lane
LUCK = 3  # refusals in a row, none accepted between, that speak for the provider and not for single pushes
PATIENCE = 5_000  # milliseconds of a pause that a caller who waits for first attempts waits, too
SWEEP = 60_000  # milliseconds between looks for what expired while a lane is paused
REASON = 120  # characters of a provider's word that are kept

# Asking an enumeration for its member costs a tenth of a microsecond, and a push asks ten times.
_STORED, _RETRIEVED, _ACCEPTED, _TAKEN = State.STORED, State.SENDING, State.ACCEPTED, Verdict.ACCEPTED

_EXPIRED = Outcome(Verdict.RETRY, "Expired")

log = logging.getLogger(__name__)


class Scheduler(Protocol):
    """What a lane needs of the engine."""

    def now(self) -> Millis:
        """Return Unix time in milliseconds."""
        ...

    def jitter(self) -> float:
        """Return a number in [0, 1)."""
        ...

    def wake(self, lane: "ProviderQueue") -> None:
        """Give the lane its turns again."""
        ...

    def at(self, when: Millis, lane: "ProviderQueue", note: ActiveNotification | None, place: int) -> None:
        """Call :meth:`ProviderQueue.again` then."""
        ...

    def ended(self, work: ActiveJob, lane: "ProviderQueue") -> None:
        """Every push of a job reached its final state."""
        ...

    def changed(self, work: ActiveJob) -> None:
        """Something of a job must go to the disk some time."""
        ...

    def died(self, dead: DeadToken) -> None:
        """A provider says that a token is dead."""
        ...


Final = Callable[[ActiveNotification, int, State, str], None]
"""Told of each push that reached its final state: place, state and the provider's word."""


class ProviderQueue:
    """The pushes of one app to one provider."""

    def __init__(self, owner: Scheduler, app: str, name: str, provider: Provider | None, backoff: Backoff) -> None:
        self.app = app
        self.name = name
        self.provider = provider
        self._hand_over = handing(provider)
        self.final: Final | None = None
        self.spilled = NumberQueue()  # jobs that are on the disk alone, oldest first
        self.held = 0  # pushes in memory that have no final state
        self.held_bytes = 0
        self.in_flight = 0
        self.has_turn = False  # the engine will call begin
        self.is_stopped = False
        self.tally = [0] * len(State)  # pushes by what became of them; that of STORED counts attempts
        self.paused_until = Millis(0)
        self.strikes = 0
        self._refusals = 0  # in a row
        self._paused_for = _EXPIRED  # what began the pause
        self._owner = owner
        self._backoff = backoff
        self._window = Window()
        self._ready: deque[ActiveNotification] = deque()
        self._busy: dict[str, deque[tuple[ActiveNotification, int]] | None] = {}  # token → what waits for its turn
        self._breaker = Breaker()
        self._accepted_since = 0  # accepted pushes that the breaker does not know yet

    @property
    def expires_at(self) -> Millis | None:
        """Return when the credential ends, if it tells."""
        return None if self.provider is None else self.provider.expires_at

    @property
    def is_behind(self) -> bool:
        """Whether the disk holds jobs that memory does not."""
        return self.spilled.left > 0

    @property
    def has_room(self) -> bool:
        """Whether memory may hold more."""
        return self.held < HELD and self.held_bytes < HELD_BYTES

    @property
    def may_begin(self) -> bool:
        """Whether a turn would be of use."""
        return bool(self._ready) and self.in_flight < self._window.size and not self.is_stopped and not self.is_paused

    @property
    def wants_jobs(self) -> bool:
        """Whether it is time to read from the disk."""
        return self.is_behind and not self.is_stopped and self.held * 2 < HELD and self.held_bytes * 2 < HELD_BYTES

    @property
    def is_paused(self) -> bool:
        """Whether its provider asked for, or earned, a rest."""
        return self.paused_until > 0

    def spill(self, work: ActiveJob) -> None:
        """Keep the number of a job that is on the disk, and nothing else; within a token, order comes before speed."""
        self.spilled.append(work.job.number)
        if work.receipt is not None:
            work.receipt.tell()

    def pause_for_the_disk(self) -> None:
        """Rest after the disk could not be read."""
        self._pause(Outcome(Verdict.RETRY, "StoreUnavailable"), self._owner.now())

    def hold(self, work: ActiveJob) -> None:
        """Queue what is left of a job."""
        self.held += work.left
        self.held_bytes += work.size
        notes = work.notes(self)
        self._ready.extend(notes)
        if self.paused_until and work.receipt is not None:
            self._tell_of_pause(notes)
        if not work.left:
            self._end(work)

    def begin(self, share: int) -> int:
        """Begin attempts, at most ``share``; return how many."""
        begun = 0
        now = self._owner.now()
        ready = self._ready
        attempts: list[Attempt] = []
        while ready and begun < share and self.in_flight < self._window.size and not self.paused_until:
            note = ready[0]
            places = note.places
            room = 1 if len(places) == 1 else min(share - begun, max(1, int(self._window.size) - self.in_flight))
            if len(places) <= room:
                ready.popleft()
                note.places = ()
            else:
                places, note.places = places[:room], places[room:]
            free = places if note.holds_token else self._claim(note, places)
            if now >= note.notification.expires_at:
                for place in free:
                    self._expire(note, place)
            elif free:
                begun += len(free)
                self._begun(note, free)
                attempts.append((note.notification, free, note.done))
        if attempts:
            self._hand_over(attempts)
        return begun

    def concluded(self, note: ActiveNotification, place: int, outcome: Outcome) -> None:
        """Take what came of one attempt."""
        work = note.work
        at = note.base + place
        if work.states[at] != _RETRIEVED:
            log.error("provider %s told twice what came of a push", self.name)
            return
        self.in_flight -= 1
        work.under_way -= 1
        if outcome.verdict is _TAKEN:
            self._accepted_since += 1
            if self._refusals:
                self._refusals = self.strikes = 0
            if self.in_flight + 1 >= self._window.size:
                self._window.accepted()
            if work.receipt is not None and work.attempts[at] == 1:
                work.receipt.heard()
            self._finish(note, place, _ACCEPTED, "")
        else:
            self._failed(note, place, outcome)
        if self._ready and not self.has_turn:
            self._owner.wake(self)

    def again(self, note: ActiveNotification | None, place: int) -> None:
        """Go on after a wait: with one push, or, without one, after a pause."""
        if note is None:
            self._resume()
        elif not self.is_stopped:
            self._requeue(note, place)
            self._owner.wake(self)

    def fold(self, now: Millis) -> None:
        """Tell the breaker what was accepted meanwhile."""
        self._breaker = self._breaker.having_accepted(self._accepted_since, now)
        self._accepted_since = 0

    def _claim(self, note: ActiveNotification, places: Sequence[int]) -> Sequence[int]:
        """Return the places whose tokens are free now; the others wait behind the pushes that hold them."""
        busy, tokens = self._busy, note.notification.targets
        free: list[int] = []
        for place in places:
            token = tokens[place]
            if token not in busy:
                busy[token] = None
                free.append(place)
                continue
            behind = busy[token]
            if behind is None:
                behind = busy[token] = deque()
            behind.append((note, place))
        return free

    def _begun(self, note: ActiveNotification, places: Sequence[int]) -> None:
        """Count attempts that are about to be made."""
        work, base, count = note.work, note.base, len(places)
        states, attempts = work.states, work.attempts
        for place in places:
            at = base + place
            states[at] = _RETRIEVED
            if attempts[at] < 255:
                attempts[at] += 1
        self.in_flight += count
        work.under_way += count
        self.tally[_STORED] += count

    def _failed(self, note: ActiveNotification, place: int, outcome: Outcome) -> None:
        now = self._owner.now()
        self.fold(now)
        self._breaker, judged = self._breaker.judge(outcome, now)
        if judged.verdict is Verdict.MISCONFIGURED:
            log.error("pushes of an app are held: %s refuses its configuration (%s)", self.name, judged.reason)
        if judged.concerns_others:
            if self._is_trouble(judged):
                self._pause(judged, now)
        elif judged.reason in ("timeout", "closed"):
            self._window.overloaded(now)
        work, at = note.work, note.base + place
        state = FINAL.get(judged.verdict) or self._over(note, at, judged, now)
        if work.receipt is not None and work.attempts[at] == 1:
            work.receipt.heard(FailedPush(note.notification, place, judged, is_final=state is not None))
        if state is None:
            self._wait(note, place, judged, now)
            return
        if state is State.DEAD_TOKEN:
            notification = note.notification
            self._owner.died(
                DeadToken(self.app, self.name, notification.targets[place], _word(judged.reason), judged.since, now)
            )
        self._finish(note, place, state, _word(judged.reason))

    @staticmethod
    def _over(note: ActiveNotification, at: int, outcome: Outcome, now: Millis) -> State | None:
        """Return the final state of a push that is not to be attempted again, or None."""
        if now >= note.notification.expires_at:
            return State.EXPIRED
        retries = note.notification.retries
        if retries is None or note.work.attempts[at] <= retries:
            return None
        # A wrong configuration is not the push's failure, unless one attempt is all that was asked for.
        if outcome.verdict is Verdict.MISCONFIGURED and retries:
            return None
        return State.FAILED

    def _wait(self, note: ActiveNotification, place: int, outcome: Outcome, now: Millis) -> None:
        """Attempt it again later; its token stays taken, so that what follows waits too."""
        work, at = note.work, note.base + place
        work.states[at] = State.RETRYING
        work.reasons[at] = _word(outcome.reason)
        self.tally[State.RETRYING] += 1
        self._owner.changed(work)
        if self.paused_until:
            # It waits for the provider, not for itself, and leaves first when the pause ends.
            self._requeue(note, place)
            return
        wait = max(self._backoff.delay(work.attempts[at], self._owner.jitter()), outcome.after or 0.0)
        due = min(now + int(wait * 1000), note.notification.expires_at)
        self._owner.at(Millis(due), self, note, place)

    def _requeue(self, note: ActiveNotification, place: int) -> None:
        """Let a push leave next. Its token stays taken, so that nothing overtakes it."""
        alone = ActiveNotification(note.work, note.notification, note.base, self, [place])
        alone.holds_token = True
        self._ready.appendleft(alone)

    def _expire(self, note: ActiveNotification, place: int) -> None:
        work = note.work
        if work.receipt is not None and not work.attempts[note.base + place]:
            work.receipt.heard(FailedPush(note.notification, place, _EXPIRED, is_final=True))
        self._finish(note, place, State.EXPIRED, work.reasons.get(note.base + place, ""))

    def _finish(self, note: ActiveNotification, place: int, state: State, reason: str) -> None:
        """Write down the final state of a push and let the next one to its token go."""
        work, at = note.work, note.base + place
        work.states[at] = state
        if reason:
            work.reasons[at] = reason
        elif work.reasons:
            work.reasons.pop(at, None)
        work.left -= 1
        self.held -= 1
        self.tally[state] += 1
        token = note.notification.targets[place]
        behind = self._busy.pop(token, None)
        if behind:
            self._busy[token] = behind
            self._requeue(*behind.popleft())
            self._owner.wake(self)
        if self.final is not None:
            self.final(note, place, state, reason)
        if not work.left:
            self._end(work)
        elif not work.is_dirty:
            self._owner.changed(work)

    def _end(self, work: ActiveJob) -> None:
        self.held_bytes -= work.size
        self._owner.ended(work, self)

    def _pause(self, outcome: Outcome, now: Millis) -> None:
        """Hold everything, once for all the pushes that met the same answer together."""
        if self.paused_until:
            return
        self.strikes += 1
        self._refusals = max(self._refusals, 1)
        wait = max(self._backoff.delay(self.strikes, self._owner.jitter()), outcome.after or 0.0)
        self.paused_until = Millis(now + int(wait * 1000))
        self._paused_for = outcome
        self._tell_of_pause(self._ready)
        self._owner.at(Millis(min(self.paused_until, now + SWEEP)), self, None, 0)

    def _is_trouble(self, outcome: Outcome) -> bool:
        """Whether a refusal speaks for all pushes: one 503 in a hundred answers must not stop the other 99."""
        self._refusals += 1
        alone = outcome.verdict is Verdict.RETRY and outcome.scope is Scope.PROVIDER and outcome.after is None
        return not alone or self.strikes > 0 or self._refusals >= LUCK

    def _tell_of_pause(self, notes: Iterable[ActiveNotification]) -> None:
        """Tell callers who wait for first attempts that there will be none for a while, and why."""
        if self.paused_until - self._owner.now() < PATIENCE:
            return
        for note in notes:
            receipt = note.work.receipt
            if receipt is None or receipt.to_hear <= 0:
                continue
            for place in note.places:
                if not note.work.attempts[note.base + place]:
                    receipt.heard(FailedPush(note.notification, place, self._paused_for, is_final=False))

    def _resume(self) -> None:
        now = self._owner.now()
        if now < self.paused_until:
            self._sweep(now)
            self._owner.at(Millis(min(self.paused_until, now + SWEEP)), self, None, 0)
            return
        self.paused_until = Millis(0)
        self._window.begin_again()
        self._owner.wake(self)

    def _sweep(self, now: Millis) -> None:
        """End what expired while nothing leaves."""
        waiting, self._ready = self._ready, deque()
        for note in waiting:
            if now < note.notification.expires_at:
                self._ready.append(note)
                continue
            for place in note.places if note.holds_token else self._claim(note, note.places):
                self._expire(note, place)


def _word(reason: str) -> str:
    """Return a provider's word as it may stand in a database and an answer."""
    return reason[:REASON] if reason.isascii() else reason[:REASON].encode("ascii", "replace").decode()
