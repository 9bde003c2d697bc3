"""The tables, and how a database of any earlier version becomes one of today's."""

import contextlib
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from hushbell.errors import StoreMismatch, StoreUnavailable
from hushbell.stores.at_rest import make_folder, sync_folder
from hushbell.stores.sqlite.errors import mapped

APPLICATION_ID = 0x68626C31  # "hbl1": how file(1) and we tell our databases from others
OLDEST_SQLITE = (3, 37, 0)  # STRICT tables
BUSY_WRITING = 5.0  # seconds to wait for somebody else's lock, such as an operator's shell
BUSY_READING = 0.5  # readers of a WAL wait for nobody, except while it is recovered
CACHE = 16 * 1024  # KiB of pages in memory, of each connection
WAL_LEFT = 64 * 1024 * 1024  # bytes of log file that a checkpoint leaves; a burst does not keep the disk for ever

VERSION_1 = """
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

CREATE TABLE outbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT,  -- arrival of the request << 20 | number of the push in it
    notification_id TEXT NOT NULL UNIQUE,     -- UUID
    request BLOB NOT NULL,                    -- wrapper id of the request, 32 bytes
    position INTEGER NOT NULL,                -- in the request, from 0
    due_at INTEGER NOT NULL,                  -- Unix time, ms
    attempts INTEGER NOT NULL,                -- so far
    expires_at INTEGER NOT NULL,              -- Unix time, ms
    sealed BLOB NOT NULL                      -- everything else of the push, sealed
) STRICT;

CREATE INDEX outbox_by_due ON outbox (due_at);

CREATE TABLE settled (
    notification_id TEXT PRIMARY KEY NOT NULL,  -- UUID
    place INTEGER NOT NULL,                     -- as it was in the outbox
    state TEXT NOT NULL,                        -- delivered | dropped | failed | expired
    attempts INTEGER NOT NULL,
    day INTEGER NOT NULL                        -- days since 1970, UTC
) STRICT, WITHOUT ROWID;

CREATE INDEX settled_by_day ON settled (day);

CREATE TABLE query_keys (
    owner BLOB PRIMARY KEY NOT NULL,  -- key hash, 64 bytes
    sealed BLOB NOT NULL              -- symmetric key of the owner's query topic, sealed
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
    name TEXT PRIMARY KEY NOT NULL,  -- check: tells whether the key file is the right one; identity: a private key
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
"""

MIGRATIONS = (VERSION_1,)  # number n brings a database of version n to n + 1; what is here never changes
NEWEST = len(MIGRATIONS)


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one kind of database."""

    application_id: int
    migrations: tuple[str, ...]  # number n brings a database of version n to n + 1

    @property
    def newest(self) -> int:
        """Return the version that this program makes."""
        return len(self.migrations)


MAIN = Schema(APPLICATION_ID, MIGRATIONS)


def create_file(path: Path) -> None:
    """
    Make the folder (0700) and an empty database file (0600), both on the disk before this returns.

    The log files beside it take over the mode of the database.
    """
    make_folder(path.parent)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.fchmod(handle, 0o600)
        os.fsync(handle)
    finally:
        os.close(handle)
    sync_folder(path.parent)


def connect(path: Path, *, busy: float) -> sqlite3.Connection:
    """Open a database so that a commit returns only when it survives a power cut."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        raise StoreUnavailable(f"SQLite {sqlite3.sqlite_version} is too old; {needed} is the oldest that works")
    with mapped(), contextlib.ExitStack() as opened:
        connection = sqlite3.connect(path, timeout=busy, isolation_level=None, check_same_thread=False)
        opened.enter_context(contextlib.closing(connection))
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "fullfsync = ON",  # macOS: a plain fsync stops at the drive's own memory
            "checkpoint_fullfsync = ON",
            "secure_delete = FAST",
            "temp_store = MEMORY",
            f"cache_size = -{CACHE}",
            f"journal_size_limit = {WAL_LEFT}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        opened.pop_all()
    return connection


def version_of(connection: sqlite3.Connection, path: Path, schema: Schema = MAIN) -> int:
    """
    Return the version of the tables, 0 for an empty database.

    Raises:
        StoreMismatch: the database is another program's, or a newer hushbell's.
    """
    with mapped():
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != schema.application_id and (application or version or tables):
        raise StoreMismatch(f"{path}: not a hushbell database")
    if version > schema.newest:
        raise StoreMismatch(
            f"{path}: the database has schema version {version}, this hushbell knows up to {schema.newest}; "
            f"run the newer hushbell that made it"
        )
    return int(version)


def migrate(connection: sqlite3.Connection, version: int, schema: Schema = MAIN) -> None:
    """Bring the tables from a version to today's, in the transaction of the caller."""
    for step in schema.migrations[version:]:
        for statement in step.split(";\n"):
            if statement.strip():
                connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {schema.application_id}")
    connection.execute(f"PRAGMA user_version = {schema.newest}")
