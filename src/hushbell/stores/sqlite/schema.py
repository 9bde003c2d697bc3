"""
The tables, in sections: a file has one or several of them.

A new database gets the tables as they are here; an older one is brought to them by migrations.py.
"""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hushbell.stores.at_rest import AtRest

SECRETS = """
CREATE TABLE secrets (
    name TEXT PRIMARY KEY NOT NULL,  -- check: shows whether the key file is the right one; identity: a private key
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
"""

SERVER = """
CREATE TABLE registrations (
    owner BLOB NOT NULL,              -- key hash: SHAKE-256 of the compressed key, 64 bytes
    installation_id TEXT NOT NULL,    -- exactly as sent
    version INTEGER NOT NULL,         -- of the last accepted registration, 1 .. 2^63-1
    registered_at INTEGER NOT NULL,   -- Unix time, ms
    dead_since INTEGER,               -- Unix time, ms; the provider said so
    sealed BLOB,                      -- decrypted registration, sealed; NULL: unregistered
    PRIMARY KEY (owner, installation_id)
) STRICT;

CREATE INDEX registrations_live ON registrations (owner) WHERE sealed IS NOT NULL;

CREATE TABLE answers (
    wrapper_id BLOB PRIMARY KEY NOT NULL,  -- Keccak-256, 32 bytes
    day INTEGER NOT NULL,                  -- days since 1970, UTC
    sealed BLOB NOT NULL                   -- encoded response, sealed
) STRICT;

CREATE INDEX answers_by_day ON answers (day);

CREATE TABLE rings (
    ring_id BLOB PRIMARY KEY NOT NULL,  -- SHA-256, 32 bytes
    day INTEGER NOT NULL                -- days since 1970, UTC
) STRICT, WITHOUT ROWID;

CREATE INDEX rings_by_day ON rings (day);

-- Written under version 1 only, and read until it is forgotten.
CREATE TABLE settled (
    notification_id TEXT PRIMARY KEY NOT NULL,  -- UUID
    place INTEGER NOT NULL,
    state TEXT NOT NULL,                        -- delivered | dropped | failed | expired
    attempts INTEGER NOT NULL,
    day INTEGER NOT NULL                        -- days since 1970, UTC
) STRICT, WITHOUT ROWID;

CREATE INDEX settled_by_day ON settled (day);

CREATE TABLE query_keys (
    owner BLOB PRIMARY KEY NOT NULL,  -- key hash, 64 bytes
    sealed BLOB NOT NULL              -- symmetric key of the owner's query topic, sealed
) STRICT, WITHOUT ROWID;
"""

OUTBOX = """
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY NOT NULL,  -- of the first notification; epoch << 40 | place in it
    app TEXT NOT NULL,
    provider TEXT NOT NULL,
    pushes INTEGER NOT NULL,
    sealed BLOB NOT NULL                  -- packed job, sealed; erased soon after it ended
) STRICT;

CREATE TABLE progress (
    number INTEGER PRIMARY KEY NOT NULL,  -- of a job that goes on
    packed BLOB NOT NULL
) STRICT;

CREATE TABLE job_results (
    number INTEGER PRIMARY KEY NOT NULL,  -- of the first notification of a run of jobs without a gap
    last INTEGER NOT NULL,                -- of its last notification
    day INTEGER NOT NULL,                 -- days since 1970, UTC
    packed BLOB NOT NULL                  -- states, attempts and reasons; neither tokens nor payloads
) STRICT;

CREATE TABLE dead_tokens (
    cursor INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL,
    at INTEGER NOT NULL,  -- Unix time, ms
    sealed BLOB NOT NULL  -- the token and what its provider said, sealed
) STRICT;

CREATE INDEX dead_tokens_by_app ON dead_tokens (app, cursor);

CREATE TABLE webhooks (
    name TEXT PRIMARY KEY NOT NULL,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    hook TEXT NOT NULL,         -- name of the webhook
    at INTEGER NOT NULL,        -- Unix time, ms
    due_at INTEGER NOT NULL,    -- Unix time, ms
    attempts INTEGER NOT NULL,  -- so far
    sealed BLOB NOT NULL        -- body of the request, sealed
) STRICT;

CREATE INDEX webhook_events_by_due ON webhook_events (due_at);

CREATE TABLE idempotent_responses (
    digest BLOB PRIMARY KEY NOT NULL,  -- SHA-256 of app and key, 32 bytes
    day INTEGER NOT NULL,              -- days since 1970, UTC
    at INTEGER NOT NULL,               -- Unix time, ms
    request BLOB NOT NULL,             -- SHA-256 of the body, 32 bytes
    answer BLOB NOT NULL               -- sealed
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotent_responses_by_day ON idempotent_responses (day);

CREATE TABLE counts (
    name TEXT PRIMARY KEY NOT NULL,  -- epoch: how often the outbox was opened
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

QUARANTINED = """
CREATE TABLE quarantined (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,  -- name of the table that the row was in
    at INTEGER NOT NULL,   -- Unix time, ms
    why TEXT NOT NULL,
    number INTEGER,        -- of the row, where it has one
    app TEXT,              -- of the row, where it has one
    packed BLOB NOT NULL   -- the row as it was: MessagePack map of column to value, sealed values still sealed
) STRICT;
"""

CLIENT = """
CREATE TABLE fact (
  place INTEGER PRIMARY KEY,
  account BLOB NOT NULL,
  name BLOB NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  content BLOB NOT NULL
);
CREATE INDEX fact_account ON fact (account);
"""

Migration = Callable[[sqlite3.Connection, AtRest], None]
"""Brings a database from one version to the next, in the transaction of the caller."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one kind of database."""

    application_id: int  # by which file(1) and the program recognise the database
    version: int  # that this program makes
    tables: str  # of that version
    migrations: Mapping[int, Migration] = field(default_factory=dict)  # number n brings version n to n + 1


def run_script(connection: sqlite3.Connection, script: str) -> None:
    """Run statements in the transaction of the caller, which ``executescript`` would end."""
    for statement in script.split(";\n"):
        if statement.strip():
            connection.execute(statement)
