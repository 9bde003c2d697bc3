"""How a database is opened: with its own key, at today's version, or not at all."""

import contextlib
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hushbell.errors import ConfigError, StoreCorrupt, StoreMismatch, StoreUnavailable
from hushbell.stores.at_rest import AtRest, load_key, load_or_create_key, make_folder, sync_folder
from hushbell.stores.sqlite.errors import mapped
from hushbell.stores.sqlite.schema import Schema, run_script
from hushbell.types import Random, SymmetricKey

OLDEST_SQLITE = (3, 37, 0)  # STRICT tables
BUSY_WRITING = 5.0  # seconds to wait for another process's lock, such as an operator's shell
BUSY_READING = 0.5  # readers of a WAL wait only while it is recovered
CACHE = 16 * 1024  # KiB of pages in memory, of each connection
WAL_LEFT = 64 * 1024 * 1024  # bytes of log file that a checkpoint leaves; a burst does not keep the disk for ever
STATEMENTS = 512  # prepared, of each connection; one of many rows is another for each number of rows
_CHECK = b"the key file belongs to this database"


@dataclass(frozen=True, slots=True)
class Database:
    """A database that passed all checks. The holder closes both connections."""

    writing: sqlite3.Connection
    reading: sqlite3.Connection  # cannot write
    at_rest: AtRest
    key: SymmetricKey


def open_database(path: Path, key_path: Path, schema: Schema, *, random: Random) -> Database:
    """
    Open the database, or make it and its key file (32 bytes, mode 0600).

    Raises:
        ConfigError: the folder or the key file cannot be used; says what to do.
        StoreMismatch: the key file is missing or another database's, or the database is a newer program's.
        StoreUnavailable: the file is locked or cannot be read or written.
        StoreCorrupt: the file is damaged.
    """

    def key_of(version: int) -> SymmetricKey:
        return _key(path, key_path, is_new=version == 0, random=random)

    return _open(path, key_of, schema, random=random, key_path=key_path)


def open_with_key(path: Path, key: SymmetricKey, schema: Schema, *, random: Random) -> Database:
    """Open a database whose key its owner keeps elsewhere; raises as :func:`open_database` does."""
    return _open(path, lambda _: key, schema, random=random)


def _open(
    path: Path,
    key_of: Callable[[int], SymmetricKey],
    schema: Schema,
    *,
    random: Random,
    key_path: Path | None = None,
) -> Database:
    """``key_of`` gets the version of the database. With a ``key_path``, the database says which key is its own."""
    try:
        _create_file(path)
    except OSError as error:
        raise ConfigError(f"{path}: the database cannot be made or opened: {error.strerror}") from error
    with contextlib.ExitStack() as opened:
        writing = opened.enter_context(contextlib.closing(_connect(path, busy=BUSY_WRITING)))
        version = _version_of(writing, path, schema)
        key = key_of(version)
        at_rest = AtRest(key, random=random)
        if version and key_path is not None:
            _check_key(writing, at_rest, path, key_path)
        if 0 < version < schema.version:
            _keep_copy(writing, path, version)
        if version < schema.version:
            _bring_up_to_date(writing, version, at_rest, path, schema, names_key=key_path is not None)
        reading = opened.enter_context(contextlib.closing(_connect(path, busy=BUSY_READING)))
        with mapped():
            reading.execute("PRAGMA query_only = ON")
            # One text that is no UTF-8 must not fail a query for many rows.
            reading.text_factory = partial(str, encoding="utf-8", errors="replace")
        opened.pop_all()
    return Database(writing, reading, at_rest, key)


def _create_file(path: Path) -> None:
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


def _connect(path: Path, *, busy: float) -> sqlite3.Connection:
    """Open a database so that a commit returns only when it survives a power cut."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        raise StoreUnavailable(f"SQLite {sqlite3.sqlite_version} is too old; {needed} is the oldest that works")
    with mapped(), contextlib.ExitStack() as opened:
        connection = sqlite3.connect(
            path, timeout=busy, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS
        )
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


def _version_of(connection: sqlite3.Connection, path: Path, schema: Schema) -> int:
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
        raise StoreMismatch(f"{path}: not a hushbell database of this kind")
    if version > schema.version:
        raise StoreMismatch(
            f"{path}: the database has schema version {version}, this hushbell knows up to {schema.version}; "
            f"run the newer hushbell that made it, or go back to a copy (docs/operations.md)"
        )
    return int(version)


def _key(path: Path, key_path: Path, *, is_new: bool, random: Random) -> SymmetricKey:
    """Return the key; only a new database may get a new one."""
    if is_new:
        return load_or_create_key(key_path, random=random)
    try:
        return load_key(key_path)
    except FileNotFoundError as error:
        raise StoreMismatch(
            f"{key_path}: the key of the database {path} is missing; restore it from a backup"
        ) from error
    except OSError as error:
        raise ConfigError(f"{key_path}: the storage key cannot be read: {error.strerror}") from error


def _check_key(connection: sqlite3.Connection, at_rest: AtRest, path: Path, key_path: Path) -> None:
    """Refuse a key that is not the database's before anything is read or written with it."""
    with mapped():
        row = connection.execute("SELECT sealed FROM secrets WHERE name = 'check'").fetchone()
    try:
        found = None if row is None else at_rest.open("secrets", b"check", row[0])
    except StoreCorrupt as error:
        raise StoreMismatch(f"{key_path}: not the key of the database {path}; restore the right one") from error
    if found != _CHECK:
        raise StoreMismatch(f"{path}: the database names no key")


def _keep_copy(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """
    Keep the database as ``NAME.vVERSION`` before it is migrated, on the disk before this returns.

    A copy that is there already is never overwritten: the next one is ``NAME.vVERSION.2``.
    """
    partial = path.with_name(f".{path.name}.copy")
    try:
        partial.unlink(missing_ok=True)  # a copy that was cut off
        partial.touch(0o600)
        with mapped(), contextlib.closing(sqlite3.connect(partial)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, to be moved as one
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        number = 1
        while True:
            with contextlib.suppress(FileExistsError):
                os.link(partial, path.with_name(f"{path.name}.v{version}" + (f".{number}" if number > 1 else "")))
                break
            number += 1
        partial.unlink()
        sync_folder(path.parent)
    except OSError as error:
        raise ConfigError(
            f"{path}: it cannot be copied before its tables are changed: {error.strerror}; "
            "make room for a second copy of it"
        ) from error


def _bring_up_to_date(
    connection: sqlite3.Connection, version: int, at_rest: AtRest, path: Path, schema: Schema, *, names_key: bool
) -> None:
    """Make the tables and the row that identifies the key, or migrate older tables, in one transaction."""
    with mapped():
        connection.execute("BEGIN IMMEDIATE")  # the caller closes the connection on an error, which rolls back
        if _version_of(connection, path, schema) != version:
            raise StoreUnavailable(f"{path}: another process changes the tables")
        if version == 0:
            run_script(connection, schema.tables)
            if names_key:
                sealed = at_rest.seal("secrets", b"check", _CHECK)
                connection.execute("INSERT INTO secrets (name, sealed) VALUES ('check', ?)", (sealed,))
        else:
            for step in range(version, schema.version):
                schema.migrations[step](connection, at_rest)
        connection.execute(f"PRAGMA application_id = {schema.application_id}")
        connection.execute(f"PRAGMA user_version = {schema.version}")
        connection.execute("COMMIT")
