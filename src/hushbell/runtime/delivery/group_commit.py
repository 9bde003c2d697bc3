"""
Group commit: what waits together goes to the disk together, and outcomes ride along.

While one batch is being synced everything that comes is the next one, so that a busy gateway gathers by itself. One
that is neither idle nor busy waits a moment for company: a sync costs far more than a row. An idle one never waits.
"""

import asyncio
import logging
from collections.abc import Callable

from hushbell.core.delivery.changes import Changes, DeadToken, IdempotentResponse
from hushbell.core.delivery.job import JobResult
from hushbell.core.delivery.webhook import WebhookEvent
from hushbell.errors import StoreError, StoreUnavailable
from hushbell.ports.outbox import Outbox
from hushbell.runtime.delivery.active_job import ActiveJob

GATHER = 0.0025  # seconds that a job waits for company at most
GATHER_ABOVE = 300.0  # jobs a second; below it a job goes to the disk at once
COMPANY = 4  # jobs that are company enough, or as many as came together last time
LINGER = 0.005  # seconds that outcomes wait for jobs to ride along with
PROGRESS = 0.05  # seconds until the disk knows what came of a part of a job
STORE_PAUSE = 0.5  # seconds before outcomes are written again after the store failed
RATE_MEMORY = 0.9  # of the rate of jobs, how much is remembered from one commit to the next

log = logging.getLogger(__name__)


class GroupCommit:
    """Gathers batches; one is under way at a time."""

    def __init__(self, queue: Outbox, stored: Callable[[list[ActiveJob], StoreError | None], None]) -> None:
        """``stored`` is told what a commit made of its jobs."""
        self._queue = queue
        self._stored = stored
        self._batch = Changes()
        self._works: list[ActiveJob] = []
        self._dirty: list[ActiveJob] = []
        self._thens: list[Callable[[], None]] = []
        self._under_way: tuple[Changes, list[ActiveJob], list[Callable[[], None]]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._rate = 0.0  # jobs a second
        self._kicked_at = 0.0
        self._first_at = 0.0  # when the first of the jobs came
        self._enough = COMPANY  # jobs that do not wait for more
        self.failures = 0
        self.commits = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for the disk."""
        return self._under_way is None and self._batch.is_empty and not self._dirty

    def add(self, work: ActiveJob) -> None:
        """Write a new job."""
        works = self._works
        self._batch.jobs.append(work.job)
        works.append(work)
        if len(works) == 1:
            self._first_at = asyncio.get_running_loop().time()
        # Between the first one and the one that is company enough nothing changes.
        if self._under_way is None and (len(works) == 1 or len(works) == self._enough):
            self._plan()

    def ended(self, ended: JobResult) -> None:
        """Write how a job ended."""
        self._batch.ended.append(ended)
        if self._timer is None and self._under_way is None:
            self._later(LINGER)

    def changed(self, work: ActiveJob) -> None:
        """Write how far a job is, if it goes on."""
        if not work.is_dirty:
            work.is_dirty = True
            self._dirty.append(work)
            self._later(PROGRESS)

    def died(self, dead: DeadToken) -> None:
        """Write a dead token down, with the outcome that said so."""
        self._batch.dead.append(dead)
        self._later(LINGER)

    def tell(self, event: WebhookEvent) -> None:
        """Write an event for a hook."""
        self._batch.events.append(event)
        self._later(LINGER)

    def told(self, number: int) -> None:
        """Forget an event."""
        self._batch.told.append(number)
        self._later(PROGRESS)

    def defer(self, event: WebhookEvent) -> None:
        """Write down when a hook is told again."""
        self._batch.deferred.append(event)
        self._later(PROGRESS)

    def answer(self, answer: IdempotentResponse) -> None:
        """Write the answer to a request with the jobs of the request, which are added next."""
        self._batch.answers.append(answer)

    def after(self, then: Callable[[], None]) -> None:
        """Call back when what was added until now is on the disk."""
        self._thens.append(then)
        self._later(PROGRESS)

    async def idle(self) -> None:
        """Return when everything that was added is on the disk."""
        while not self.is_idle:
            self._idle.clear()
            self.kick()
            await self._idle.wait()

    def kick(self) -> None:
        """Commit what there is now, unless a commit is under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._under_way is not None:
            return
        self._add_progress()
        if self._batch.is_empty:
            return
        now = asyncio.get_running_loop().time()
        elapsed = max(now - self._kicked_at, 1e-4)
        fresh = len(self._works) / elapsed
        # A long pause is forgotten at once, or the first request after it would wait for company in vain.
        self._rate = fresh if elapsed > 0.1 else self._rate * RATE_MEMORY + fresh * (1 - RATE_MEMORY)
        self._kicked_at = now
        self._enough = max(COMPANY, len(self._works))
        batch, works = self._batch, self._works
        self._under_way = (batch, works, self._thens)
        self._batch, self._works, self._thens = Changes(), [], []
        self.commits += 1
        try:
            self._queue.commit(batch, self._done)
        except (ValueError, TypeError, StoreError) as error:
            # The text of a foreign error may carry the value it is about.
            self._done(StoreUnavailable(f"a value cannot be written ({type(error).__name__})"))

    def _add_progress(self) -> None:
        if self._dirty:
            for work in self._dirty:
                work.is_dirty = False
                if work.left:
                    self._batch.progress.append(work.progress())
            self._dirty = []

    def _done(self, error: StoreError | None) -> None:
        assert self._under_way is not None
        (batch, works, thens), self._under_way = self._under_way, None
        if error is not None:
            self.failures += 1
            log.error("the queue cannot be written: %s", error)
            self._keep(batch)
            self._thens[:0] = thens
        else:
            for then in thens:
                then()
        if works:
            self._stored(works, error)
        if self._works:
            self._plan()
        elif not self._batch.is_empty or self._dirty:
            self._later(STORE_PAUSE if error is not None else LINGER)
        if self.is_idle:
            self._idle.set()

    def _keep(self, failed: Changes) -> None:
        """Write again what nobody else would: everything but the jobs and their answers, which their callers repeat."""
        batch = self._batch
        batch.ended[:0] = failed.ended
        batch.dead[:0] = failed.dead
        batch.events[:0] = failed.events
        batch.told[:0] = failed.told
        batch.deferred[:0] = failed.deferred
        batch.progress[:0] = failed.progress

    def _plan(self) -> None:
        """Commit the jobs that wait: at once if nobody else is expected, or if there is company enough."""
        if len(self._works) >= self._enough or self._rate < GATHER_ABOVE:
            self._later(0.0)
        else:
            # What came during the last commit has waited for a while.
            self._later(max(0.0, self._first_at + GATHER - asyncio.get_running_loop().time()))

    def _later(self, wait: float) -> None:
        """Commit after that many seconds, or earlier if that was planned."""
        if self._under_way is not None:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + wait
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = loop.call_later(wait, self.kick)
