"""Where the gateway keeps what it accepted."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from hushbell.core.delivery.changes import Changes, DeadToken, IdempotentResponse
from hushbell.core.delivery.job import Job, JobProgress, JobResult, OpenJob
from hushbell.core.delivery.webhook import Webhook, WebhookEvent
from hushbell.errors import StoreError
from hushbell.types import Millis

Committed = Callable[[StoreError | None], None]
"""Called once on the event loop. None: the batch survives a power cut. An error: nothing of it was written."""


class Outbox(Protocol):
    """Every adapter passes every test in tests/stores/test_queue_contract.py. One process, one event loop."""

    def numbers(self, count: int) -> int:
        """Return the first of ``count`` consecutive numbers that were never given before, not even before a crash."""
        ...

    def idents(self, first: int, count: int) -> Sequence[bytes]:
        """Return the identifiers of that many numbers, 16 bytes each, without a structure that others could see."""
        ...

    def number_of(self, ident: bytes) -> int | None:
        """Return the number of an identifier, or None if this queue never gave it."""
        ...

    def commit(self, batch: Changes, done: Committed) -> None:
        """
        Write a batch as a whole, elsewhere; never blocks.

        Jobs that ended are erased with their tokens and payloads; how they ended stays until it is forgotten.
        The caller waits for ``done`` before it commits again.
        """
        ...

    def open_jobs(self) -> Iterator[OpenJob]:
        """Return what did not end, oldest first, without opening it; read at once, before anything is committed."""
        ...

    def jobs(self, numbers: Sequence[int]) -> Sequence[tuple[Job, JobProgress | None]]:
        """
        Return the jobs of these numbers that did not end, in that order, with how far they are.

        Raises:
            StoreUnavailable: trying again is safe.
        """
        ...

    def find(self, number: int) -> JobResult | tuple[Job, JobProgress | None] | None:
        """Return the job with the notification of that number: how it ended, or how far it is; None if unknown."""
        ...

    def dead(self, app: str, after: int, limit: int) -> Sequence[DeadToken]:
        """Return dead tokens of an app with cursors greater than ``after``, oldest first."""
        ...

    def due_events(self, now: Millis, after: int, limit: int) -> Sequence[WebhookEvent]:
        """Return events of numbers greater than ``after`` that are due, oldest first."""
        ...

    def hooks(self) -> Sequence[Webhook]:
        """Return every hook that was saved."""
        ...

    def save_hook(self, hook: Webhook) -> None:
        """Add a hook, or replace that of the same name; durable when this returns."""
        ...

    def drop_hook(self, name: str) -> bool:
        """Forget a hook and what it was still to be told; return whether it existed."""
        ...

    def repeatable(self, digest: bytes) -> IdempotentResponse | None:
        """Return the answer that was given under a key."""
        ...

    def forget(self, before: Millis, limit: int) -> int:
        """Drop up to ``limit`` ends, dead tokens and answers from before a moment; return how many were dropped."""
        ...

    def close(self) -> None:
        """Finish what was handed over and let go of the files."""
        ...
