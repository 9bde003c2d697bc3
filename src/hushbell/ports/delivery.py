"""What the front ends of the gateway need of its engine."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from hushbell.core.delivery.changes import DeadToken, IdempotentResponse
from hushbell.core.delivery.job import Job, JobProgress, JobResult
from hushbell.core.delivery.notification import Draft, Message, Notification
from hushbell.core.delivery.outcome import Outcome
from hushbell.core.delivery.webhook import Webhook
from hushbell.errors import StoreError
from hushbell.types import Millis

__all__ = [
    "DeadToken",
    "Delivery",
    "FailedPush",
    "IdempotentResponse",
    "Job",
    "JobProgress",
    "JobResult",
    "Submission",
    "Told",
    "Webhook",
]


class FailedPush(Protocol):
    """One push that was not accepted on its first attempt."""

    @property
    def notification(self) -> Notification:
        """Return what it is part of."""
        ...

    @property
    def place(self) -> int:
        """Return the place of its token."""
        ...

    @property
    def outcome(self) -> Outcome:
        """Return what the provider made of it."""
        ...

    @property
    def is_final(self) -> bool:
        """Whether it is not attempted again."""
        ...


class Submission(Protocol):
    """One accepted request."""

    @property
    def jobs(self) -> Sequence[Job]:
        """Return its jobs, one for each provider."""
        ...

    @property
    def failures(self) -> Sequence[FailedPush]:
        """Return what failed on its first attempt, if the request waited for that."""
        ...

    def tell(self) -> None:
        """Answer now, though not everything was attempted yet. What is not on the disk is waited for all the same."""
        ...


Told = Callable[[Submission, StoreError | None], None]
"""Called once: everything of the request is on the disk (and attempted, if that was asked for), or nothing is."""


class QueueStatus(Protocol):
    """One app's pushes to one provider, in numbers."""

    @property
    def app(self) -> str:
        """Return the app's name."""
        ...

    @property
    def name(self) -> str:
        """Return the provider's name."""
        ...

    @property
    def tally(self) -> Sequence[int]:
        """Return pushes since the start by states.State; attempts at the place of STORED."""
        ...

    @property
    def in_flight(self) -> int:
        """Return the attempts under way."""
        ...

    @property
    def is_paused(self) -> bool:
        """Whether its provider asked for, or earned, a rest."""
        ...

    @property
    def expires_at(self) -> Millis | None:
        """Return when its credential ends, if it tells."""
        ...


class Delivery(Protocol):
    """The engine."""

    def check(self, app: str, message: Message) -> None:
        """Refuse what the app's provider could never deliver; raises CallerError."""
        ...

    def accept(
        self,
        app: str,
        drafts: Sequence[Draft],
        told: Told,
        *,
        hears: bool = False,
        repeatable: Callable[[Sequence[Job]], IdempotentResponse] | None = None,
    ) -> Submission:
        """
        Take notifications for one app; ``told`` hears of it once they are on the disk, all or none of them.

        Args:
            app: name of a configured app.
            drafts: at least one, each with at least one target, for providers that the app has.
            told: called once, later.
            hears: wait until each push had its first attempt, too.
            repeatable: makes the answer that is given again, to be committed with the jobs.

        Raises:
            CallerError: the app has no such provider.
            Overloaded: there is no room.
        """
        ...

    def find(self, ident: bytes) -> tuple[int, JobResult | tuple[Job, JobProgress | None]] | None:
        """
        Return the place of a notification in its job, and the job: how far it is, or how it ended.

        Raises:
            StoreUnavailable: the queue cannot be read.
        """
        ...

    def repeated(self, digest: bytes) -> IdempotentResponse | None:
        """Return the answer that was given under a key, if it is on the disk."""
        ...

    def dead(self, app: str, after: int, limit: int) -> Sequence[DeadToken]:
        """Return dead tokens of an app with cursors greater than ``after``, oldest first."""
        ...

    def hooks(self, app: str) -> Sequence[Webhook]:
        """Return the hooks of an app."""
        ...

    def save_hook(self, hook: Webhook) -> None:
        """Add a hook; durable when this returns."""
        ...

    def drop_hook(self, name: str) -> None:
        """Forget a hook and what it was still to be told."""
        ...

    @property
    def providers(self) -> Mapping[str, frozenset[str]]:
        """Return the names of each app's providers."""
        ...

    @property
    def all_lanes(self) -> Sequence[QueueStatus]:
        """Return every lane."""
        ...

    @property
    def open_pushes(self) -> int:
        """Return how many pushes have no final state."""
        ...

    @property
    def gauges(self) -> Mapping[str, float]:
        """Return further numbers of the engine, by name."""
        ...
