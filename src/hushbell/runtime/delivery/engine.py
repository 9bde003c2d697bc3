"""
The delivery engine: what is on the disk is attempted until it has its final state.

Callbacks, not tasks: a push costs one call to its provider and one call back. One commit serves all provider queues.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hushbell.core.delivery.backoff import Backoff
from hushbell.core.delivery.changes import Changes, DeadToken, IdempotentResponse
from hushbell.core.delivery.job import DamagedJob, Job, JobOnDisk, JobResult
from hushbell.core.delivery.notification import Draft, Message, Notification, notifications
from hushbell.core.delivery.outcome import Outcome, Verdict
from hushbell.core.delivery.state import State
from hushbell.core.delivery.submission import Done, Submission
from hushbell.core.delivery.webhook import Webhook
from hushbell.errors import CallerError, HushbellError, Overloaded, StoreError
from hushbell.ports.clock import Clock
from hushbell.ports.delivery import FinalListener, Found, QueueStatus
from hushbell.ports.outbox import Outbox
from hushbell.ports.provider import Provider
from hushbell.runtime.delivery.active_job import ActiveJob
from hushbell.runtime.delivery.group_commit import GroupCommit
from hushbell.runtime.delivery.job_reader import JobReader
from hushbell.runtime.delivery.provider_queue import ProviderQueue
from hushbell.runtime.delivery.rounds import Rounds
from hushbell.runtime.delivery.timers import Timers
from hushbell.types import Millis, Random

MAX_UNCOMMITTED_BYTES = 64 * 1024 * 1024  # that wait for the disk; more is a disk that stands still
FULL_RETRY_AFTER = 5.0  # seconds after which a caller may try a full outbox again

_UNRENDERABLE = Outcome(Verdict.INVALID, "Unrenderable")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What the engine knows of an app."""

    name: str
    providers: Mapping[str, Provider]
    queue: int = 1_000_000  # pushes that may be open: its share of the disk and of our memory
    ttl: int = 86_400  # seconds a push lives at most
    retries: int | None = None  # attempts after the first; None leaves it to the time to live
    render: Callable[[Notification], Notification] | None = None  # messages that have a form; may raise


class DeliveryEngine:
    """Everything is handed in; ``run`` returns after ``stop``, when nothing is under way any more."""

    def __init__(
        self, *, outbox: Outbox, apps: Sequence[App], clock: Clock, random: Random, backoff: Backoff | None = None
    ) -> None:
        self.apps = {app.name: app for app in apps}
        self.open: dict[str, int] = {app.name: 0 for app in apps}  # pushes without a final state, by app
        self.queues: dict[tuple[str, str], ProviderQueue] = {}
        self.commits = GroupCommit(outbox, self._on_commit)
        self._listeners: list[FinalListener] = []
        self._outbox = outbox
        self._clock = clock
        self._random = random
        self._backoff = backoff or Backoff()
        self._timers = Timers(clock)
        self._prepared: dict[int, ActiveJob] = {}  # not on the disk yet, by the job's number
        self._doubtful: dict[int, int] = {}  # numbers that may be on the disk → pushes
        self._active: dict[int, ActiveJob] = {}  # on the disk and in memory, by the job's number
        self._uncommitted_bytes = 0
        self._notifications_ended = 0
        self._max_notifications = 1  # in one job of ``_active``
        self._reader = JobReader(outbox, self._on_found, self._on_missing)
        self._rounds = Rounds(self._reader)
        self._is_stopping = False
        for app in apps:
            for name in app.providers:
                self._queue(app.name, name)

    async def start(self) -> None:
        """
        Find what was open when the outbox was closed. Called once, before anything is accepted.

        Raises:
            StoreUnavailable: the outbox cannot be read.
        """
        await self._reload_webhooks()
        for job in await self._outbox.open_jobs():
            self._queue(job.app, job.provider).on_disk.append(job.number)
            self.open[job.app] = self.open.get(job.app, 0) + job.pushes
        for queue in self.queues.values():
            self._rounds.wake(queue)

    def add_listener(self, listener: FinalListener) -> None:
        """Have a listener act upon final states."""
        self._listeners.append(listener)
        self._attach_listeners()

    # The port Delivery; what each method does is said there.

    def prepare(self, app: str, drafts: Sequence[Draft]) -> Sequence[Job]:  # noqa: D102
        rules = self.apps[app]
        pushes = 0
        for index, draft in enumerate(drafts):
            pushes += len(draft.targets)
            if draft.message.provider not in rules.providers:
                raise CallerError(f"[{index}].provider", f"{draft.message.provider} is not configured for this app")
        if (
            self._is_stopping
            or self.open[app] + pushes > rules.queue
            or self._uncommitted_bytes > MAX_UNCOMMITTED_BYTES
        ):
            raise Overloaded("the queue is full", FULL_RETRY_AFTER)
        now = self._clock.now()
        jobs = [self._prepare_job(rules, part, now) for part in _by_provider(drafts)]
        self.open[app] += pushes
        self._max_notifications = max(self._max_notifications, len(drafts))
        return jobs

    def adopt(self, jobs: Sequence[Job]) -> None:  # noqa: D102
        for job in jobs:
            self._take_in(self._pop_prepared(job))

    def abandon(self, jobs: Sequence[Job], *, doubtful: bool = False) -> None:  # noqa: D102
        for job in jobs:
            active = self._pop_prepared(job)
            if doubtful:
                self._doubtful[job.number] = active.pushes
                queue = self._queue(job.app, job.provider)
                queue.leave_on_disk(active)
                self._rounds.wake(queue)
            else:
                self.open[job.app] -= active.pushes

    def submit(  # noqa: D102
        self,
        app: str,
        drafts: Sequence[Draft],
        done: Done,
        *,
        wait: bool = False,
        idempotent: Callable[[Sequence[Job]], IdempotentResponse] | None = None,
    ) -> Submission:
        jobs = self.prepare(app, drafts)
        submission = Submission(jobs, done, wait=wait)
        if idempotent is not None:
            self.commits.add_response(idempotent(jobs))
        for job in jobs:
            self._prepared[job.number].submission = submission
            self.commits.add_job(job)
        return submission

    def check(self, app: str, message: Message) -> None:  # noqa: D102
        provider = self.apps[app].providers.get(message.provider)
        if provider is None:
            raise CallerError("provider", f"{message.provider} is not configured for this app")
        provider.check(message)

    async def find(self, ident: bytes) -> Found | None:  # noqa: D102
        number = self._outbox.number_of(ident)
        if number is None:
            return None
        for first in range(number, number - self._max_notifications, -1):
            active = self._active.get(first)
            if active is not None and number < first + len(active.job.notifications):
                return number - first, JobOnDisk(active.job, active.progress())
        found = await self._outbox.find(number)
        if found is None:
            return None
        return number - (found.number if isinstance(found, JobResult) else found[0].number), found

    async def idempotent_response(self, key: bytes) -> IdempotentResponse | None:  # noqa: D102
        return await self._outbox.idempotent_response(key)

    async def dead_tokens(self, app: str, after: int, limit: int) -> Sequence[DeadToken]:  # noqa: D102
        return await self._outbox.dead_tokens(app, after, limit)

    async def webhooks(self, app: str) -> Sequence[Webhook]:  # noqa: D102
        return [webhook for webhook in await self._outbox.webhooks() if webhook.app == app]

    async def save_webhook(self, webhook: Webhook) -> None:  # noqa: D102
        await self._outbox.save_webhook(webhook)
        await self._reload_webhooks()

    async def drop_webhook(self, name: str) -> None:  # noqa: D102
        await self._outbox.drop_webhook(name)
        await self._reload_webhooks()

    @property
    def providers(self) -> Mapping[str, frozenset[str]]:  # noqa: D102
        return {name: frozenset(app.providers) for name, app in self.apps.items()}

    @property
    def queue_statuses(self) -> Sequence[QueueStatus]:  # noqa: D102
        return [queue.status for queue in self.queues.values()]

    @property
    def gauges(self) -> Mapping[str, float]:  # noqa: D102
        return {
            "queue_open_pushes": sum(self.open.values()),
            "queue_uncommitted_bytes": self._uncommitted_bytes,
            "queue_commits": self.commits.commits,
            "queue_commit_failures": self.commits.failures,
            "queue_waiting_attempts": len(self._timers),
            "queue_notifications_ended": self._notifications_ended,
            "outbox_rows_quarantined": self._outbox.rows_quarantined,
        }

    # Life.

    async def run(self) -> None:
        """Go on after waits until stopped; then finish the attempts under way."""
        while not self._is_stopping:
            await self._timers.wait()
        # Once in a program's life; an event would cost every push.
        while not self._reader.is_idle or any(queue.in_flight for queue in self.queues.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await self.commits.idle()

    def stop(self) -> None:
        """Accept nothing and begin no attempt any more."""
        self._is_stopping = True
        for queue in self.queues.values():
            queue.is_stopped = True
        self._timers.interrupt()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is open, under way or unwritten."""
        return not any(self.open.values()) and self.commits.is_idle

    # Inside.

    def _on_job_end(self, active: ActiveJob, queue: ProviderQueue) -> None:
        """Commit the result of a job whose pushes all have their final state."""
        del self._active[active.job.number]
        self.open[queue.app] -= active.pushes
        result = active.result(self._clock.now())
        self.commits.add_result(result)
        self._notifications_ended += len(result.pushes)
        if queue.is_behind:
            self._rounds.wake(queue)

    def _queue(self, app: str, provider: str) -> ProviderQueue:
        queue = self.queues.get((app, provider))
        if queue is None:
            rules = self.apps.get(app)
            adapter = rules.providers.get(provider) if rules else None
            queue = self.queues[app, provider] = ProviderQueue(
                app,
                provider,
                adapter,
                clock=self._clock,
                random=self._random,
                backoff=self._backoff,
                timers=self._timers,
                commits=self.commits,
                wake=self._rounds.wake,
                on_job_end=self._on_job_end,
            )
            queue.listeners = [listener for listener in self._listeners if listener.has_interest(app)]
        return queue

    async def _reload_webhooks(self) -> None:
        webhooks = await self._outbox.webhooks()
        for listener in self._listeners:
            listener.on_webhooks_changed(webhooks)
        self._attach_listeners()

    def _attach_listeners(self) -> None:
        for queue in self.queues.values():
            queue.listeners = [listener for listener in self._listeners if listener.has_interest(queue.app)]

    def _prepare_job(self, rules: App, drafts: Sequence[Draft], now: Millis) -> Job:
        first, idents = self._outbox.reserve(len(drafts))
        named = notifications(drafts, rules.name, idents, now, ttl=rules.ttl, retries=rules.retries)
        job = Job(first, rules.name, now, named)
        active = self._prepared[first] = ActiveJob(job)
        self._uncommitted_bytes += active.size
        return job

    def _pop_prepared(self, job: Job) -> ActiveJob:
        active = self._prepared.pop(job.number)
        self._uncommitted_bytes -= active.size
        return active

    def _on_commit(self, jobs: Sequence[Job], error: StoreError | None) -> None:
        """Answer the callers of submitted jobs, then begin to deliver those that are on the disk."""
        for job in jobs:
            active = self._pop_prepared(job)
            assert active.submission is not None
            active.submission.count_stored(error)
            if error is None:
                self._take_in(active)
            else:
                self.open[job.app] -= active.pushes

    def _take_in(self, active: ActiveJob) -> None:
        """Deliver a job that is on the disk, or leave it there until memory has room for it."""
        queue = self.queues[active.job.app, active.job.provider]
        if queue.is_behind or queue.is_full or self._is_stopping:
            queue.leave_on_disk(active)
        else:
            self._activate(active, queue)
        if not queue.is_in_round:
            self._rounds.wake(queue)

    def _activate(self, active: ActiveJob, queue: ProviderQueue) -> None:
        self._active[active.job.number] = active
        rules = self.apps.get(queue.app)
        if rules is not None and rules.render is not None:
            try:
                active.render(rules.render)
            except HushbellError as error:
                log.error("job %d cannot be rendered: %s", active.job.number, error)  # noqa: TRY400
                queue.refuse(active, _UNRENDERABLE)
                return
        queue.take_in(active)

    def _on_found(self, queue: ProviderQueue, row: JobOnDisk | DamagedJob) -> None:
        """Deliver a job that was read; end the pushes of a damaged one, and have its row put aside."""
        self._doubtful.pop(row.number, None)
        if isinstance(row, JobOnDisk):
            self._max_notifications = max(self._max_notifications, len(row.job.notifications))
            self._activate(ActiveJob(*row), queue)
        else:
            self.open[queue.app] -= row.pushes
            queue.counts[State.FAILED] += max(0, row.pushes)
            self.commits.add(Changes(quarantined=[row]))

    def _on_missing(self, queue: ProviderQueue, number: int) -> None:
        """Free the share of a job whose failed commit left nothing on the disk."""
        self.open[queue.app] -= self._doubtful.pop(number, 0)


def _by_provider(drafts: Sequence[Draft]) -> Sequence[Sequence[Draft]]:
    """Return the drafts in order, those of each provider together."""
    first = drafts[0].message.provider
    if len(drafts) == 1 or all(draft.message.provider == first for draft in drafts):
        return (drafts,)
    parts: dict[str, list[Draft]] = {}
    for draft in drafts:
        parts.setdefault(draft.message.provider, []).append(draft)
    return list(parts.values())
