"""Where accepted pushes wait for their delivery, and what became of them is remembered."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from hushbell.core.delivery.changes import Changes, DeadToken, IdempotentResponse, QuarantinedRow
from hushbell.core.delivery.job import DamagedJob, JobOnDisk, JobResult, OpenJob
from hushbell.core.delivery.webhook import Webhook, WebhookEvent
from hushbell.errors import StoreError
from hushbell.types import Millis

Committed = Callable[[StoreError | None], None]
"""Called once on the event loop. None: the changes survive a power cut. An error: nothing of them was written."""


class Outbox(Protocol):
    """
    Every adapter passes every test in tests/contracts/test_outbox.py. One process, one event loop.

    A row that cannot be read costs its own contents alone. A damaged job is returned as DamagedJob. Any other damaged
    row is put aside when it is read, logged once, and counts as absent.
    """

    @property
    def rows_quarantined(self) -> int:
        """Return how many damaged rows this process has put aside."""

    def reserve(self, count: int) -> tuple[int, Sequence[bytes]]:
        """
        Return the first of ``count`` consecutive numbers, and the identifier of each, 16 bytes.

        No number is given twice, not even after a crash. Identifiers show no structure to others.
        """

    def number_of(self, ident: bytes) -> int | None:
        """Return the number of an identifier, or None if this outbox never gave it."""

    def commit(self, changes: Changes, done: Committed) -> None:
        """
        Write the changes as a whole, elsewhere; never blocks.

        Several commits may be under way; they take effect in order. Jobs that ended are erased with their tokens and
        payloads; how they ended stays until it is forgotten. ``done`` gets VersionConflict if what ``changes.server``
        rests on was changed by another commit.
        """

    async def open_jobs(self) -> Iterator[OpenJob]:
        """
        Return what did not end, oldest first, without opening it; to be read before anything is committed.

        Raises:
            StoreUnavailable: trying again is safe.
        """

    async def read(self, numbers: Sequence[int]) -> Sequence[JobOnDisk | DamagedJob]:
        """
        Return the jobs of these numbers that did not end, in that order; unknown numbers are left out.

        Raises:
            StoreUnavailable: trying again is safe.
            StoreCorrupt: the file is damaged.
        """

    async def find(self, number: int) -> JobResult | JobOnDisk | None:
        """
        Return the job with the notification of that number: how it ended, or how far it is; None if unknown.

        A job that was put aside has failed, with the reason ``DamagedRow``.
        """

    async def dead_tokens(self, app: str, after: int, limit: int) -> Sequence[DeadToken]:
        """Return dead tokens of an app with cursors greater than ``after``, oldest first."""

    async def due_events(self, now: Millis, after: int, limit: int) -> Sequence[WebhookEvent]:
        """Return events of numbers greater than ``after`` that are due, oldest first."""

    async def webhooks(self) -> Sequence[Webhook]:
        """Return every webhook that was saved."""

    async def save_webhook(self, webhook: Webhook) -> None:
        """Add a webhook, or replace that of the same name; durable when this returns."""

    async def drop_webhook(self, name: str) -> bool:
        """Forget a webhook and its events; return whether it existed."""

    async def idempotent_response(self, digest: bytes) -> IdempotentResponse | None:
        """Return the answer that was given under a key."""

    async def quarantined(self) -> Sequence[QuarantinedRow]:
        """Return the rows that were put aside, oldest first."""

    async def release(self, row: int) -> bool:
        """Put a row back where it was, to be read after the next start; return whether it was there and had room."""

    async def discard(self, row: int) -> bool:
        """Erase a row that was put aside; return whether it was there."""

    async def forget(self, before: Millis, limit: int) -> int:
        """
        Drop up to ``limit`` results, dead tokens and answers from before a moment; return how many.

        Rows that were put aside are erased after as many days as the store was opened with.
        """

    async def close(self) -> None:
        """Finish the commits that were handed over and close the files."""


async def committed(outbox: Outbox, changes: Changes) -> None:
    """Commit and return when it is durable; raises what ``done`` would get."""
    done: asyncio.Future[StoreError | None] = asyncio.get_running_loop().create_future()
    # A caller that goes away cancels the future; what it asked for is written all the same.
    outbox.commit(changes, lambda error: None if done.done() else done.set_result(error))
    if (error := await done) is not None:
        raise error
