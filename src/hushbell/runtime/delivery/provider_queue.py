"""
One app's pushes to one provider.

A slow or failing provider delays no other queue. core.delivery.flow decides when to send, pause, retry and give up,
core.delivery.token_order the order within a token.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from hushbell.core.delivery.backoff import Backoff
from hushbell.core.delivery.changes import Changes, DeadToken
from hushbell.core.delivery.flow import ProviderFlow
from hushbell.core.delivery.number_queue import NumberQueue
from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Verdict
from hushbell.core.delivery.state import State
from hushbell.core.delivery.submission import FailedPush
from hushbell.core.delivery.token_order import TokenOrder
from hushbell.ports.clock import Clock
from hushbell.ports.delivery import FinalListener, QueueStatus
from hushbell.ports.provider import Attempt, Provider
from hushbell.runtime.delivery.active_job import ActiveJob, ActiveNotification
from hushbell.runtime.delivery.group_commit import GroupCommit
from hushbell.runtime.delivery.send_guard import guard_send
from hushbell.runtime.delivery.timers import Timers
from hushbell.types import Millis, Random

MAX_IN_MEMORY = 16_384  # pushes of one queue; more stay on the disk alone
MAX_BYTES_IN_MEMORY = 32 * 1024 * 1024  # of one queue
CALLER_PATIENCE_MS = 5_000  # of a pause; if it is longer, callers do not wait for first attempts
EXPIRY_INTERVAL_MS = 5_000  # between searches for expired pushes while a queue is paused, at most
MIN_EXPIRY_INTERVAL_MS = 250  # a search looks at every push in memory

# Reading a member of an enumeration takes a tenth of a microsecond, and a push needs ten.
_STORED, _SENDING, _ACCEPTED, _IS_ACCEPTED = State.STORED, State.SENDING, State.ACCEPTED, Verdict.ACCEPTED

_EXPIRED = Outcome(Verdict.RETRY, "Expired")
_STORE_UNAVAILABLE = Outcome(Verdict.RETRY, "StoreUnavailable")

log = logging.getLogger(__name__)


class ProviderQueue:
    """The pushes of one app to one provider."""

    def __init__(
        self,
        app: str,
        name: str,
        provider: Provider | None,
        *,
        clock: Clock,
        random: Random,
        backoff: Backoff,
        timers: Timers,
        commits: GroupCommit,
        wake: "Callable[[ProviderQueue], None]",
        on_job_end: "Callable[[ActiveJob, ProviderQueue], None]",
    ) -> None:
        """``wake`` puts the queue into the round; ``on_job_end`` gets each job whose pushes all have a final state."""
        self.app = app
        self.name = name
        self.provider = provider
        self.listeners: Sequence[FinalListener] = ()
        self.on_disk = NumberQueue()  # jobs that are on the disk alone, oldest first
        self.in_memory = 0  # pushes in memory that have no final state
        self.bytes_in_memory = 0
        self.in_flight = 0
        self.is_in_round = False  # the engine will call send_next
        self.is_reading = False  # jobs are on their way from the disk
        self.is_stopped = False
        self.counts = [0] * len(State)  # pushes by their states since the start; that of STORED counts attempts
        self._send = guard_send(provider)
        self._clock = clock
        self._random = random
        self._timers = timers
        self._commits = commits
        self._wake = wake
        self._on_job_end = on_job_end
        self._flow = ProviderFlow(backoff)
        self._ready: deque[ActiveNotification] = deque()
        self._order: TokenOrder[ActiveNotification] = TokenOrder()

    @property
    def status(self) -> QueueStatus:
        """Return its figures."""
        expires_at = None if self.provider is None else self.provider.credential_expires_at
        is_paused = self._flow.pause is not None
        return QueueStatus(self.app, self.name, tuple(self.counts), self.in_flight, is_paused, expires_at)

    @property
    def is_behind(self) -> bool:
        """Whether the disk holds jobs that memory does not."""
        return self.on_disk.left > 0 or self.is_reading

    @property
    def is_full(self) -> bool:
        """Whether memory may hold no more."""
        return self.in_memory >= MAX_IN_MEMORY or self.bytes_in_memory >= MAX_BYTES_IN_MEMORY

    @property
    def may_send(self) -> bool:
        """Whether attempts can be begun."""
        flow = self._flow
        return bool(self._ready) and self.in_flight < flow.window.size and not self.is_stopped and flow.pause is None

    @property
    def may_read(self) -> bool:
        """Whether it is time to read jobs from the disk."""
        pause = self._flow.pause
        return (
            self.on_disk.left > 0
            and (pause is None or pause.outcome is not _STORE_UNAVAILABLE)
            and not self.is_reading
            and not self.is_stopped
            and self.in_memory * 2 < MAX_IN_MEMORY
            and self.bytes_in_memory * 2 < MAX_BYTES_IN_MEMORY
        )

    def leave_on_disk(self, active: ActiveJob) -> None:
        """Keep only the number of a job that is on the disk; jobs are read later in the order of these calls."""
        self.on_disk.append(active.job.number)
        if active.submission is not None:
            active.submission.finish()

    def pause_for_store(self) -> None:
        """Pause after the disk could not be read."""
        now = self._clock.now()
        if self._flow.begin_pause(_STORE_UNAVAILABLE, now, self._jitter()) is not None:
            self._on_pause(now)

    def take_in(self, active: ActiveJob) -> None:
        """Queue what is left of a job."""
        self.in_memory += active.left
        self.bytes_in_memory += active.size
        items = active.items()
        self._ready.extend(items)
        if self._flow.pause is not None and active.submission is not None:
            self._release_callers(items)
        if not active.left:
            self._end(active)

    def refuse(self, active: ActiveJob, outcome: Outcome) -> None:
        """Give every push that is left of a job the state FAILED, without an attempt."""
        self.in_memory += active.left
        self.bytes_in_memory += active.size
        for item in active.items():
            for index in item.indexes:
                self._finish(item, index, State.FAILED, outcome, holds_token=False)

    def send_next(self, budget: int) -> int:
        """Begin at most ``budget`` attempts; return how many."""
        begun = 0
        now = self._clock.now()
        ready, flow = self._ready, self._flow
        attempts: list[Attempt] = []
        while ready and begun < budget and self.in_flight < flow.window.size and flow.pause is None:
            item = ready[0]
            indexes = item.indexes
            room = 1 if len(indexes) == 1 else min(budget - begun, flow.room(self.in_flight))
            if len(indexes) <= room:
                ready.popleft()
                item.indexes = ()
            else:
                indexes, item.indexes = indexes[:room], indexes[room:]
            notification = item.notification
            free = indexes if item.holds_token else self._order.acquire(item, notification.targets, indexes)
            if now >= notification.expires_at:
                for index in free:
                    self._expire(item, index)
            elif free:
                begun += len(free)
                self.in_flight += len(free)
                item.begin_attempts(free)
                attempts.append(Attempt(notification, free, partial(self._on_outcome, item)))
        if attempts:
            self.counts[_STORED] += begun
            self._send(attempts)
        return begun

    def _on_outcome(self, item: ActiveNotification, index: int, outcome: Outcome) -> None:
        """Handle the outcome of one attempt."""
        active = item.active
        position = item.offset + index
        if active.states[position] != _SENDING:
            log.error("provider %s reported the outcome of a push twice", self.name)
            return
        self.in_flight -= 1
        if outcome.verdict is _IS_ACCEPTED:
            flow = self._flow
            flow.accepted += 1
            if self.in_flight + 1 >= flow.window.size:
                flow.window.grow()
            if active.submission is not None and active.attempts[position] == 1:
                active.submission.count_attempted()
            self._finish(item, index, _ACCEPTED, ACCEPTED)
        else:
            self._on_failure(item, index, outcome)
        if self._ready and not self.is_in_round:
            self._wake(self)

    def _retry(self, item: ActiveNotification, index: int) -> None:
        """Attempt a push again, before everything else. It still holds its token, so that nothing overtakes it."""
        alone = ActiveNotification(item.active, item.notification, item.offset, [index])
        alone.holds_token = True
        self._ready.appendleft(alone)
        self._wake(self)

    def _check_pause(self) -> None:
        """End the pause if its time is over; until then, end the pushes that expired."""
        now = self._clock.now()
        if self._flow.resumed(now):
            self._wake(self)
            return
        self._end_expired(now)
        self._wake_in_pause(now)

    def _jitter(self) -> float:
        """Return a number in [0, 1)."""
        return self._random(1)[0] / 256

    def _on_failure(self, item: ActiveNotification, index: int, outcome: Outcome) -> None:
        now = self._clock.now()
        active, notification, position = item.active, item.notification, item.offset + index
        failed = self._flow.failed(
            outcome,
            attempts=active.attempts[position],
            retries=notification.retries,
            expires_at=notification.expires_at,
            now=now,
            jitter=self._jitter(),
        )
        outcome, state = failed.outcome, failed.state
        if outcome.verdict is Verdict.MISCONFIGURED:
            log.error("pushes of an app are held: %s refuses its configuration (%s)", self.name, outcome.reason)
        if failed.pause is not None:
            self._on_pause(now)
        if active.submission is not None and active.attempts[position] == 1:
            is_final = state is not None
            active.submission.count_attempted(FailedPush(notification, index, outcome, is_final))
        outcome = outcome.printable()
        if state is None:
            self._wait(item, index, outcome.reason, failed.retry_at)
            return
        if state is State.DEAD_TOKEN:
            token = notification.targets[index]
            dead = DeadToken(self.app, self.name, token, outcome.reason, outcome.since, now)
            self._commits.add(Changes(dead_tokens=[dead]))
        self._finish(item, index, state, outcome)

    def _wait(self, item: ActiveNotification, index: int, reason: str, retry_at: Millis | None) -> None:
        """Attempt a push again at that time, or after the pause. It still holds its token."""
        active, position = item.active, item.offset + index
        active.states[position] = State.RETRYING
        active.reasons[position] = reason
        self.counts[State.RETRYING] += 1
        self._commits.add_progress(active)
        if retry_at is None:
            self._retry(item, index)
        else:
            self._timers.call_at(retry_at, partial(self._retry, item, index))

    def _expire(self, item: ActiveNotification, index: int) -> None:
        active, position = item.active, item.offset + index
        if active.submission is not None and not active.attempts[position]:
            active.submission.count_attempted(FailedPush(item.notification, index, _EXPIRED, is_final=True))
        self._finish(item, index, State.EXPIRED, Outcome(Verdict.RETRY, active.reasons.get(position, "")))

    def _finish(
        self, item: ActiveNotification, index: int, state: State, outcome: Outcome, *, holds_token: bool = True
    ) -> None:
        """Give a push its final state, and let the next one to its token go."""
        if holds_token:
            order, token = self._order, item.notification.targets[index]
            if not order.waiting:
                order.held.discard(token)
            elif (behind := order.release(token)) is not None:
                self._retry(*behind)
        active, position = item.active, item.offset + index
        active.states[position] = state
        if outcome.reason:
            active.reasons[position] = outcome.reason
        elif active.reasons:
            active.reasons.pop(position, None)
        active.left -= 1
        self.in_memory -= 1
        self.counts[state] += 1
        for listener in self.listeners:
            changes = listener.on_final(item.notification, index, state, outcome, active.attempts[position])
            if changes is not None:
                self._commits.add(changes)
        if not active.left:
            self._end(active)
        elif not active.is_dirty:
            self._commits.add_progress(active)

    def _end(self, active: ActiveJob) -> None:
        self.bytes_in_memory -= active.size
        self._on_job_end(active, self)

    def _on_pause(self, now: Millis) -> None:
        self._release_callers(self._ready)
        self._wake_in_pause(now)

    def _wake_in_pause(self, now: Millis) -> None:
        assert self._flow.pause is not None
        next_expiry = min((item.notification.expires_at for item in self._ready), default=now + EXPIRY_INTERVAL_MS)
        next_search = min(max(next_expiry, now + MIN_EXPIRY_INTERVAL_MS), now + EXPIRY_INTERVAL_MS)
        self._timers.call_at(Millis(min(self._flow.pause.until, next_search)), self._check_pause)

    def _release_callers(self, items: Iterable[ActiveNotification]) -> None:
        """Report to callers who wait for first attempts that a pause delays those, and why."""
        pause = self._flow.pause
        if pause is None or pause.until - self._clock.now() < CALLER_PATIENCE_MS:
            return
        for item in items:
            submission = item.active.submission
            if submission is None or not submission.to_attempt:
                continue
            for index in item.indexes:
                if not item.active.attempts[item.offset + index]:
                    submission.count_attempted(FailedPush(item.notification, index, pause.outcome, is_final=False))

    def _end_expired(self, now: Millis) -> None:
        """End the pushes that expired while nothing is sent."""
        waiting, self._ready = self._ready, deque()
        for item in waiting:
            if now < item.notification.expires_at:
                self._ready.append(item)
                continue
            targets, indexes = item.notification.targets, item.indexes
            for index in indexes if item.holds_token else self._order.acquire(item, targets, indexes):
                self._expire(item, index)
