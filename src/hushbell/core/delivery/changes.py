"""What is committed to the outbox in one transaction."""

from dataclasses import dataclass, field

from hushbell.core.delivery.job import DamagedJob, Job, JobProgress, JobResult
from hushbell.core.delivery.webhook import WebhookEvent
from hushbell.core.server.facts import Write
from hushbell.types import Millis


@dataclass(frozen=True, slots=True)
class DeadToken:
    """A device token that its provider no longer knows."""

    app: str
    provider: str
    token: str = field(repr=False)
    reason: str  # the provider's
    since: Millis | None  # when the provider learnt it, if it says so
    at: Millis  # when its outcome arrived
    cursor: int = 0  # its position in the list; given by the outbox


@dataclass(frozen=True, slots=True)
class IdempotentResponse:
    """A response that is sent again when the same caller repeats a request with the same Idempotency-Key."""

    key_digest: bytes = field(repr=False)  # SHA-256 of app, caller and key, 32 bytes
    request_digest: bytes = field(repr=False)  # SHA-256 of the request's body, 32 bytes
    body: bytes = field(repr=False)  # of the response
    at: Millis


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """A damaged row that was put aside. Its contents stay sealed in the store."""

    id: int  # in the list of its store
    source: str  # name of the table that it was in
    at: Millis  # when it was put aside, to the second
    why: str
    number: int | None  # of the row, where it has one: that of a job's first notification
    app: str | None  # of the row, where it has one


@dataclass(slots=True)
class Changes:
    """The rows of one transaction. Each list is written in its order."""

    jobs: list[Job] = field(default_factory=list)
    progress: list[JobProgress] = field(default_factory=list)
    results: list[JobResult] = field(default_factory=list)
    dead_tokens: list[DeadToken] = field(default_factory=list)
    events: list[WebhookEvent] = field(default_factory=list)
    done_events: list[int] = field(default_factory=list)  # numbers of events that need nothing more
    deferred_events: list[WebhookEvent] = field(default_factory=list)  # events whose attempts and due_at changed
    responses: list[IdempotentResponse] = field(default_factory=list)
    quarantined: list[DamagedJob] = field(default_factory=list)
    server: list[Write] = field(default_factory=list)  # of the push server, where it shares the database

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        # Spelt out: it is read several times a commit, and a loop over the names costs a call for each.
        has_jobs = self.jobs or self.results or self.progress or self.quarantined
        has_events = self.events or self.done_events or self.deferred_events
        return not (has_jobs or has_events or self.dead_tokens or self.responses or self.server)

    def extend(self, later: "Changes") -> None:
        """Add what is committed after this, in its order."""
        for name in _FIELDS:
            getattr(self, name).extend(getattr(later, name))


_FIELDS = tuple(Changes.__slots__)
