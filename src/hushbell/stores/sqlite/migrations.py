"""Every kind of database, and how one of an earlier version becomes one of today's."""

import sqlite3
import struct

from hushbell.core.delivery.job import Job, JobProgress
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.state import State
from hushbell.core.server.push_body import FORM, PushBody, encode_push_body
from hushbell.errors import StoreCorrupt
from hushbell.stores.at_rest import AtRest
from hushbell.stores.notification_ids import EPOCH_SHIFT
from hushbell.stores.sqlite.outbox_rows import pack_job, pack_progress, row_name
from hushbell.stores.sqlite.quarantine import pack_row, quarantine_step
from hushbell.stores.sqlite.schema import CLIENT, OUTBOX, QUARANTINED, SECRETS, SERVER, Schema, run_script
from hushbell.types import DeviceKey, InstallationId, KeyHash, Millis, NotificationType, TokenType

# Rows are sealed for the table names of version 1 ("dead", "hooks", "events"), and stay so.
_RENAMED = """
ALTER TABLE answers RENAME TO idempotent_responses;
ALTER TABLE dead RENAME TO dead_tokens;
ALTER TABLE ended RENAME TO job_results;
ALTER TABLE hooks RENAME TO webhooks;
ALTER TABLE events RENAME TO webhook_events;
DROP INDEX answers_by_day;
DROP INDEX dead_by_app;
DROP INDEX events_by_due;
CREATE INDEX idempotent_responses_by_day ON idempotent_responses (day);
CREATE INDEX dead_tokens_by_app ON dead_tokens (app, cursor);
CREATE INDEX webhook_events_by_due ON webhook_events (due_at);
"""


def _gateway_1_to_2(connection: sqlite3.Connection, at_rest: AtRest) -> None:
    """Give the outbox's tables the names under which they can share a file with the server's; seal its answers."""
    run_script(connection, _RENAMED + QUARANTINED)
    for digest, request, answer in connection.execute("SELECT digest, request, answer FROM idempotent_responses"):
        sealed = at_rest.seal("idempotent_responses", digest + request, answer)
        connection.execute("UPDATE idempotent_responses SET answer = ? WHERE digest = ?", (sealed, digest))


def _server_1_to_2(connection: sqlite3.Connection, at_rest: AtRest) -> None:
    """Add the outbox, and move the pushes into it."""
    run_script(connection, OUTBOX + QUARANTINED)
    pushes_to_jobs(connection, at_rest)


# Of a push in version 1: form, token_type, type, created_at in ms; then the sizes of what follows.
_PUSH_HEAD = struct.Struct(">Biiq")
_PUSH_SIZES = struct.Struct(">7I")
_PUSH_FORM = 1
_PUSH_PROVIDERS = {TokenType.APN: "apns", TokenType.FIREBASE: "fcm"}  # all that a server of version 1 accepted
_PUSHES = """
SELECT notification_id, attempts, expires_at, sealed, request, position, due_at, place FROM outbox ORDER BY place"""


def pushes_to_jobs(connection: sqlite3.Connection, at_rest: AtRest) -> None:
    """
    Turn the pushes of version 1 into jobs in their order, one for each, and drop the table ``outbox``.

    They get identifiers of the new kind; their collapse ids stay. A push that cannot be read is put aside. Final
    states stay in ``settled`` until they are forgotten.
    """
    connection.execute("INSERT INTO counts VALUES ('epoch', 1)")
    number = 1 << EPOCH_SHIFT
    for row in connection.execute(_PUSHES).fetchall():
        name, attempts, expires_at, sealed, *_ = row
        try:
            job = _job_of(number, at_rest.open("outbox", name.encode(), sealed), expires_at)
        except StoreCorrupt as error:
            columns = ("notification_id", "attempts", "expires_at", "sealed", "request", "position", "due_at", "place")
            packed = pack_row({"outbox": dict(zip(columns, row, strict=True))})
            sql, (values,), _ = quarantine_step("outbox", str(error), row[-1], "server", packed)
            connection.execute(sql, values)
            continue
        contents = at_rest.seal("jobs", row_name(number), pack_job(job))
        connection.execute("INSERT INTO jobs VALUES (?, 'server', ?, 1, ?)", (number, job.provider, contents))
        if attempts:
            progress = JobProgress(number, bytes([State.RETRYING]), bytes([min(attempts, 255)]))
            connection.execute("INSERT INTO progress VALUES (?, ?)", (number, pack_progress(progress)))
        number += 1
    connection.execute("DROP TABLE outbox")


def _job_of(number: int, contents: bytes, expires_at: int) -> Job:
    """Return the job of a push of version 1; raises StoreCorrupt."""
    try:
        form, token_type, kind, created_at = _PUSH_HEAD.unpack_from(contents)
        parts, start = [], _PUSH_HEAD.size + _PUSH_SIZES.size
        for size in _PUSH_SIZES.unpack_from(contents, _PUSH_HEAD.size):
            parts.append(contents[start : start + size])
            start += size
        if form != _PUSH_FORM or start != len(contents):
            raise StoreCorrupt("the contents of a push do not parse")
        key_hash, installation_id, device_token, apn_topic, chat_id, message, collapse_id = parts
        body = PushBody(
            DeviceKey(KeyHash(key_hash), InstallationId(installation_id.decode())),
            token_type,
            apn_topic.decode(),
            NotificationType(kind),
            chat_id,
            message,
            Millis(created_at),
        )
        notification = Notification(
            ident=b"",  # comes from the number
            app="server",
            target_kind="token",
            targets=(device_token.decode(),),
            message=Message(_PUSH_PROVIDERS[TokenType(token_type)], encode_push_body(body), form=FORM),
            expires_at=Millis(expires_at),
            collapse_id=collapse_id.decode(),
        )
    except (struct.error, ValueError, KeyError) as error:
        raise StoreCorrupt("the contents of a push do not parse") from error
    return Job(number, "server", Millis(created_at), (notification,))


SERVER_SCHEMA = Schema(0x68626C31, 2, SECRETS + SERVER + OUTBOX + QUARANTINED, {1: _server_1_to_2})
"""``hushbell.db``; the id is "hbl1"."""

GATEWAY_SCHEMA = Schema(0x68626C32, 2, SECRETS + OUTBOX + QUARANTINED, {1: _gateway_1_to_2})
"""``gateway.db``; the id is "hbl2"."""

CLIENT_SCHEMA = Schema(0, 1, CLIENT)
"""A client's file, which had no id of its own when it was first made."""
