"""What each part of a batch changes in the tables of the queue."""

from collections.abc import Iterable, Sequence
from typing import Any

from hushbell.core.delivery.changes import Changes
from hushbell.core.delivery.job import JobResult
from hushbell.stores.at_rest import AtRest
from hushbell.stores.sqlite.outbox_rows import pack_dead, pack_event, pack_job, pack_progress, pack_run
from hushbell.stores.sqlite.queue_writer import Step
from hushbell.types import MILLIS_PER_DAY

ERASE_EVERY = 256  # jobs that ended; erasing many at once costs a fraction, and no token outlives its job for long
RUN = 1024  # jobs in one row of ends; a look-up unpacks one row

_JOB = "INSERT INTO jobs (number, app, provider, pushes, sealed) VALUES"
_PROGRESS = "INSERT OR REPLACE INTO progress (number, packed) VALUES"
_NO_PROGRESS = "DELETE FROM progress WHERE number = ?"
_ENDED = "INSERT INTO ended (number, last, day, packed) VALUES"
_ERASE = "DELETE FROM jobs WHERE number BETWEEN ? AND ?"
_DEAD = "INSERT INTO dead (app, at, sealed) VALUES"
_EVENT = "INSERT INTO events (hook, at, due_at, attempts, sealed) VALUES"
_TOLD = "DELETE FROM events WHERE number = ?"
_DEFER = "UPDATE events SET attempts = ?, due_at = ? WHERE number = ?"
_ANSWER = "INSERT OR IGNORE INTO answers (digest, day, at, request, answer) VALUES"


def row_name(number: int) -> bytes:
    """Return what a job is sealed for."""
    return number.to_bytes(8, "big")


class QueueWrites:
    """Turns batches into steps. Remembers which ended jobs are still to be erased."""

    def __init__(self, at_rest: AtRest) -> None:
        self._seal = at_rest.seal
        self._with_progress: set[int] = set()
        self._ended_runs: list[tuple[int, int]] = []  # first and last number
        self._ended: set[int] = set()  # jobs that are still on the disk
        self._erased: set[int] = set()  # jobs that may still be, until the commit that erases them returned

    def has_ended(self, number: int) -> bool:
        """Whether a job that is on the disk is to be erased."""
        return number in self._ended or number in self._erased

    def steps(self, batch: Changes) -> Sequence[Step]:
        """Return the statements of a batch, with everything secret sealed."""
        steps: list[Step] = []
        seal = self._seal
        if batch.jobs:
            rows = [
                (job.number, job.app, job.provider, job.pushes, seal("jobs", row_name(job.number), pack_job(job)))
                for job in batch.jobs
            ]
            steps.append(Step(_JOB, rows))
        if batch.ended:
            self._end(steps, batch.ended)
        if batch.progress:
            self._with_progress.update(one.number for one in batch.progress)
            steps.append(Step(_PROGRESS, [(one.number, pack_progress(one)) for one in batch.progress]))
        if batch.dead or batch.events or batch.told or batch.deferred or batch.answers:
            self._rarely(steps, batch)
        return steps

    def expect_progress(self, numbers: Iterable[int]) -> None:
        """Remember jobs whose progress is on the disk already."""
        self._with_progress.update(numbers)

    def rest(self) -> Sequence[Step]:
        """Return what erases the jobs that ended last."""
        steps: list[Step] = []
        self._erase(steps)
        return steps

    def _end(self, steps: list[Step], ended: Sequence[JobResult]) -> None:
        runs = _runs(ended)
        rows: list[tuple[Any, ...]] = []
        for run in runs:
            first, final = run[0], run[-1]
            last = final.number + len(final.pushes) - 1
            rows.append((first.number, last, final.ended_at // MILLIS_PER_DAY, pack_run(run)))
            self._ended_runs.append((first.number, last))
        steps.append(Step(_ENDED, rows))
        if self._with_progress:
            over = [(one.number,) for one in ended if one.number in self._with_progress]
            if over:
                steps.append(Step(_NO_PROGRESS, over))
                self._with_progress.difference_update(number for (number,) in over)
        self._ended.update([one.number for one in ended])
        if len(self._ended) >= ERASE_EVERY:
            self._erase(steps)

    def _erase(self, steps: list[Step]) -> None:
        if self._ended_runs:
            steps.append(Step(_ERASE, _joined(self._ended_runs)))
            self._ended_runs = []
            self._ended, self._erased = set(), self._ended

    def _rarely(self, steps: list[Step], batch: Changes) -> None:
        seal = self._seal
        if batch.dead:
            dead = [(one.app, one.at, seal("dead", one.app.encode(), pack_dead(one))) for one in batch.dead]
            steps.append(Step(_DEAD, dead))
        if batch.events:
            events = [
                (one.hook, one.at, one.due_at, one.attempts, seal("events", one.hook.encode(), pack_event(one)))
                for one in batch.events
            ]
            steps.append(Step(_EVENT, events))
        if batch.told:
            steps.append(Step(_TOLD, [(number,) for number in batch.told]))
        if batch.deferred:
            steps.append(Step(_DEFER, [(one.attempts, one.due_at, one.number) for one in batch.deferred]))
        if batch.answers:
            answers = [(one.digest, one.at // MILLIS_PER_DAY, one.at, one.request, one.answer) for one in batch.answers]
            steps.append(Step(_ANSWER, answers))


def _runs(ended: Sequence[JobResult]) -> list[list[JobResult]]:
    """Return the jobs in order, those together whose numbers follow each other without a gap."""
    runs: list[list[JobResult]] = []
    follows = -1
    for one in sorted(ended, key=lambda one: one.number):
        if one.number == follows and len(runs[-1]) < RUN:
            runs[-1].append(one)
        else:
            runs.append([one])
        follows = one.number + len(one.pushes)
    return runs


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the same numbers in as few spans as possible."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if joined and joined[-1][1] + 1 == first:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined
