"""How a database is opened: with its own key, at today's version, or not at all."""

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from hushbell.errors import ConfigError, StoreCorrupt, StoreMismatch, StoreUnavailable
from hushbell.stores.at_rest import AtRest, load_key, load_or_create_key
from hushbell.stores.sqlite.errors import mapped
from hushbell.stores.sqlite.schema import (
    BUSY_READING,
    BUSY_WRITING,
    MAIN,
    Schema,
    connect,
    create_file,
    migrate,
    version_of,
)
from hushbell.types import Random, SymmetricKey

_CHECK = b"the key file belongs to this database"


@dataclass(frozen=True, slots=True)
class OpenDatabase:
    """A database that was found in order. Whoever holds it closes both connections."""

    writing: sqlite3.Connection
    reading: sqlite3.Connection  # cannot write
    at_rest: AtRest


def open_database(path: Path, key_path: Path, *, random: Random, schema: Schema = MAIN) -> OpenDatabase:
    """
    Open the database, or make it and its key file (32 bytes, mode 0600).

    Raises:
        ConfigError: the folder or the key file cannot be used; says what to do.
        StoreMismatch: the key file is missing or another database's, or the database is a newer program's.
        StoreUnavailable: the file is locked or cannot be read or written.
        StoreCorrupt: the file is damaged.
    """
    try:
        create_file(path)
    except OSError as error:
        raise ConfigError(f"{path}: the database cannot be made or opened: {error.strerror}") from error
    with contextlib.ExitStack() as opened:
        writing = opened.enter_context(contextlib.closing(connect(path, busy=BUSY_WRITING)))
        version = version_of(writing, path, schema)
        at_rest = AtRest(_key(path, key_path, is_new=version == 0, random=random), random=random)
        _prepare(writing, version, at_rest, path, schema)
        _check(writing, at_rest, path, key_path)
        reading = opened.enter_context(contextlib.closing(connect(path, busy=BUSY_READING)))
        with mapped():
            reading.execute("PRAGMA query_only = ON")
        opened.pop_all()
    return OpenDatabase(writing, reading, at_rest)


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


def _prepare(connection: sqlite3.Connection, version: int, at_rest: AtRest, path: Path, schema: Schema) -> None:
    """Make the tables and what tells the right key, or bring older tables up to date: all of it, or nothing."""
    if version == schema.newest:
        return
    with mapped():
        connection.execute("BEGIN IMMEDIATE")
        if version_of(connection, path, schema) != version:
            raise StoreUnavailable(f"{path}: another process changes the tables")
        migrate(connection, version, schema)
        if version == 0:
            sealed = at_rest.seal("secrets", b"check", _CHECK)
            connection.execute("INSERT INTO secrets (name, sealed) VALUES ('check', ?)", (sealed,))
        connection.execute("COMMIT")


def _check(connection: sqlite3.Connection, at_rest: AtRest, path: Path, key_path: Path) -> None:
    """Refuse a key that is not the database's before anything is read or written with it."""
    with mapped():
        row = connection.execute("SELECT sealed FROM secrets WHERE name = 'check'").fetchone()
    try:
        found = None if row is None else at_rest.open("secrets", b"check", row[0])
    except StoreCorrupt as error:
        raise StoreMismatch(f"{key_path}: not the key of the database {path}; restore the right one") from error
    if found != _CHECK:
        raise StoreMismatch(f"{path}: the database names no key")
