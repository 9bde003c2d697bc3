"""
Group commit: what waits together goes to the disk together, and outcomes ride along.

While one commit is being synced everything that comes is the next one, so that a busy gateway gathers by itself. One
that is neither idle nor busy waits a moment for more: a sync costs far more than a row. An idle one never waits.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hushbell.core.delivery.changes import Changes, IdempotentResponse
from hushbell.core.delivery.job import Job, JobResult
from hushbell.errors import StoreError, StoreUnavailable
from hushbell.ports.outbox import Outbox
from hushbell.runtime.delivery.active_job import ActiveJob

MAX_GATHER_DELAY = 0.0025  # seconds that a job waits for others
MIN_GATHER_RATE = 300.0  # jobs a second; below it a job goes to the disk at once
MIN_TOGETHER = 4  # jobs that wait for no more, or as many as came together last time
RIDE_ALONG_DELAY = 0.005  # seconds that outcomes wait for jobs to ride along with
PROGRESS_DELAY = 0.05  # seconds until the disk knows what came of a part of a job
STORE_PAUSE = 0.5  # seconds before outcomes are written again after the store failed
RATE_MEMORY = 0.9  # of the rate of jobs, how much is remembered from one commit to the next
FRESH_RATE_AFTER = 0.1  # seconds without a commit after which the rate before is forgotten

log = logging.getLogger(__name__)


class Commit(NamedTuple):
    """One commit, and who waits for it."""

    changes: Changes
    on_disk: Sequence[Callable[[], None]]


class GroupCommit:
    """Gathers changes; one commit is under way at a time."""

    def __init__(self, outbox: Outbox, on_jobs: Callable[[Sequence[Job], StoreError | None], None]) -> None:
        """``on_jobs`` gets the jobs of each commit, and the error if nothing of it was written."""
        self._outbox = outbox
        self._on_jobs = on_jobs
        self._changes = Changes()
        self._dirty: list[ActiveJob] = []
        self._on_disk: list[Callable[[], None]] = []
        self._under_way: Commit | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._rate = 0.0  # jobs a second
        self._flushed_at = 0.0
        self._first_at = 0.0  # when the first of the jobs came
        self._target = MIN_TOGETHER  # jobs that leave without waiting for more
        self.failures = 0
        self.commits = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for the disk."""
        return self._under_way is None and not self._dirty and self._changes.is_empty

    def add_job(self, job: Job) -> None:
        """Commit a new job."""
        jobs = self._changes.jobs
        jobs.append(job)
        if len(jobs) == 1:
            self._first_at = asyncio.get_running_loop().time()
        # Jobs between the first and the target change nothing.
        if self._under_way is None and (len(jobs) == 1 or len(jobs) == self._target):
            self._schedule_jobs()

    def add_response(self, response: IdempotentResponse) -> None:
        """Commit the answer to a request with the jobs of the request, which are added next."""
        self._changes.responses.append(response)

    def add_result(self, result: JobResult) -> None:
        """Commit how a job ended."""
        self._changes.results.append(result)
        if self._timer is None and self._under_way is None:
            self._schedule(RIDE_ALONG_DELAY)

    def add_progress(self, active: ActiveJob) -> None:
        """Commit how far a job is, if it has not ended by then."""
        if not active.is_dirty:
            active.is_dirty = True
            self._dirty.append(active)
            self._schedule(PROGRESS_DELAY)

    def add(self, changes: Changes, delay: float = RIDE_ALONG_DELAY) -> None:
        """Commit further changes, without jobs, after at most ``delay`` seconds."""
        self._changes.extend(changes)
        self._schedule(delay)

    def call_when_stored(self, callback: Callable[[], None]) -> None:
        """Call back when what was added until now is on the disk."""
        self._on_disk.append(callback)
        self._schedule(PROGRESS_DELAY)

    async def idle(self) -> None:
        """Return when everything that was added is on the disk."""
        while not self.is_idle:
            self._idle.clear()
            self.flush()
            await self._idle.wait()

    def flush(self) -> None:
        """Commit what there is now, unless a commit is under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._under_way is not None:
            return
        if self._dirty:
            self._gather_progress()
        changes = self._changes
        if changes.is_empty:
            return
        self._measure_rate(len(changes.jobs))
        self._under_way = Commit(changes, self._on_disk)
        self._changes, self._on_disk = Changes(), []
        self.commits += 1
        try:
            self._outbox.commit(changes, self._on_commit)
        except (ValueError, TypeError, StoreError) as error:
            # The text of a foreign error may carry the value it is about.
            self._on_commit(StoreUnavailable(f"a value cannot be written ({type(error).__name__})"))

    def _measure_rate(self, jobs: int) -> None:
        now = asyncio.get_running_loop().time()
        elapsed = max(now - self._flushed_at, 1e-4)
        rate = jobs / elapsed
        # A long pause is forgotten at once, or the first request after it would wait for others in vain.
        self._rate = rate if elapsed > FRESH_RATE_AFTER else self._rate * RATE_MEMORY + rate * (1 - RATE_MEMORY)
        self._flushed_at = now
        self._target = max(MIN_TOGETHER, jobs)

    def _gather_progress(self) -> None:
        for active in self._dirty:
            active.is_dirty = False
            if active.left:
                self._changes.progress.append(active.progress())
        self._dirty = []

    def _on_commit(self, error: StoreError | None) -> None:
        assert self._under_way is not None
        (changes, on_disk), self._under_way = self._under_way, None
        jobs = changes.jobs
        if error is None:
            for callback in on_disk:
                callback()
        else:
            self.failures += 1
            log.error("the queue cannot be written: %s", error)
            # Jobs and the answers to their requests are repeated by their callers; nobody would repeat the rest.
            changes.jobs, changes.responses = [], []
            changes.extend(self._changes)
            self._changes = changes
            self._on_disk[:0] = on_disk
        if jobs:
            self._on_jobs(jobs, error)
        if self._changes.jobs:
            self._schedule_jobs()
        elif self._dirty or not self._changes.is_empty:
            self._schedule(STORE_PAUSE if error is not None else RIDE_ALONG_DELAY)
        if self.is_idle:
            self._idle.set()

    def _schedule_jobs(self) -> None:
        """Commit the jobs that wait: at once if no others are expected, or if there are enough."""
        if len(self._changes.jobs) >= self._target or self._rate < MIN_GATHER_RATE:
            self._schedule(0.0)
        else:
            # What came during the last commit has waited for a while.
            self._schedule(max(0.0, self._first_at + MAX_GATHER_DELAY - asyncio.get_running_loop().time()))

    def _schedule(self, delay: float) -> None:
        """Commit after that many seconds, or earlier if that was scheduled."""
        if self._under_way is not None:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + delay
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = loop.call_later(delay, self.flush)
