"""What the queue's tables say."""

import sqlite3
from collections.abc import Iterator, Sequence

from hushbell.core.delivery.changes import DeadToken, IdempotentResponse
from hushbell.core.delivery.job import Job, JobProgress, JobResult, OpenJob
from hushbell.core.delivery.webhook import Webhook, WebhookEvent
from hushbell.stores.at_rest import AtRest
from hushbell.stores.sqlite.idents import Idents
from hushbell.stores.sqlite.outbox_rows import (
    notifications_in,
    unpack_dead,
    unpack_event,
    unpack_hook,
    unpack_job,
    unpack_progress,
    unpack_run,
)
from hushbell.stores.sqlite.outbox_writes import row_name
from hushbell.types import Millis

_OPEN = "SELECT number, app, provider, pushes, length(sealed) FROM jobs ORDER BY number"
_JOB = """
SELECT jobs.sealed, progress.packed
FROM jobs LEFT JOIN progress ON progress.number = jobs.number
WHERE jobs.number = ?
"""
_JOB_BEFORE = "SELECT number FROM jobs WHERE number <= ? ORDER BY number DESC LIMIT 1"
_ENDED = "SELECT number, packed FROM ended WHERE number <= ? ORDER BY number DESC LIMIT 1"
_DEAD = "SELECT cursor, at, sealed FROM dead WHERE app = ? AND cursor > ? ORDER BY cursor LIMIT ?"
_EVENTS = """
SELECT number, hook, at, due_at, attempts, sealed FROM events
WHERE due_at <= ? AND number > ? ORDER BY number LIMIT ?
"""


class QueueReads:
    """Reads on a connection of their own."""

    def __init__(self, connection: sqlite3.Connection, at_rest: AtRest, idents: Idents) -> None:
        self._connection = connection
        self._open = at_rest.open
        self._idents = idents

    def open_jobs(self) -> Iterator[OpenJob]:
        """Return every job on the disk."""
        for number, app, provider, pushes, size in self._connection.execute(_OPEN):
            yield OpenJob(number, app, provider, pushes, size)

    def job(self, number: int) -> tuple[Job, JobProgress | None] | None:
        """Return a job and how far it is, if it is on the disk."""
        row = self._connection.execute(_JOB, (number,)).fetchone()
        if row is None:
            return None
        contents = self._open("jobs", row_name(number), row[0])
        job = unpack_job(number, contents, self._idents.of(number, notifications_in(contents)))
        return job, None if row[1] is None else unpack_progress(number, row[1])

    def job_with(self, number: int) -> tuple[Job, JobProgress | None] | None:
        """Return the job that a notification is part of."""
        row = self._connection.execute(_JOB_BEFORE, (number,)).fetchone()
        found = None if row is None else self.job(row[0])
        return found if found is not None and number < row[0] + len(found[0].notifications) else None

    def ended(self, number: int) -> JobResult | None:
        """Return the ended job that a notification was part of."""
        row = self._connection.execute(_ENDED, (number,)).fetchone()
        if row is None:
            return None
        return next((one for one in unpack_run(row[0], row[1]) if one.covers(number)), None)

    def dead(self, app: str, after: int, limit: int) -> Sequence[DeadToken]:
        """Return dead tokens of an app after a cursor."""
        return [
            unpack_dead(app, cursor, at, self._open("dead", app.encode(), sealed))
            for cursor, at, sealed in self._connection.execute(_DEAD, (app, after, limit))
        ]

    def due_events(self, now: Millis, after: int, limit: int) -> Sequence[WebhookEvent]:
        """Return events that are due."""
        return [
            WebhookEvent(
                hook,
                unpack_event(self._open("events", hook.encode(), sealed)),
                Millis(at),
                number,
                attempts,
                Millis(due_at),
            )
            for number, hook, at, due_at, attempts, sealed in self._connection.execute(_EVENTS, (now, after, limit))
        ]

    def hooks(self) -> Sequence[Webhook]:
        """Return every hook."""
        return [
            unpack_hook(name, self._open("hooks", name.encode(), sealed))
            for name, sealed in self._connection.execute("SELECT name, sealed FROM hooks ORDER BY name")
        ]

    def repeatable(self, digest: bytes) -> IdempotentResponse | None:
        """Return the answer that was given under a key."""
        row = self._connection.execute("SELECT request, answer, at FROM answers WHERE digest = ?", (digest,)).fetchone()
        return None if row is None else IdempotentResponse(digest, row[0], row[1], Millis(row[2]))
