"""
The gateway's engine: what is accepted is on the disk, then attempted until it ended.

Callbacks, not tasks: a push costs one call to its provider and one call back. Lanes take turns, so that no app waits
for another's flood; a batch is committed for all of them together.
"""

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hushbell.core.delivery.backoff import Backoff
from hushbell.core.delivery.changes import DeadToken, IdempotentResponse
from hushbell.core.delivery.job import Job, JobProgress, JobResult
from hushbell.core.delivery.notification import Draft, Message, Notification, notifications
from hushbell.core.delivery.webhook import Webhook
from hushbell.errors import CallerError, Overloaded, StoreError
from hushbell.ports.clock import Clock
from hushbell.ports.outbox import Outbox
from hushbell.ports.provider import Provider
from hushbell.runtime.delivery.active_job import ActiveJob, ActiveNotification, Submission, Told
from hushbell.runtime.delivery.group_commit import GroupCommit
from hushbell.runtime.delivery.listeners import Listeners
from hushbell.runtime.delivery.provider_queue import ProviderQueue
from hushbell.types import SECONDS_PER_DAY, Millis, Random

SHARE = 32  # attempts a lane begins in one turn
TURN = 128  # attempts begun before the event loop sees to everything else
UNCOMMITTED = 64 * 1024 * 1024  # bytes that may wait for the disk; more is a disk that stands still
ROUGHLY = 512  # bytes of a push in memory besides what it says
REFILL = 16  # steps in which jobs are read from the disk, in one turn
REFILL_STEP = 4  # jobs
FULL_AFTER = 5.0  # seconds after which a caller may try a full queue again
IDLE = 60.0  # seconds between looks at the clock when nothing is known to become due

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What the engine knows of an app."""

    name: str
    providers: Mapping[str, Provider]
    queue: int = 1_000_000  # pushes that may be open: its share of the disk and of our memory
    ttl: int = SECONDS_PER_DAY  # seconds a push lives at most
    retries: int | None = None  # attempts after the first; None leaves it to the time to live


class DeliveryEngine:
    """Everything is handed in; ``run`` returns after ``stop``, when nothing is under way any more."""

    def __init__(
        self, *, queue: Outbox, apps: Sequence[App], clock: Clock, random: Random, backoff: Backoff | None = None
    ) -> None:
        self.apps = {app.name: app for app in apps}
        self.open: dict[str, int] = {app.name: 0 for app in apps}  # pushes without a final state, by app
        self.lanes: dict[tuple[str, str], ProviderQueue] = {}
        self.commits = GroupCommit(queue, self._stored)
        self.listeners: Listeners | None = None
        self._queue = queue
        self._clock = clock
        self._random = random
        self._backoff = backoff or Backoff()
        self._uncommitted = 0
        self._notifications_ended = 0
        self._works: dict[int, ActiveJob] = {}  # what is in memory, by the job's number
        self._longest = 1  # notifications in one of them, at most
        self._turns: deque[ProviderQueue] = deque()
        self._turning = False
        self._alarms: list[tuple[int, int, ProviderQueue, ActiveNotification | None, int]] = []
        self._alarm_count = 0
        self._alarm = asyncio.Event()
        self._stopping = False
        for app in apps:
            for name in app.providers:
                self._lane(app.name, name)

    def start(self) -> None:
        """
        Find what was open when the queue was closed. Called once, before anything is accepted.

        Raises:
            StoreUnavailable: the queue cannot be read.
        """
        for waiting in self._queue.open_jobs():
            self._lane(waiting.app, waiting.provider).spilled.append(waiting.number)
            self.open[waiting.app] = self.open.get(waiting.app, 0) + waiting.pushes
        for lane in self.lanes.values():
            self.wake(lane)

    def accept(
        self,
        app: str,
        drafts: Sequence[Draft],
        told: Told,
        *,
        hears: bool = False,
        repeatable: Callable[[Sequence[Job]], IdempotentResponse] | None = None,
    ) -> Submission:
        """See :meth:`hushbell.ports.delivery.Intake.accept`."""
        rules = self.apps[app]
        pushes = self._count(rules, drafts)
        if self._stopping or self.open[app] + pushes > rules.queue or self._uncommitted > UNCOMMITTED:
            raise Overloaded("the queue is full", FULL_AFTER)
        receipt = Submission(told, hears=hears)
        now = self._clock.now()
        works = [self._work(rules, part, receipt, now) for part in _by_provider(drafts)]
        receipt.jobs = [work.job for work in works]
        receipt.to_store = len(works)
        if hears:
            receipt.to_hear = pushes
        self.open[app] += pushes
        self._longest = max(self._longest, len(drafts))
        if repeatable is not None:
            self.commits.answer(repeatable(receipt.jobs))
        for work in works:
            self._uncommitted += work.size
            self.commits.add(work)
        return receipt

    def check(self, app: str, message: Message) -> None:
        """See :meth:`hushbell.ports.delivery.Intake.check`."""
        provider = self.apps[app].providers.get(message.provider)
        if provider is None:
            raise CallerError("provider", f"{message.provider} is not configured for this app")
        provider.check(message)

    def find(self, ident: bytes) -> tuple[int, JobResult | tuple[Job, JobProgress | None]] | None:
        """See :meth:`hushbell.ports.delivery.Intake.find`."""
        number = self._queue.number_of(ident)
        if number is None:
            return None
        for first in range(number, number - self._longest, -1):
            work = self._works.get(first)
            if work is not None and number < first + len(work.job.notifications):
                return number - first, (work.job, work.progress())
        found = self._queue.find(number)
        if found is None:
            return None
        return number - (found.number if isinstance(found, JobResult) else found[0].number), found

    def repeated(self, digest: bytes) -> IdempotentResponse | None:
        """See :meth:`hushbell.ports.delivery.Intake.repeated`."""
        return self._queue.repeatable(digest)

    def dead(self, app: str, after: int, limit: int) -> Sequence[DeadToken]:
        """See :meth:`hushbell.ports.delivery.Intake.dead`."""
        return self._queue.dead(app, after, limit)

    def hooks(self, app: str) -> Sequence[Webhook]:
        """See :meth:`hushbell.ports.delivery.Intake.hooks`."""
        return [hook for hook in self._queue.hooks() if hook.app == app]

    def save_hook(self, hook: Webhook) -> None:
        """See :meth:`hushbell.ports.delivery.Intake.save_hook`."""
        self._queue.save_hook(hook)
        self._hooks_changed()

    def drop_hook(self, name: str) -> None:
        """See :meth:`hushbell.ports.delivery.Intake.drop_hook`."""
        self._queue.drop_hook(name)
        self._hooks_changed()

    def _hooks_changed(self) -> None:
        if self.listeners is not None:
            self.listeners.reload()
            for lane in self.lanes.values():
                self.listeners.attach(lane)

    def tell(self, listeners: Listeners) -> None:
        """Have every lane tell its final states to whoever wants to hear of them."""
        self.listeners = listeners
        self._hooks_changed()

    @property
    def providers(self) -> Mapping[str, frozenset[str]]:
        """See :meth:`hushbell.ports.delivery.Intake.providers`."""
        return {name: frozenset(app.providers) for name, app in self.apps.items()}

    @property
    def all_lanes(self) -> Sequence[ProviderQueue]:
        """See :meth:`hushbell.ports.delivery.Intake.all_lanes`."""
        return tuple(self.lanes.values())

    @property
    def open_pushes(self) -> int:
        """See :meth:`hushbell.ports.delivery.Intake.open_pushes`."""
        return sum(self.open.values())

    @property
    def gauges(self) -> Mapping[str, float]:
        """See :meth:`hushbell.ports.delivery.Intake.gauges`."""
        return {
            "queue_open_pushes": self.open_pushes,
            "queue_uncommitted_bytes": self._uncommitted,
            "queue_commits": self.commits.commits,
            "queue_commit_failures": self.commits.failures,
            "queue_waiting_attempts": len(self._alarms),
            "queue_notifications_ended": self._notifications_ended,
        }

    async def run(self) -> None:
        """Go on after waits until stopped; then finish the attempts under way."""
        while not self._stopping:
            self._alarm.clear()
            wait = self._ring()
            if self._alarm.is_set():
                continue
            ringing = asyncio.ensure_future(self._alarm.wait())
            sleeping = asyncio.ensure_future(self._clock.sleep(wait))
            await asyncio.wait([ringing, sleeping], return_when=asyncio.FIRST_COMPLETED)
            ringing.cancel()
            sleeping.cancel()
        # Once in a program's life; an event would cost every push.
        while any(lane.in_flight for lane in self.lanes.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await self.commits.idle()

    def stop(self) -> None:
        """Accept nothing and begin no attempt any more."""
        self._stopping = True
        for lane in self.lanes.values():
            lane.is_stopped = True
        self._alarm.set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is open, under way or unwritten."""
        return not any(self.open.values()) and self.commits.is_idle

    # What lanes need.

    def now(self) -> Millis:
        """Return Unix time in milliseconds."""
        return self._clock.now()

    def jitter(self) -> float:
        """Return a number in [0, 1)."""
        return self._random(1)[0] / 256

    def wake(self, lane: ProviderQueue) -> None:
        """Give the lane its turns again."""
        if lane.has_turn or not (lane.may_begin or lane.wants_jobs):
            return
        lane.has_turn = True
        self._turns.append(lane)
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def at(self, when: Millis, lane: ProviderQueue, note: ActiveNotification | None, place: int) -> None:
        """Call :meth:`ProviderQueue.again` then."""
        self._alarm_count += 1
        heapq.heappush(self._alarms, (when, self._alarm_count, lane, note, place))
        if self._alarms[0][1] == self._alarm_count:
            self._alarm.set()

    def ended(self, work: ActiveJob, lane: ProviderQueue) -> None:
        """Every push of a job reached its final state."""
        del self._works[work.job.number]
        self.open[lane.app] -= work.pushes
        ended = work.ended(self._clock.now())
        self.commits.ended(ended)
        self._notifications_ended += len(ended.pushes)
        if lane.is_behind:
            self.wake(lane)

    def changed(self, work: ActiveJob) -> None:
        """Something of a job must go to the disk some time."""
        self.commits.changed(work)

    def died(self, dead: DeadToken) -> None:
        """A provider says that a token is dead."""
        self.commits.died(dead)

    # Inside.

    def _lane(self, app: str, provider: str) -> ProviderQueue:
        lane = self.lanes.get((app, provider))
        if lane is None:
            rules = self.apps.get(app)
            adapter = rules.providers.get(provider) if rules else None
            lane = self.lanes[app, provider] = ProviderQueue(self, app, provider, adapter, self._backoff)
            if self.listeners is not None:
                self.listeners.attach(lane)
        return lane

    @staticmethod
    def _count(rules: App, drafts: Sequence[Draft]) -> int:
        """Return how many pushes are asked for; raises CallerError for a provider that the app does not have."""
        pushes = 0
        for place, draft in enumerate(drafts):
            pushes += len(draft.targets)
            if draft.message.provider not in rules.providers:
                raise CallerError(f"[{place}].provider", f"{draft.message.provider} is not configured for this app")
        return pushes

    def _work(self, rules: App, drafts: Sequence[Draft], receipt: Submission, now: Millis) -> ActiveJob:
        first = self._queue.numbers(len(drafts))
        idents = self._queue.idents(first, len(drafts))
        notes = notifications(drafts, rules.name, idents, now, ttl=rules.ttl, retries=rules.retries)
        job = Job(first, rules.name, now, notes)
        return ActiveJob(job, _size(notes), receipt)

    def _stored(self, works: list[ActiveJob], error: StoreError | None) -> None:
        """Answer the callers of jobs that are on the disk, then begin to deliver them."""
        for work in works:
            self._uncommitted -= work.size
            assert work.receipt is not None
            work.receipt.stored(error)
            if error is not None:
                self.open[work.job.app] -= work.pushes
                continue
            self._take(work)

    def _take(self, work: ActiveJob) -> None:
        lane = self.lanes[work.job.app, work.job.provider]
        if lane.is_behind or not lane.has_room or self._stopping:
            lane.spill(work)
        else:
            self._works[work.job.number] = work
            lane.hold(work)
        if not lane.has_turn:
            self.wake(lane)

    def _turn(self) -> None:
        """Give each lane that can use it a share, until enough was begun."""
        self._turning = False
        left = TURN
        turns = self._turns
        while turns and left > 0:
            lane = turns.popleft()
            if lane.wants_jobs:
                self._refill(lane)
            left -= 1 + lane.begin(min(SHARE, left)) if lane.may_begin else 1
            if lane.may_begin or lane.wants_jobs:
                turns.append(lane)
            else:
                lane.has_turn = False
        if turns:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _refill(self, lane: ProviderQueue) -> None:
        """Read some of what is on the disk alone, not more than a turn of the event loop has time for."""
        pushes = 0
        for _ in range(REFILL):
            numbers = lane.spilled.take(REFILL_STEP)
            if not numbers or pushes >= TURN:
                lane.spilled.give_back(numbers)
                return
            try:
                found = self._queue.jobs(numbers)
            except StoreError as error:
                log.error("the queue cannot be read: %s", error)  # noqa: TRY400  the text names the cause
                lane.spilled.give_back(numbers)
                lane.pause_for_the_disk()
                return
            for job, progress in found:
                work = ActiveJob(job, _size(job.notifications), None, progress)
                self._works[job.number] = work
                self._longest = max(self._longest, len(job.notifications))
                lane.hold(work)
                pushes += work.pushes

    def _ring(self) -> float:
        """Wake whom it is time for, and return the seconds until the next."""
        now = self._clock.now()
        while self._alarms and self._alarms[0][0] <= now:
            _, _, lane, note, place = heapq.heappop(self._alarms)
            lane.again(note, place)
        return min(IDLE, max(0.0, (self._alarms[0][0] - now) / 1000)) if self._alarms else IDLE


def _size(notes: Sequence[Notification]) -> int:
    return sum([len(note.message.body) + ROUGHLY * len(note.targets) for note in notes])


def _by_provider(drafts: Sequence[Draft]) -> Sequence[Sequence[Draft]]:
    """Return the notifications in order, those of each provider together."""
    first = drafts[0].message.provider
    if len(drafts) == 1 or all(draft.message.provider == first for draft in drafts):
        return (drafts,)
    parts: dict[str, list[Draft]] = {}
    for draft in drafts:
        parts.setdefault(draft.message.provider, []).append(draft)
    return list(parts.values())
