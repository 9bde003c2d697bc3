"""
The archive's file: every message once under its hash, and pages of them in the order of time.

``synchronous = NORMAL``: a power cut may cost the last commits, never the file. Other nodes store the same messages,
and nothing promises that a message is in this archive.

The size is that of the pages in use, so the bound holds for the file with its indexes, without the write-ahead log.
Freed pages are used again before the file grows.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Self

from hushbell.errors import ConfigError, StoreCorrupt, StoreError, StoreMismatch, StoreUnavailable

APPLICATION_ID = 0x68626C61  # "hbla"
MAX_LOCK_SECONDS = 5.0  # to wait for the lock of another process, such as an operator's shell
CACHE = 16 * 1024  # KiB of pages in memory
WAL_PAGES = 8_000  # of the log, 32 MiB, after which it is checkpointed; SQLite's own 1,000 cost a third of the speed
WAL_LEFT = 32 * 1024 * 1024  # bytes of log file that a checkpoint leaves
TRIM_STEP = 500  # messages dropped at once
TRIM_TO = 0.98  # of the size; dropping a little more makes room for a while
FIRST, LAST = -(2**63), 2**63 - 1  # the range of a time

SCHEMA = f"""
CREATE TABLE messages (
    hash BLOB PRIMARY KEY NOT NULL,  -- RFC 14, 32 bytes
    timestamp INTEGER NOT NULL,      -- of the sender, ns
    pubsub_topic TEXT NOT NULL,
    content_topic TEXT NOT NULL,
    message BLOB NOT NULL            -- WakuMessage as received
) STRICT;
CREATE INDEX messages_by_time ON messages (timestamp, hash);
CREATE INDEX messages_by_topic ON messages (pubsub_topic, content_topic, timestamp, hash);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = 1;
"""

ArchivePosition = tuple[int, bytes]
"""Timestamp and hash: where a message is in the order of RFC 13."""
_Row = tuple[int, bytes, int, int]  # timestamp, hash, rowid, size of the message


@dataclass(frozen=True, slots=True)
class ArchivedMessage:
    """One message of the archive."""

    hash: bytes
    timestamp: int
    pubsub_topic: str
    content_topic: str
    message: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveQuery:
    """The conditions of a page; all that are given must hold."""

    pubsub_topic: str | None = None
    content_topics: tuple[str, ...] = ()  # only together with the pubsub topic
    hashes: tuple[bytes, ...] = ()  # no other condition than a pubsub topic goes with them
    since: int = FIRST  # ns, inclusive
    until: int = LAST  # ns, inclusive
    after: ArchivePosition | None = None  # exclusive; before it, if not forward
    forward: bool = True


@dataclass(frozen=True, slots=True)
class ArchivePage:
    """Messages in the order of time, in both directions of reading, and whether there are more."""

    messages: tuple[ArchivedMessage, ...]
    has_more: bool


class ArchiveDatabase:
    """One open file. Used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take over a connection; use :meth:`open`."""
        self._connection = connection
        self._page_size = int(connection.execute("PRAGMA page_size").fetchone()[0])

    @classmethod
    def open(cls, path: Path) -> Self:
        """
        Open the file, or make it with mode 0600.

        Raises:
            ConfigError: its folder cannot be used.
            StoreMismatch: it is another program's, or a newer version's.
            StoreCorrupt: it is damaged; the archive can be deleted, and fills again.
            StoreUnavailable: it is locked.
        """
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise ConfigError(f"{path}: the archive cannot be made or opened: {error.strerror}") from error
        with mapped():
            connection = sqlite3.connect(path, timeout=MAX_LOCK_SECONDS, isolation_level=None, check_same_thread=False)
            try:
                _prepare(connection, path)
                return cls(connection)
            except BaseException:
                connection.close()
                raise

    def close(self) -> None:
        """Close the file."""
        with mapped():
            self._connection.close()

    def insert(self, messages: Sequence[ArchivedMessage]) -> int:
        """Add the messages that are new, all or none, and return their number."""
        rows = [(one.hash, one.timestamp, one.pubsub_topic, one.content_topic, one.message) for one in messages]
        with self._transaction() as execute:
            execute.executemany("INSERT OR IGNORE INTO messages VALUES (?, ?, ?, ?, ?)", rows)
            return max(0, execute.rowcount)

    def trim(self, *, oldest: int, size: int, steps: int) -> int:
        """
        Delete messages older than ``oldest`` (ns), then the oldest until the file's content is within ``size`` bytes.

        Never more than ``steps`` times :data:`TRIM_STEP` messages at a time; returns how many were dropped.
        """
        dropped = 0
        goal = size
        for _ in range(steps):
            with self._transaction() as execute:
                step = execute.execute(_DROP_OLD, (oldest, TRIM_STEP)).rowcount
                if not step and self.size > goal:
                    goal = int(size * TRIM_TO)
                    step = execute.execute(_DROP_FIRST, (TRIM_STEP,)).rowcount
            if step <= 0:
                break
            dropped += step
        return dropped

    @property
    def size(self) -> int:
        """Bytes of the file that are in use."""
        pages, free = (int(self._connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in _COUNTS)
        return (pages - free) * self._page_size

    def place(self, hash_: bytes) -> ArchivePosition | None:
        """Return the position of a message, or None if it is not stored."""
        with mapped():
            row = self._connection.execute("SELECT timestamp FROM messages WHERE hash = ?", (hash_,)).fetchone()
        return None if row is None else (int(row[0]), hash_)

    def page(self, query: ArchiveQuery, *, limit: int, size: int) -> ArchivePage:
        """Return at most ``limit`` messages, at least one if there is one, and no more after ``size`` bytes of them."""
        with mapped():
            rows = self._rows(query, limit + 1)
            kept: list[_Row] = []
            left = size
            for row in islice(rows, limit):
                kept.append(row)
                left -= row[3]
                if left <= 0:
                    break
            has_more = next(iter(rows), None) is not None
            ordered = kept if query.forward else kept[::-1]
            return ArchivePage(tuple([self._stored(row) for row in ordered]), has_more)

    def _rows(self, query: ArchiveQuery, limit: int) -> Iterator[_Row]:
        if query.hashes:
            return iter(self._by_hash(query, limit))
        order = "ASC" if query.forward else "DESC"
        beyond = "AND (timestamp, hash) " + (">" if query.forward else "<") + " (?, ?)" if query.after else ""
        window = (query.since, query.until, *(query.after or ()), limit)
        if not query.content_topics:
            sql = _PAGE.format(topics="", beyond=beyond, order=order)
            return iter(self._connection.execute(sql, window).fetchall())
        # One ordered read for each topic, so that no topic's messages are sorted or skipped for another's.
        sql = _PAGE.format(topics="pubsub_topic = ? AND content_topic = ? AND", beyond=beyond, order=order)
        reads = [
            self._connection.execute(sql, (query.pubsub_topic, topic, *window)).fetchall()
            for topic in dict.fromkeys(query.content_topics)
        ]
        return merge(*reads, key=_by_position, reverse=not query.forward)

    def _by_hash(self, query: ArchiveQuery, limit: int) -> list[_Row]:
        marks = ", ".join("?" * len(query.hashes))
        shard = "AND pubsub_topic = ?" if query.pubsub_topic else ""
        sql = f"SELECT {_COLUMNS} FROM messages WHERE hash IN ({marks}) {shard} AND timestamp >= ?"  # noqa: S608
        values = [*query.hashes, *([query.pubsub_topic] if shard else []), query.since]
        rows: list[_Row] = sorted(self._connection.execute(sql, values), reverse=not query.forward)
        if after := query.after:
            rows = [row for row in rows if (_by_position(row) > after if query.forward else _by_position(row) < after)]
        return rows[:limit]

    def _stored(self, row: _Row) -> ArchivedMessage:
        found = self._connection.execute(_WHOLE, (row[2],)).fetchone()
        return ArchivedMessage(row[1], row[0], *found)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with mapped(), closing(self._connection.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    cursor.execute("ROLLBACK")
                raise


_COLUMNS = "timestamp, hash, rowid, length(message)"
_PAGE = (
    f"SELECT {_COLUMNS} FROM messages WHERE {{topics}} timestamp >= ? AND timestamp <= ? {{beyond}} "  # noqa: S608
    "ORDER BY timestamp {order}, hash {order} LIMIT ?"
)
_WHOLE = "SELECT pubsub_topic, content_topic, message FROM messages WHERE rowid = ?"
_DROP = "DELETE FROM messages WHERE rowid IN (SELECT rowid FROM messages {old} ORDER BY timestamp, hash LIMIT ?)"
_DROP_OLD = _DROP.format(old="WHERE timestamp < ?")
_DROP_FIRST = _DROP.format(old="")
_COUNTS = ("page_count", "freelist_count")
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def _by_position(row: _Row) -> ArchivePosition:
    return row[0], row[1]


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    mark = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if (mark != APPLICATION_ID and tables) or version > 1:
        raise StoreMismatch(f"{path}: not an archive of messages, or a newer version's")
    for pragma in (
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "temp_store = MEMORY",
        f"cache_size = -{CACHE}",
        f"wal_autocheckpoint = {WAL_PAGES}",
        f"journal_size_limit = {WAL_LEFT}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    if not tables:
        connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")


@contextmanager
def mapped() -> Iterator[None]:
    """Map SQLite's errors to ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise _meaning(error) from error


def _meaning(error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", None)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code is not None and code & 0xFF in _DAMAGED:
        return StoreCorrupt(f"the archive is damaged ({name}); it can be deleted, and fills again")
    return StoreUnavailable(f"the archive does not answer ({name})")
