"""
Jobs: what the outbox keeps of pushes, from their commit to their result.

A job holds the notifications of one request for one app and one provider. It is committed as a whole, and has one
result. Its notifications have consecutive numbers; its pushes have consecutive positions, over all its notifications.
"""

from dataclasses import dataclass
from typing import NamedTuple

from hushbell.core.delivery.notification import Notification
from hushbell.types import Millis


class Job(NamedTuple):
    """One accepted request, or the part of it that goes to one provider."""

    number: int  # of the first notification; greater than that of every job before
    app: str
    accepted_at: Millis
    notifications: tuple[Notification, ...]

    @property
    def provider(self) -> str:
        """Return the name of the provider that all its messages are for."""
        return self.notifications[0].message.provider

    @property
    def pushes(self) -> int:
        """Return how many pushes it has."""
        notes = self.notifications
        return len(notes[0].targets) if len(notes) == 1 else sum([len(note.targets) for note in notes])


@dataclass(frozen=True, slots=True)
class OpenJob:
    """The columns of a job on the disk that are not sealed."""

    number: int
    app: str
    provider: str
    pushes: int  # all of them, also those with a final state
    size: int  # bytes on the disk


@dataclass(frozen=True, slots=True)
class JobProgress:
    """States and attempts of a job whose pushes do not all have a final state."""

    number: int
    states: bytes  # of state.State, one for each push
    attempts: bytes  # one for each push, at most 255


class JobOnDisk(NamedTuple):
    """A job as it was read from the disk."""

    job: Job
    progress: JobProgress | None  # None: no push was attempted

    @property
    def number(self) -> int:
        """Return the number of its first notification."""
        return self.job.number


@dataclass(frozen=True, slots=True)
class DamagedJob:
    """A job whose row cannot be read. ``app``, ``provider`` and ``pushes`` are the columns of the row."""

    number: int
    app: str
    provider: str
    pushes: int
    why: str


class JobResult(NamedTuple):
    """A job whose pushes all reached their final state. Holds no token and no payload."""

    number: int
    app: str
    accepted_at: Millis
    ended_at: Millis  # when its last push got its final state
    pushes: tuple[int, ...]  # of each notification
    states: bytes  # of state.State, one for each push
    attempts: bytes  # one for each push, at most 255
    reasons: tuple[tuple[int, str], ...] = ()  # position in the job, the provider's reason; only where there is one

    def covers(self, number: int) -> bool:
        """Whether the notification of that number was part of it."""
        return self.number <= number < self.number + len(self.pushes)
