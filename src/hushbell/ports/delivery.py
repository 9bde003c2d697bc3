"""How pushes enter the delivery engine, and how listeners get their final states."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from hushbell.core.delivery.changes import Changes, DeadToken, IdempotentResponse
from hushbell.core.delivery.job import Job, JobOnDisk, JobResult
from hushbell.core.delivery.notification import Draft, Message, Notification
from hushbell.core.delivery.outcome import Outcome
from hushbell.core.delivery.state import State
from hushbell.core.delivery.submission import Done, Submission
from hushbell.core.delivery.webhook import Webhook
from hushbell.types import Millis

Found = tuple[int, JobResult | JobOnDisk]
"""Index of a notification in its job, and the job: how far it is, or how it ended."""


class QueueStatus(NamedTuple):
    """One app's pushes to one provider, in numbers."""

    app: str
    provider: str
    counts: Sequence[int]  # pushes since the start by state.State; attempts at the index of STORED
    in_flight: int  # attempts under way
    is_paused: bool  # nothing is sent until its provider's pause ends
    credential_expires_at: Millis | None  # when its credential ends, if that is known


class FinalListener(Protocol):
    """Adds changes to the commit of a final state."""

    def has_interest(self, app: str) -> bool:
        """Whether it gets the final states of an app's pushes; called again after :meth:`on_webhooks_changed`."""

    def on_final(
        self, notification: Notification, index: int, state: State, outcome: Outcome, attempts: int
    ) -> Changes | None:
        """
        Return what is committed together with the final state of one push.

        Args:
            notification: that the push is part of.
            index: of its target.
            state: the final state.
            outcome: of the last attempt; its reason is printable ASCII of at most 120 characters.
            attempts: to deliver the push, at most 255.
        """

    def on_webhooks_changed(self, webhooks: Sequence[Webhook]) -> None:
        """Use these webhooks from now on. Called at the start, and when one was saved or dropped."""


class Delivery(Protocol):
    """The delivery engine, for APIs and for the push server."""

    def check(self, app: str, message: Message) -> None:
        """Refuse what the app's provider could never deliver; raises CallerError."""

    def prepare(self, app: str, drafts: Sequence[Draft]) -> Sequence[Job]:
        """
        Return jobs, one a provider, that the caller commits to the outbox, and then adopts or abandons.

        Their pushes count towards the app's share from now on.

        Args:
            app: name of a configured app.
            drafts: at least one, each with at least one target.

        Raises:
            CallerError: the app has no such provider.
            Overloaded: the app's share is used up, or the disk stands still.
        """

    def adopt(self, jobs: Sequence[Job]) -> None:
        """Deliver prepared jobs, which are on the disk now. Called in the order of the commits."""

    def abandon(self, jobs: Sequence[Job], *, doubtful: bool = False) -> None:
        """
        Forget prepared jobs whose commit failed. Called when the commit has ended.

        Args:
            jobs: that were prepared.
            doubtful: they may be on the disk all the same: they are looked up there, and delivered if they are.
        """

    def submit(
        self,
        app: str,
        drafts: Sequence[Draft],
        done: Done,
        *,
        wait: bool = False,
        idempotent: Callable[[Sequence[Job]], IdempotentResponse] | None = None,
    ) -> Submission:
        """
        Prepare drafts, commit all of them or none, and deliver them.

        Args:
            app: name of a configured app.
            drafts: at least one, each with at least one target.
            done: called once, later: they are on the disk, or the error says why nothing is.
            wait: call it only after each push had its first attempt.
            idempotent: returns the response to the request, which is committed with the jobs.

        Raises:
            CallerError: the app has no such provider.
            Overloaded: the app's share is used up, or the disk stands still.
        """

    async def find(self, ident: bytes) -> Found | None:
        """
        Return a notification's job by the notification's identifier; None if there is none.

        Raises:
            StoreUnavailable: the outbox cannot be read.
        """

    async def idempotent_response(self, key: bytes) -> IdempotentResponse | None:
        """Return the response on the disk under ``key``, a SHA-256 of 32 bytes (IdempotentResponse.key_digest)."""

    async def dead_tokens(self, app: str, after: int, limit: int) -> Sequence[DeadToken]:
        """Return dead tokens of an app with cursors greater than ``after``, oldest first."""

    async def webhooks(self, app: str) -> Sequence[Webhook]:
        """Return the webhooks of an app."""

    async def save_webhook(self, webhook: Webhook) -> None:
        """Add a webhook; durable when this returns."""

    async def drop_webhook(self, name: str) -> None:
        """Erase a webhook and the events that wait for it."""

    @property
    def providers(self) -> Mapping[str, frozenset[str]]:
        """Return the names of each app's providers."""

    @property
    def queue_statuses(self) -> Sequence[QueueStatus]:
        """Return the figures of every provider queue."""

    @property
    def gauges(self) -> Mapping[str, float]:
        """Return further figures of the engine, by name."""
