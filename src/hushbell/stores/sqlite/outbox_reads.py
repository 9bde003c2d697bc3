"""Look-ups in the outbox's tables. Each takes microseconds, so they run on the event loop itself."""

import sqlite3
from collections.abc import Iterator, Sequence

from hushbell.core.delivery.changes import DeadToken, IdempotentResponse
from hushbell.core.delivery.job import DamagedJob, JobOnDisk, JobResult, OpenJob
from hushbell.core.delivery.state import State
from hushbell.core.delivery.webhook import Webhook, WebhookEvent
from hushbell.errors import StoreCorrupt
from hushbell.stores.at_rest import AtRest
from hushbell.stores.notification_ids import NotificationIds
from hushbell.stores.sqlite.outbox_rows import (
    check_columns,
    notifications_in,
    row_name,
    unpack_dead,
    unpack_event,
    unpack_job,
    unpack_progress,
    unpack_run,
    unpack_webhook,
)
from hushbell.stores.sqlite.quarantine import Quarantine
from hushbell.types import Millis

_OPEN = "SELECT number, app, provider, pushes, length(sealed) FROM jobs ORDER BY number"
_JOB = """
SELECT app, provider, pushes, jobs.sealed, progress.packed
FROM jobs LEFT JOIN progress ON progress.number = jobs.number
WHERE jobs.number = ?"""
_JOB_BEFORE = "SELECT number FROM jobs WHERE number <= ? ORDER BY number DESC LIMIT 1"
_RESULTS = "SELECT number, packed FROM job_results WHERE number <= ? ORDER BY number DESC LIMIT 1"
_DEAD = "SELECT cursor, at, sealed FROM dead_tokens WHERE app = ? AND cursor > ? ORDER BY cursor LIMIT ?"
_EVENTS = """
SELECT number, hook, at, due_at, attempts, sealed FROM webhook_events
WHERE due_at <= ? AND number > ? ORDER BY number LIMIT ?"""
_WEBHOOKS = "SELECT name, CAST(name AS BLOB), sealed FROM webhooks ORDER BY name"
_RESPONSE = "SELECT request, answer, at FROM idempotent_responses WHERE digest = ?"

MAX_PUSHES = 65_536  # of a job that was put aside, in an answer; its column may hold any number
DAMAGED = "DamagedRow"
"""The reason why the pushes of a job that was put aside have failed."""


class OutboxReads:
    """Reads on a connection of their own. A damaged row that is no job is put aside and left out."""

    def __init__(
        self, connection: sqlite3.Connection, at_rest: AtRest, ids: NotificationIds, quarantine: Quarantine
    ) -> None:
        self._connection = connection
        self._open = at_rest.open
        self._ids = ids
        self._quarantine = quarantine

    def open_jobs(self) -> Iterator[OpenJob]:
        """Return every job on the disk."""
        for number, app, provider, pushes, size in self._connection.execute(_OPEN):
            yield OpenJob(number, app, provider, pushes, size)

    def job(self, number: int) -> JobOnDisk | DamagedJob | None:
        """Return a job and how far it is, if it is on the disk."""
        row = self._connection.execute(_JOB, (number,)).fetchone()
        if row is None:
            return None
        app, provider, pushes, sealed, packed = row
        try:
            contents = self._open("jobs", row_name(number), sealed)
            job = unpack_job(number, contents, self._ids.of(number, notifications_in(contents)))
            check_columns(job, app, provider, pushes)
            progress = None if packed is None else unpack_progress(number, packed, pushes)
        except StoreCorrupt as error:
            return DamagedJob(number, app, provider, pushes, str(error))
        return JobOnDisk(job, progress)

    def find(self, number: int) -> JobResult | JobOnDisk | None:
        """Return the job that a notification is or was part of."""
        ended = self._result(number)
        if ended is not None:
            return ended
        row = self._connection.execute(_JOB_BEFORE, (number,)).fetchone()
        found = None if row is None else self.job(row[0])
        if isinstance(found, JobOnDisk) and number < row[0] + len(found.job.notifications):
            return found
        if isinstance(found, DamagedJob) and found.number == number:
            return failed(number, found.app, found.pushes)
        put_aside = self._quarantine.job(number)
        return None if put_aside is None else failed(number, *put_aside)

    def _result(self, number: int) -> JobResult | None:
        row = self._connection.execute(_RESULTS, (number,)).fetchone()
        if row is None:
            return None
        try:
            return next((result for result in unpack_run(row[0], row[1]) if result.covers(number)), None)
        except StoreCorrupt as error:
            self._quarantine.put("job_results", row[0], str(error))
            return None

    def dead_tokens(self, app: str, after: int, limit: int) -> Sequence[DeadToken]:
        """Return dead tokens of an app after a cursor."""
        found = []
        for cursor, at, sealed in self._connection.execute(_DEAD, (app, after, limit)):
            try:
                found.append(unpack_dead(app, cursor, at, self._open("dead", app.encode(), sealed)))
            except StoreCorrupt as error:
                self._quarantine.put("dead_tokens", cursor, str(error))
        return found

    def due_events(self, now: Millis, after: int, limit: int) -> Sequence[WebhookEvent]:
        """Return events that are due."""
        found = []
        for number, name, at, due_at, attempts, sealed in self._connection.execute(_EVENTS, (now, after, limit)):
            try:
                body = unpack_event(self._open("events", name.encode(), sealed))
                found.append(WebhookEvent(name, body, Millis(at), number, attempts, Millis(due_at)))
            except StoreCorrupt as error:
                self._quarantine.put("webhook_events", number, str(error))
        return found

    def webhooks(self) -> Sequence[Webhook]:
        """Return every webhook."""
        found = []
        for name, key, sealed in self._connection.execute(_WEBHOOKS):
            try:
                found.append(unpack_webhook(name, self._open("hooks", key, sealed)))
            except StoreCorrupt as error:
                self._quarantine.put("webhooks", key, str(error))
        return found

    def idempotent_response(self, digest: bytes) -> IdempotentResponse | None:
        """Return the answer that was given under a key."""
        row = self._connection.execute(_RESPONSE, (digest,)).fetchone()
        if row is None:
            return None
        try:
            answer = self._open("idempotent_responses", digest + row[0], row[1])
        except StoreCorrupt as error:
            self._quarantine.put("idempotent_responses", digest, str(error))
            return None
        return IdempotentResponse(digest, row[0], answer, Millis(row[2]))


def failed(number: int, app: str, pushes: int) -> JobResult:
    """Return how a job ended that was put aside. How many notifications it had is unknown: it counts as one."""
    count = min(max(pushes, 0), MAX_PUSHES)
    reasons = tuple((index, DAMAGED) for index in range(count))
    return JobResult(number, app, Millis(0), Millis(0), (count,), bytes([State.FAILED]) * count, bytes(count), reasons)
