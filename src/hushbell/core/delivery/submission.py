"""One accepted request: its jobs, and what its caller still waits for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hushbell.core.delivery.job import Job
from hushbell.core.delivery.notification import Notification
from hushbell.core.delivery.outcome import Outcome
from hushbell.errors import StoreError


@dataclass(frozen=True, slots=True)
class FailedPush:
    """One push that was not accepted on its first attempt."""

    notification: Notification
    index: int  # of its target
    outcome: Outcome
    is_final: bool  # it is not attempted again


Done = Callable[["Submission", StoreError | None], None]
"""Called once: everything of the request is on the disk (and attempted, if that was asked for), or nothing is."""


class Submission:
    """
    Counts down the jobs that are to be stored and, with ``wait``, the pushes without a first attempt.

    States: storing, stored, first attempts made; then ``done`` is called, once.
    """

    __slots__ = ("_done", "error", "failures", "jobs", "to_attempt", "to_store")

    def __init__(self, jobs: Sequence[Job], done: Done, *, wait: bool) -> None:
        # Jobs, not ActiveJobs: those lead back here, and only the collector would find the ring.
        self.jobs = jobs
        self.failures: list[FailedPush] = []  # on the first attempt, if those are waited for
        self.error: StoreError | None = None
        self.to_store = len(jobs)
        self.to_attempt = 0
        if wait:
            self.to_attempt = jobs[0].pushes if len(jobs) == 1 else sum([job.pushes for job in jobs])
        self._done: Done | None = done

    def count_stored(self, error: StoreError | None) -> None:
        """Count one job that is on the disk or, with an error, never will be."""
        self.error = self.error or error
        self.to_store -= 1
        if not self.to_store and (self.error is not None or not self.to_attempt):
            self.finish()

    def count_attempted(self, failure: FailedPush | None = None) -> None:
        """Count the first attempt of one push."""
        if self.to_attempt:
            if failure is not None:
                self.failures.append(failure)
            self.to_attempt -= 1
            if not self.to_attempt and not self.to_store:
                self.finish()

    def finish(self) -> None:
        """Call ``done`` without waiting for further attempts; what is not on the disk is waited for all the same."""
        self.to_attempt = 0
        if not self.to_store:
            done, self._done = self._done, None
            if done is not None:
                done(self, self.error)
