"""Jobs in memory while they are worked on, and the requests that wait for them."""

from collections.abc import Callable, Sequence
from typing import Protocol

from hushbell.core.delivery.job import Job, JobProgress, JobResult
from hushbell.core.delivery.notification import Notification
from hushbell.core.delivery.outcome import Outcome
from hushbell.core.delivery.state import FIRST_FINAL, State
from hushbell.errors import StoreError
from hushbell.types import Millis

_ONE_ACCEPTED = bytes((State.ACCEPTED,))
_ONE_ATTEMPT = b"\x01"

Told = Callable[["Submission", StoreError | None], None]
"""Called once: everything of the request is on the disk (and attempted, if that was asked for), or nothing is."""


class AttemptListener(Protocol):
    """Whoever began an attempt."""

    def concluded(self, note: "ActiveNotification", place: int, outcome: Outcome) -> None:
        """Take what came of it."""
        ...


class FailedPush:
    """One push that was not accepted on its first attempt."""

    __slots__ = ("is_final", "notification", "outcome", "place")

    def __init__(self, notification: Notification, place: int, outcome: Outcome, *, is_final: bool) -> None:
        self.notification = notification
        self.place = place
        self.outcome = outcome
        self.is_final = is_final


class Submission:
    """One accepted request: its jobs, and what its caller still waits for."""

    __slots__ = ("_told", "error", "failures", "jobs", "to_hear", "to_store")

    def __init__(self, told: Told, *, hears: bool) -> None:
        self._told: Told | None = told
        # Not what is worked on: that leads back here, and only the collector would find the ring.
        self.jobs: Sequence[Job] = ()
        self.to_store = 0
        self.to_hear = 0 if hears else -1  # pushes whose first attempt is waited for; -1: the disk is enough
        self.failures: list[FailedPush] = []
        self.error: StoreError | None = None

    def stored(self, error: StoreError | None) -> None:
        """One of the jobs is on the disk, or never will be."""
        self.error = self.error or error
        self.to_store -= 1
        if not self.to_store and (self.error is not None or self.to_hear <= 0):
            self.tell()

    def heard(self, failure: FailedPush | None = None) -> None:
        """One push had its first attempt."""
        if self.to_hear > 0:
            if failure is not None:
                self.failures.append(failure)
            self.to_hear -= 1
            if not self.to_hear and not self.to_store:
                self.tell()

    def tell(self) -> None:
        """Answer now, if that was not done yet; what is not on the disk is waited for all the same."""
        if self.to_store:
            self.to_hear = -1
            return
        told, self._told = self._told, None
        self.to_hear = -1
        if told is not None:
            told(self, self.error)


class ActiveJob:
    """A job that is worked on."""

    __slots__ = ("attempts", "is_dirty", "job", "left", "pushes", "reasons", "receipt", "size", "states", "under_way")

    def __init__(
        self, job: Job, size: int, receipt: Submission | None = None, progress: JobProgress | None = None
    ) -> None:
        self.job = job
        self.size = size  # bytes, about
        self.receipt = receipt
        self.pushes = job.pushes
        self.left = self.pushes  # pushes without a final state
        self.states = bytearray(self.pushes)  # zero is State.STORED
        self.attempts = bytearray(self.pushes)
        self.reasons: dict[int, str] = {}
        self.under_way = 0
        self.is_dirty = False  # some of it changed that the disk does not know
        if progress is not None and len(progress.states) == len(progress.attempts) == self.pushes:
            self.states[:] = progress.states
            self.attempts[:] = progress.attempts
            self.left = sum(code < FIRST_FINAL for code in self.states)

    def ended(self, now: Millis) -> JobResult:
        """Return how it ended."""
        job = self.job
        if self.pushes == 1:
            states = _ONE_ACCEPTED if self.states == _ONE_ACCEPTED else bytes(self.states)
            attempts = _ONE_ATTEMPT if self.attempts == _ONE_ATTEMPT else bytes(self.attempts)
            pushes: tuple[int, ...] = (1,)
        else:
            states, attempts = bytes(self.states), bytes(self.attempts)
            pushes = tuple([len(note.targets) for note in job.notifications])
        reasons = tuple(sorted(self.reasons.items())) if self.reasons else ()
        return JobResult(job.number, job.app, job.accepted_at, now, pushes, states, attempts, reasons)

    def progress(self) -> JobProgress:
        """Return how far it is, as it would go on after a crash."""
        # What is under way may have been sent: after a crash it is attempted again.
        states = bytes(self.states).replace(bytes((State.SENDING,)), bytes((State.RETRYING,)))
        return JobProgress(self.job.number, states, bytes(self.attempts))

    def notes(self, lane: AttemptListener) -> "Sequence[ActiveNotification]":
        """Return what is left to attempt of each notification."""
        notes = []
        base = 0
        for notification in self.job.notifications:
            count = len(notification.targets)
            places: Sequence[int] = range(count)
            if self.left != self.pushes:
                places = [place for place in range(count) if self.states[base + place] < FIRST_FINAL]
            if places:
                notes.append(ActiveNotification(self, notification, base, lane, places))
            base += count
        return notes


class ActiveNotification:
    """One notification of a job: what a provider attempts."""

    __slots__ = ("base", "holds_token", "lane", "notification", "places", "work")

    def __init__(
        self, work: ActiveJob, notification: Notification, base: int, lane: AttemptListener, places: Sequence[int]
    ) -> None:
        self.work = work
        self.notification = notification
        self.base = base  # place of its first push in the job
        self.lane = lane
        self.places = places  # to be attempted when its turn comes
        self.holds_token = False  # nothing else to the same token leaves before it ended

    def done(self, place: int, outcome: Outcome) -> None:
        """Take what came of one attempt; providers call this."""
        self.lane.concluded(self, place, outcome)
