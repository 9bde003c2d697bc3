"""The outbox in a SQLite file: embedded, durable, sealed. The file may hold the server's facts as well."""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from hushbell.core.delivery.changes import Changes, DeadToken, IdempotentResponse, QuarantinedRow
from hushbell.core.delivery.job import DamagedJob, JobOnDisk, JobResult, OpenJob
from hushbell.core.delivery.webhook import Webhook, WebhookEvent
from hushbell.errors import StoreCorrupt, StoreError, StoreUnavailable
from hushbell.ports.outbox import Committed
from hushbell.stores.notification_ids import EPOCH_SHIFT, NotificationIds
from hushbell.stores.sqlite.database import Database, open_database
from hushbell.stores.sqlite.errors import mapped
from hushbell.stores.sqlite.migrations import GATEWAY_SCHEMA
from hushbell.stores.sqlite.outbox_reads import OutboxReads
from hushbell.stores.sqlite.outbox_rows import pack_webhook, unpack_run
from hushbell.stores.sqlite.outbox_writes import OutboxWrites, ServerSteps
from hushbell.stores.sqlite.quarantine import KEEP_DAMAGED_DAYS, Quarantine
from hushbell.stores.sqlite.writer import Step, Writer
from hushbell.types import MILLIS_PER_DAY, Millis, Random

_EPOCH = "INSERT INTO counts VALUES ('epoch', 1) ON CONFLICT DO UPDATE SET value = value + 1 RETURNING value"
_ENDED = """
SELECT DISTINCT results.number, results.packed FROM jobs JOIN job_results AS results
ON results.number = (SELECT max(number) FROM job_results WHERE number <= jobs.number)
WHERE results.last >= jobs.number"""
_ERASE = "DELETE FROM jobs WHERE number = ?"
_ERASE_PROGRESS = "DELETE FROM progress WHERE number NOT IN (SELECT number FROM jobs)"
# Numbers rise with time, so that the oldest results come first and need no index of their own, which each commit
# would have to write. A job that ended late stays with those that were accepted beside it.
_FORGET_RESULTS = """
DELETE FROM job_results WHERE number IN (
    SELECT number FROM (SELECT number, day FROM job_results ORDER BY number LIMIT ?) WHERE day < ?
)
"""
WAL_PAGES = 4_000  # of the log before it is copied into the file: 16 MB, read again after a crash
_SAVE_WEBHOOK = "INSERT OR REPLACE INTO webhooks (name, sealed) VALUES (?, ?)"
_DROP_EVENTS = "DELETE FROM webhook_events WHERE hook = ?"
_DROP_WEBHOOK = "DELETE FROM webhooks WHERE name = ?"


class SqliteOutbox:
    """
    An Outbox in one file. One process, one event loop.

    Changes are packed where they are handed over and written by one thread; reads run where they are called.
    """

    def __init__(self, database: Database, *, keep_damaged_days: int, server_steps: ServerSteps | None = None) -> None:
        """Take over an open database; ``server_steps`` writes what else the file holds."""
        epoch = _start(database.writing)
        self.writer = Writer(database.writing)
        self._reading = database.reading
        self._at_rest = database.at_rest
        self._ids = NotificationIds(database.key)
        self.quarantine = Quarantine(database.reading, self.writer, keep_days=keep_damaged_days)
        self._reads = OutboxReads(database.reading, database.at_rest, self._ids, self.quarantine)
        self._writes = OutboxWrites(database.at_rest, self.quarantine, server_steps)
        self._next = epoch << EPOCH_SHIFT
        self._is_closed = False

    @classmethod
    def open(cls, path: Path, key_path: Path, *, random: Random, keep_damaged_days: int = KEEP_DAMAGED_DAYS) -> Self:
        """Open ``gateway.db``, or make it and its key file; raises as ``database.open_database`` does."""
        database = open_database(path, key_path, GATEWAY_SCHEMA, random=random)
        return cls(database, keep_damaged_days=keep_damaged_days)

    @property
    def rows_quarantined(self) -> int:
        """See :attr:`hushbell.ports.outbox.Outbox.rows_quarantined`."""
        return self.quarantine.count

    def reserve(self, count: int) -> tuple[int, Sequence[bytes]]:
        """See :meth:`hushbell.ports.outbox.Outbox.reserve`."""
        first = self._next
        self._next += count
        return first, self._ids.of(first, count)

    def number_of(self, ident: bytes) -> int | None:
        """See :meth:`hushbell.ports.outbox.Outbox.number_of`."""
        return self._ids.number(ident)

    def commit(self, changes: Changes, done: Committed) -> None:
        """See :meth:`hushbell.ports.outbox.Outbox.commit`."""
        steps = self._writes.steps(changes)
        self.writer.put(steps, lambda result: done(result if isinstance(result, StoreError) else None))

    async def open_jobs(self) -> Iterator[OpenJob]:
        """See :meth:`hushbell.ports.outbox.Outbox.open_jobs`."""
        self.check_open()
        return self._open_jobs()

    def _open_jobs(self) -> Iterator[OpenJob]:
        with mapped():
            for job in self._reads.open_jobs():
                if not self._writes.has_ended(job.number):
                    yield job

    async def read(self, numbers: Sequence[int]) -> Sequence[JobOnDisk | DamagedJob]:
        """See :meth:`hushbell.ports.outbox.Outbox.read`."""
        self.check_open()
        with mapped():
            found = [self._reads.job(number) for number in numbers if not self._writes.has_ended(number)]
        jobs = [one for one in found if one is not None]
        self._writes.expect_progress(
            one.job.number for one in jobs if isinstance(one, JobOnDisk) and one.progress is not None
        )
        return jobs

    async def find(self, number: int) -> JobResult | JobOnDisk | None:
        """See :meth:`hushbell.ports.outbox.Outbox.find`."""
        self.check_open()
        with mapped():
            found = self._reads.find(number)
        return None if isinstance(found, JobOnDisk) and self._writes.has_ended(found.job.number) else found

    async def dead_tokens(self, app: str, after: int, limit: int) -> Sequence[DeadToken]:
        """See :meth:`hushbell.ports.outbox.Outbox.dead_tokens`."""
        self.check_open()
        with mapped():
            return self._reads.dead_tokens(app, after, limit)

    async def due_events(self, now: Millis, after: int, limit: int) -> Sequence[WebhookEvent]:
        """See :meth:`hushbell.ports.outbox.Outbox.due_events`."""
        self.check_open()
        with mapped():
            return self._reads.due_events(now, after, limit)

    async def webhooks(self) -> Sequence[Webhook]:
        """See :meth:`hushbell.ports.outbox.Outbox.webhooks`."""
        self.check_open()
        with mapped():
            return self._reads.webhooks()

    async def save_webhook(self, webhook: Webhook) -> None:
        """See :meth:`hushbell.ports.outbox.Outbox.save_webhook`."""
        sealed = self._at_rest.seal("hooks", webhook.name.encode(), pack_webhook(webhook))
        await self.writer.write([Step(_SAVE_WEBHOOK, [(webhook.name, sealed)])])

    async def drop_webhook(self, name: str) -> bool:
        """See :meth:`hushbell.ports.outbox.Outbox.drop_webhook`."""
        existed = any(webhook.name == name for webhook in await self.webhooks())
        await self.writer.write([Step(_DROP_EVENTS, [(name,)]), Step(_DROP_WEBHOOK, [(name,)])])
        return existed

    async def idempotent_response(self, digest: bytes) -> IdempotentResponse | None:
        """See :meth:`hushbell.ports.outbox.Outbox.idempotent_response`."""
        self.check_open()
        with mapped():
            return self._reads.idempotent_response(digest)

    async def quarantined(self) -> Sequence[QuarantinedRow]:
        """See :meth:`hushbell.ports.outbox.Outbox.quarantined`."""
        self.check_open()
        with mapped():
            return self.quarantine.rows()

    async def release(self, row: int) -> bool:
        """See :meth:`hushbell.ports.outbox.Outbox.release`."""
        self.check_open()
        with mapped():
            return await self.quarantine.release(row)

    async def discard(self, row: int) -> bool:
        """See :meth:`hushbell.ports.outbox.Outbox.discard`."""
        return await self.quarantine.discard(row)

    async def forget(self, before: Millis, limit: int) -> int:
        """See :meth:`hushbell.ports.outbox.Outbox.forget`; whole days are dropped."""
        first = before // MILLIS_PER_DAY  # the first day that is kept
        steps = [Step(_FORGET_RESULTS, [(limit, first)])]
        for table, column, kept, key in (
            ("idempotent_responses", "day", first, "digest"),
            ("dead_tokens", "at", first * MILLIS_PER_DAY, "cursor"),
            ("webhook_events", "at", first * MILLIS_PER_DAY, "number"),
        ):
            some = f"SELECT {key} FROM {table} WHERE {column} < ? LIMIT ?"  # noqa: S608
            steps.append(Step(f"DELETE FROM {table} WHERE {key} IN ({some})", [(kept, limit)]))  # noqa: S608
        forgotten = await self.writer.write(steps)
        await self.quarantine.forget()
        return forgotten

    async def close(self) -> None:
        """See :meth:`hushbell.ports.outbox.Outbox.close`."""
        if not self._is_closed:
            self._is_closed = True
            await asyncio.to_thread(self.writer.close, self._writes.rest())
            self._reading.close()

    def check_open(self) -> None:
        """Raise StoreUnavailable after ``close``."""
        if self._is_closed:
            raise StoreUnavailable("the store is closed")


def _start(connection: sqlite3.Connection) -> int:
    """
    Return the number of this opening.

    Jobs are erased a little later than they end. Those whose results are known are erased now, by their exact
    numbers: a damaged row of results must not erase what is owed.
    """
    with mapped():
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        connection.execute("BEGIN IMMEDIATE")
        (epoch,) = connection.execute(_EPOCH).fetchone()
        for number, packed in connection.execute(_ENDED).fetchall():
            with suppress(StoreCorrupt):  # reading it later quarantines it
                connection.executemany(_ERASE, [(result.number,) for result in unpack_run(number, packed)])
        connection.execute(_ERASE_PROGRESS)
        connection.execute("COMMIT")
    return int(epoch)
