"""The gateway's queue in one SQLite file: embedded, durable, sealed."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from hushbell.core.delivery.changes import Changes, DeadToken, IdempotentResponse
from hushbell.core.delivery.job import Job, JobProgress, JobResult, OpenJob
from hushbell.core.delivery.webhook import Webhook, WebhookEvent
from hushbell.errors import StoreUnavailable
from hushbell.ports.outbox import Committed
from hushbell.stores.at_rest import AtRest, load_key
from hushbell.stores.sqlite.database import open_database
from hushbell.stores.sqlite.errors import mapped
from hushbell.stores.sqlite.idents import EPOCH_SHIFT, Idents
from hushbell.stores.sqlite.outbox_reads import QueueReads
from hushbell.stores.sqlite.outbox_rows import pack_hook
from hushbell.stores.sqlite.outbox_schema import QUEUE
from hushbell.stores.sqlite.outbox_writes import QueueWrites
from hushbell.stores.sqlite.queue_writer import QueueWriter, Step
from hushbell.types import MILLIS_PER_DAY, Millis, Random, SymmetricKey

_EPOCH = "INSERT INTO counts VALUES ('epoch', 1) ON CONFLICT DO UPDATE SET value = value + 1 RETURNING value"
# Jobs are erased a little later than they end; a crash between the two must not begin them again.
_ERASE_ENDED = """
DELETE FROM jobs WHERE number <= (
    SELECT last FROM ended WHERE ended.number <= jobs.number ORDER BY ended.number DESC LIMIT 1
)
"""
_ERASE_PROGRESS = "DELETE FROM progress WHERE number NOT IN (SELECT number FROM jobs)"
# Numbers rise with time, so that the oldest ends come first and need no index of their own, which each commit would
# have to write. A job that ended late stays with those that were accepted beside it.
_FORGET_ENDED = """
DELETE FROM ended WHERE number IN (
    SELECT number FROM (SELECT number, day FROM ended ORDER BY number LIMIT ?) WHERE day < ?
)
"""
WAL_PAGES = 4_000  # of the log before it is copied into the file: 16 MB, read again after a crash
_SAVE_HOOK = "INSERT OR REPLACE INTO hooks (name, sealed) VALUES (?, ?)"
_DROP_EVENTS = "DELETE FROM events WHERE hook = ?"
_DROP_HOOK = "DELETE FROM hooks WHERE name = ?"


class SqliteOutbox:
    """
    A Queue in one file. One process, one event loop.

    Batches are packed where they are handed over and written by one thread; reads run where they are called.
    """

    def __init__(
        self, writer: QueueWriter, reading: sqlite3.Connection, at_rest: AtRest, idents: Idents, epoch: int
    ) -> None:
        """Take over open connections; use :meth:`open`."""
        self._writer = writer
        self._reading = reading
        self._at_rest = at_rest
        self._idents = idents
        self._reads = QueueReads(reading, at_rest, idents)
        self._writes = QueueWrites(at_rest)
        self._next = epoch << EPOCH_SHIFT
        self._closed = False

    @classmethod
    def open(cls, path: Path, key_path: Path, *, random: Random) -> Self:
        """Open the database, or make it and its key file; see ``sqlite_opening.open_database`` for what it raises."""
        opened = open_database(path, key_path, random=random, schema=QUEUE)
        key: SymmetricKey = load_key(key_path)
        with mapped():
            opened.writing.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
            opened.writing.execute("BEGIN IMMEDIATE")
            (epoch,) = opened.writing.execute(_EPOCH).fetchone()
            opened.writing.execute(_ERASE_ENDED)
            opened.writing.execute(_ERASE_PROGRESS)
            opened.writing.execute("COMMIT")
        return cls(QueueWriter(opened.writing), opened.reading, opened.at_rest, Idents(key), epoch)

    def numbers(self, count: int) -> int:
        """See :meth:`hushbell.ports.outbox.Queue.numbers`."""
        first = self._next
        self._next += count
        return first

    def idents(self, first: int, count: int) -> Sequence[bytes]:
        """See :meth:`hushbell.ports.outbox.Queue.idents`."""
        return self._idents.of(first, count)

    def number_of(self, ident: bytes) -> int | None:
        """See :meth:`hushbell.ports.outbox.Queue.number_of`."""
        return self._idents.number(ident)

    def commit(self, batch: Changes, done: Committed) -> None:
        """See :meth:`hushbell.ports.outbox.Queue.commit`."""
        self._writer.put(self._writes.steps(batch), done)

    def open_jobs(self) -> Iterator[OpenJob]:
        """See :meth:`hushbell.ports.outbox.Queue.open_jobs`."""
        self._check_open()
        with mapped():
            for waiting in self._reads.open_jobs():
                if not self._writes.has_ended(waiting.number):
                    yield waiting

    def jobs(self, numbers: Sequence[int]) -> Sequence[tuple[Job, JobProgress | None]]:
        """See :meth:`hushbell.ports.outbox.Queue.jobs`."""
        self._check_open()
        with mapped():
            found = [self._reads.job(number) for number in numbers if not self._writes.has_ended(number)]
        jobs = [one for one in found if one is not None]
        self._writes.expect_progress(progress.number for _, progress in jobs if progress is not None)
        return jobs

    def find(self, number: int) -> JobResult | tuple[Job, JobProgress | None] | None:
        """See :meth:`hushbell.ports.outbox.Queue.find`."""
        self._check_open()
        with mapped():
            ended = self._reads.ended(number)
            found = ended or self._reads.job_with(number)
        if found is None or isinstance(found, JobResult):
            return found
        return None if self._writes.has_ended(found[0].number) else found

    def dead(self, app: str, after: int, limit: int) -> Sequence[DeadToken]:
        """See :meth:`hushbell.ports.outbox.Queue.dead`."""
        self._check_open()
        with mapped():
            return self._reads.dead(app, after, limit)

    def due_events(self, now: Millis, after: int, limit: int) -> Sequence[WebhookEvent]:
        """See :meth:`hushbell.ports.outbox.Queue.due_events`."""
        self._check_open()
        with mapped():
            return self._reads.due_events(now, after, limit)

    def hooks(self) -> Sequence[Webhook]:
        """See :meth:`hushbell.ports.outbox.Queue.hooks`."""
        self._check_open()
        with mapped():
            return self._reads.hooks()

    def save_hook(self, hook: Webhook) -> None:
        """See :meth:`hushbell.ports.outbox.Queue.save_hook`."""
        sealed = self._at_rest.seal("hooks", hook.name.encode(), pack_hook(hook))
        self._writer.write([Step(_SAVE_HOOK, [(hook.name, sealed)])])

    def drop_hook(self, name: str) -> bool:
        """See :meth:`hushbell.ports.outbox.Queue.drop_hook`."""
        existed = any(hook.name == name for hook in self.hooks())
        self._writer.write([Step(_DROP_EVENTS, [(name,)]), Step(_DROP_HOOK, [(name,)])])
        return existed

    def repeatable(self, digest: bytes) -> IdempotentResponse | None:
        """See :meth:`hushbell.ports.outbox.Queue.repeatable`."""
        self._check_open()
        with mapped():
            return self._reads.repeatable(digest)

    def forget(self, before: Millis, limit: int) -> int:
        """See :meth:`hushbell.ports.outbox.Queue.forget`; whole days are dropped."""
        first = before // MILLIS_PER_DAY  # the first day that is kept
        steps = [Step(_FORGET_ENDED, [(limit, first)])]
        for table, column, kept, key in (
            ("answers", "day", first, "digest"),
            ("dead", "at", first * MILLIS_PER_DAY, "cursor"),
            ("events", "at", first * MILLIS_PER_DAY, "number"),
        ):
            some = f"SELECT {key} FROM {table} WHERE {column} < ? LIMIT ?"  # noqa: S608
            steps.append(Step(f"DELETE FROM {table} WHERE {key} IN ({some})", [(kept, limit)]))  # noqa: S608
        return self._writer.write(steps)

    def close(self) -> None:
        """See :meth:`hushbell.ports.outbox.Queue.close`."""
        if not self._closed:
            self._closed = True
            self._writer.close(self._writes.rest())
            self._reading.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the queue is closed")
