"""The tables of the gateway's queue, ``gateway.db``."""

from hushbell.stores.sqlite.schema import Schema

APPLICATION_ID = 0x68626C32  # "hbl2"

VERSION_1 = """
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

CREATE TABLE ended (
    number INTEGER PRIMARY KEY NOT NULL,  -- of the first notification of a run of jobs without a gap
    last INTEGER NOT NULL,                -- of its last notification
    day INTEGER NOT NULL,                 -- days since 1970, UTC
    packed BLOB NOT NULL                  -- states, attempts and reasons; neither tokens nor payloads
) STRICT;

CREATE TABLE dead (
    cursor INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL,
    at INTEGER NOT NULL,  -- Unix time, ms
    sealed BLOB NOT NULL  -- the token and what its provider said, sealed
) STRICT;

CREATE INDEX dead_by_app ON dead (app, cursor);

CREATE TABLE hooks (
    name TEXT PRIMARY KEY NOT NULL,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    hook TEXT NOT NULL,
    at INTEGER NOT NULL,        -- Unix time, ms
    due_at INTEGER NOT NULL,    -- Unix time, ms
    attempts INTEGER NOT NULL,  -- so far
    sealed BLOB NOT NULL        -- what the hook is told, sealed
) STRICT;

CREATE INDEX events_by_due ON events (due_at);

CREATE TABLE answers (
    digest BLOB PRIMARY KEY NOT NULL,  -- SHA-256 of app and key, 32 bytes
    day INTEGER NOT NULL,              -- days since 1970, UTC
    at INTEGER NOT NULL,               -- Unix time, ms
    request BLOB NOT NULL,             -- SHA-256 of the body, 32 bytes
    answer BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX answers_by_day ON answers (day);

CREATE TABLE secrets (
    name TEXT PRIMARY KEY NOT NULL,  -- check: tells whether the key file is the right one
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE counts (
    name TEXT PRIMARY KEY NOT NULL,  -- epoch: how often the queue was opened
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

MIGRATIONS = (VERSION_1,)  # number n brings a database of version n to n + 1; what is here never changes


QUEUE = Schema(APPLICATION_ID, MIGRATIONS)
