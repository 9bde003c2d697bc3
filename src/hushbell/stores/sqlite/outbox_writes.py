"""What each part of a commit changes in the outbox's tables."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hushbell.core.delivery.changes import Changes
from hushbell.core.delivery.job import JobResult
from hushbell.stores.at_rest import AtRest
from hushbell.stores.sqlite.outbox_rows import pack_dead, pack_event, pack_job, pack_progress, pack_run, row_name
from hushbell.stores.sqlite.quarantine import Quarantine
from hushbell.stores.sqlite.writer import Step
from hushbell.types import MILLIS_PER_DAY

ERASE_EVERY = 256  # jobs that ended; erasing many at once costs a fraction, and no token outlives its job for long
RUN = 1024  # jobs in one row of job_results; a look-up unpacks one row

_JOB = "INSERT INTO jobs (number, app, provider, pushes, sealed) VALUES"
_PROGRESS = "INSERT OR REPLACE INTO progress (number, packed) VALUES"
_NO_PROGRESS = "DELETE FROM progress WHERE number = ?"
_RESULT = "INSERT INTO job_results (number, last, day, packed) VALUES"
_ERASE = "DELETE FROM jobs WHERE number BETWEEN ? AND ?"
_DEAD = "INSERT INTO dead_tokens (app, at, sealed) VALUES"
_EVENT = "INSERT INTO webhook_events (hook, at, due_at, attempts, sealed) VALUES"
_DELIVERED = "DELETE FROM webhook_events WHERE number = ?"
_DEFER = "UPDATE webhook_events SET attempts = ?, due_at = ? WHERE number = ?"
_RESPONSE = "INSERT OR IGNORE INTO idempotent_responses (digest, day, at, request, answer) VALUES"

ServerSteps = Callable[[Sequence[object]], Sequence[Step]]
"""Turns writes of core.server.facts into steps."""


class OutboxWrites:
    """Turns changes into steps. Knows which ended jobs are still to be erased."""

    def __init__(self, at_rest: AtRest, quarantine: Quarantine, server_steps: ServerSteps | None = None) -> None:
        self._seal = at_rest.seal
        self._quarantine = quarantine
        self._server_steps = server_steps
        self._with_progress: set[int] = set()
        self._ended_runs: list[tuple[int, int]] = []  # first and last number
        self._ended: set[int] = set()  # jobs that are still on the disk
        self._erased: set[int] = set()  # jobs that may still be, until the commit that erases them returned

    def has_ended(self, number: int) -> bool:
        """Whether a job that is on the disk is to be erased."""
        return number in self._ended or number in self._erased

    def steps(self, changes: Changes) -> Sequence[Step]:
        """Return the statements of a commit, with everything secret sealed."""
        steps: list[Step] = []
        seal = self._seal
        if changes.server:
            # Before the jobs: a lost race costs no more than its own statement.
            if self._server_steps is None:
                raise TypeError("this file keeps no facts of a server")
            steps += self._server_steps(changes.server)
        if changes.jobs:
            rows = [
                (job.number, job.app, job.provider, job.pushes, seal("jobs", row_name(job.number), pack_job(job)))
                for job in changes.jobs
            ]
            steps.append(Step(_JOB, rows))
        if changes.results:
            self._end(steps, changes.results)
        if changes.progress:
            self._with_progress.update(progress.number for progress in changes.progress)
            steps.append(Step(_PROGRESS, [(one.number, pack_progress(one)) for one in changes.progress]))
        if (
            changes.dead_tokens
            or changes.events
            or changes.done_events
            or changes.deferred_events
            or changes.responses
            or changes.quarantined
        ):
            self._add_rare(steps, changes)
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
        steps.append(Step(_RESULT, rows))
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

    def _add_rare(self, steps: list[Step], changes: Changes) -> None:
        seal = self._seal
        if changes.dead_tokens:
            dead = [(one.app, one.at, seal("dead", one.app.encode(), pack_dead(one))) for one in changes.dead_tokens]
            steps.append(Step(_DEAD, dead))
        if changes.events:
            events = [
                (one.webhook, one.at, one.due_at, one.attempts, seal("events", one.webhook.encode(), pack_event(one)))
                for one in changes.events
            ]
            steps.append(Step(_EVENT, events))
        if changes.done_events:
            steps.append(Step(_DELIVERED, [(number,) for number in changes.done_events]))
        if changes.deferred_events:
            steps.append(Step(_DEFER, [(one.attempts, one.due_at, one.number) for one in changes.deferred_events]))
        if changes.responses:
            responses = [
                (
                    one.key_digest,
                    one.at // MILLIS_PER_DAY,
                    one.at,
                    one.request_digest,
                    seal("idempotent_responses", one.key_digest + one.request_digest, one.body),
                )
                for one in changes.responses
            ]
            steps.append(Step(_RESPONSE, responses))
        for damaged in changes.quarantined:
            steps += self._quarantine.steps("jobs", damaged.number, damaged.why)


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
