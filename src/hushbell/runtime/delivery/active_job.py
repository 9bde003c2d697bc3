"""Jobs in memory while they are delivered."""

from collections.abc import Callable, Sequence

from hushbell.core.delivery.job import Job, JobProgress, JobResult
from hushbell.core.delivery.notification import Notification
from hushbell.core.delivery.state import FIRST_FINAL, State
from hushbell.core.delivery.submission import Submission
from hushbell.types import Millis

PUSH_OVERHEAD_BYTES = 512  # of a push in memory besides its message, about

_SENDING = State.SENDING  # read for each push; a member of an enumeration takes a tenth of a microsecond
_ONE_ACCEPTED = bytes((State.ACCEPTED,))
_ONE_ATTEMPT = b"\x01"


class ActiveJob:
    """A job in memory: the state and the attempts of each of its pushes."""

    __slots__ = ("attempts", "is_dirty", "job", "left", "pushes", "reasons", "size", "states", "submission")

    def __init__(self, job: Job, progress: JobProgress | None = None) -> None:
        notifications = job.notifications
        self.job = job
        self.pushes = pushes = job.pushes
        self.size = PUSH_OVERHEAD_BYTES * pushes + (
            len(notifications[0].message.body)
            if len(notifications) == 1
            else sum([len(notification.message.body) for notification in notifications])
        )  # bytes, about
        self.submission: Submission | None = None  # of the request that waits for it
        self.left = pushes  # pushes without a final state
        self.states = bytearray(pushes)  # zero is State.STORED
        self.attempts = bytearray(pushes)
        self.reasons: dict[int, str] = {}  # position in the job → the provider's reason
        self.is_dirty = False  # it changed since it was last written
        if progress is not None and len(progress.states) == len(progress.attempts) == pushes:
            self.states[:] = progress.states
            self.attempts[:] = progress.attempts
            self.left = sum(code < FIRST_FINAL for code in self.states)

    def render(self, render: Callable[[Notification], Notification]) -> None:
        """Replace each notification whose message has a form of its own by what its provider takes."""
        notifications = self.job.notifications
        self.job = self.job._replace(
            notifications=tuple(
                [render(notification) if notification.message.form else notification for notification in notifications]
            )
        )

    def result(self, now: Millis) -> JobResult:
        """Return the final states. ``now`` is when the last push ended."""
        job = self.job
        if self.pushes == 1:
            states = _ONE_ACCEPTED if self.states == _ONE_ACCEPTED else bytes(self.states)
            attempts = _ONE_ATTEMPT if self.attempts == _ONE_ATTEMPT else bytes(self.attempts)
            pushes: tuple[int, ...] = (1,)
        else:
            states, attempts = bytes(self.states), bytes(self.attempts)
            pushes = tuple([len(notification.targets) for notification in job.notifications])
        reasons = tuple(sorted(self.reasons.items())) if self.reasons else ()
        return JobResult(job.number, job.app, job.accepted_at, now, pushes, states, attempts, reasons)

    def progress(self) -> JobProgress:
        """Return its states and attempts as they are restored after a crash."""
        # An attempt under way may have reached the provider: after a crash it is repeated.
        states = bytes(self.states).replace(bytes((State.SENDING,)), bytes((State.RETRYING,)))
        return JobProgress(self.job.number, states, bytes(self.attempts))

    def items(self) -> "Sequence[ActiveNotification]":
        """Return what is left to attempt of each notification."""
        items = []
        offset = 0
        for notification in self.job.notifications:
            count = len(notification.targets)
            indexes: Sequence[int] = range(count)
            if self.left != self.pushes:
                indexes = [index for index in range(count) if self.states[offset + index] < FIRST_FINAL]
            if indexes:
                items.append(ActiveNotification(self, notification, offset, indexes))
            offset += count
        return items


class ActiveNotification:
    """What is left to attempt of one notification of a job."""

    __slots__ = ("active", "holds_token", "indexes", "notification", "offset")

    def __init__(self, active: ActiveJob, notification: Notification, offset: int, indexes: Sequence[int]) -> None:
        self.active = active
        self.notification = notification
        self.offset = offset  # position of its first push in the job
        self.indexes = indexes  # of the targets that are attempted next
        self.holds_token = False  # nothing else to the same token leaves before it has its final state

    def begin_attempts(self, indexes: Sequence[int]) -> None:
        """Count an attempt, at most 255, of each of the pushes at ``indexes``, and mark them as being sent."""
        offset, states, attempts = self.offset, self.active.states, self.active.attempts
        for index in indexes:
            position = offset + index
            states[position] = _SENDING
            if attempts[position] < 255:
                attempts[position] += 1
