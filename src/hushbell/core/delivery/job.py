"""
What the gateway's queue keeps: jobs, how far they are, how they ended, and who must hear of it.

A job is what one caller handed in with one request for one app and one provider: it becomes durable, and ends, as a
whole. Its notifications have consecutive numbers, its pushes consecutive places, over all its notifications in order.
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
        """Return the name that all its messages say."""
        return self.notifications[0].message.provider

    @property
    def pushes(self) -> int:
        """Return how many pushes it is made of."""
        notes = self.notifications
        return len(notes[0].targets) if len(notes) == 1 else sum([len(note.targets) for note in notes])


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A job on the disk, as far as planning needs it."""

    number: int
    app: str
    provider: str
    pushes: int  # all of them, also those that ended
    size: int  # bytes on the disk


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is whose pushes have not all ended."""

    number: int
    states: bytes  # states.CODES, one for each push
    attempts: bytes  # one for each push, at most 255


class JobOnDisk(NamedTuple):
    """A job as it was read from the disk."""

    job: Job
    progress: JobProgress | None  # None: nothing is known of any push

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
    ended_at: Millis
    pushes: tuple[int, ...]  # of each notification
    states: bytes  # states.CODES, one for each push
    attempts: bytes  # one for each push, at most 255
    reasons: tuple[tuple[int, str], ...] = ()  # place in the job → the provider's word, where there is one

    def covers(self, number: int) -> bool:
        """Whether the notification of that number was part of it."""
        return self.number <= number < self.number + len(self.pushes)
