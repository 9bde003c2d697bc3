"""
What the gateway's queue keeps: jobs, how far they are, how they ended, and who must hear of it.

A job is what one caller handed in with one request for one app and one provider: it becomes durable, and ends, as a
whole. Its notifications have consecutive numbers, its pushes consecutive places, over all its notifications in order.
"""

from dataclasses import dataclass, field
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
        return len(notes[0].tokens) if len(notes) == 1 else sum([len(note.tokens) for note in notes])


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


@dataclass(frozen=True, slots=True)
class DeadToken:
    """A device token that its provider no longer knows."""

    app: str
    provider: str
    token: str = field(repr=False)
    reason: str
    since: Millis | None  # when the provider learnt it, if it says so
    at: Millis  # when it told us
    cursor: int = 0  # its place in the list; given by the queue


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where an app wants to hear what became of its pushes."""

    name: str  # ours
    app: str
    url: str = field(repr=False)
    secret: bytes = field(repr=False)  # signs the body; b"" means unsigned
    events: tuple[str, ...]  # values of states.State
    shape: str = "event"  # "event", or "gorush" for what its feedback_hook_url gets
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """Something a hook must be told, until it answered that it was."""

    hook: str
    body: bytes = field(repr=False)
    at: Millis
    number: int = 0  # given by the queue; the same on every attempt
    attempts: int = 0
    due_at: Millis = Millis(0)


@dataclass(frozen=True, slots=True)
class IdempotentResponse:
    """An answer that is given again when the same caller repeats a request under the same key."""

    digest: bytes = field(repr=False)  # SHA-256 of app and key, 32 bytes
    request: bytes = field(repr=False)  # SHA-256 of the body, 32 bytes
    answer: bytes = field(repr=False)
    at: Millis


@dataclass(slots=True)
class Changes:
    """What is committed together."""

    jobs: list[Job] = field(default_factory=list)
    progress: list[JobProgress] = field(default_factory=list)
    ended: list[JobResult] = field(default_factory=list)
    dead: list[DeadToken] = field(default_factory=list)
    events: list[WebhookEvent] = field(default_factory=list)
    told: list[int] = field(default_factory=list)  # numbers of events that need nothing more
    deferred: list[WebhookEvent] = field(default_factory=list)  # events whose attempts and due_at changed
    answers: list[IdempotentResponse] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (
            self.jobs
            or self.ended
            or self.progress
            or self.dead
            or self.events
            or self.told
            or self.deferred
            or self.answers
        )
