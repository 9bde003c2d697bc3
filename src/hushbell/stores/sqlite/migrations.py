"""Every kind of database, and how one of an earlier version becomes one of today's."""

import sqlite3

from hushbell.stores.at_rest import AtRest
from hushbell.stores.sqlite.schema import CLIENT, OUTBOX, QUARANTINED, SECRETS, SERVER, Schema, run_script

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


def _server_1_to_2(connection: sqlite3.Connection, _: AtRest) -> None:
    """Add the outbox."""
    run_script(connection, OUTBOX + QUARANTINED)


SERVER_SCHEMA = Schema(0x68626C31, 2, SECRETS + SERVER + OUTBOX + QUARANTINED, {1: _server_1_to_2})
"""``hushbell.db``; the id is "hbl1"."""

GATEWAY_SCHEMA = Schema(0x68626C32, 2, SECRETS + OUTBOX + QUARANTINED, {1: _gateway_1_to_2})
"""``gateway.db``; the id is "hbl2"."""

CLIENT_SCHEMA = Schema(0, 1, CLIENT)
"""A client's file, which had no id of its own when it was first made."""
