"""
The window of messages that arrived: no message in it is received twice, and it survives a restart.

An entry is written to disk some time after its message was received, when the reader has finished with it. A kill
therefore costs the newest entries: their messages may be fetched from a store and received once more, which the reader
must bear. No message is lost for being in the window.
"""

import os
import sqlite3
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hushbell.errors import StoreCorrupt, StoreError, StoreUnavailable
from hushbell.types import Millis

SETTLE_MILLIS = 30_000  # after which the reader of a message has finished with it
MAX_LOCK_SECONDS = 5.0  # that a write waits for another process
TRANSIENT = (sqlite3.OperationalError, OSError)  # a full disk, another process's lock
SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (key BLOB PRIMARY KEY NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_by_time ON seen (at);
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) WITHOUT ROWID;
"""

Entry = tuple[bytes, Millis]
"""A message's fingerprint, 16 bytes, and when it arrived first."""


@dataclass(frozen=True, slots=True)
class WindowChanges:
    """What may be written to disk: entries, and the time before which everything was received, if it moved."""

    keys: Sequence[Entry]
    complete_until: Millis | None


class SeenWindow:
    """
    The window in memory.

    Args:
        limit: entries; the oldest are removed first.
        age: ms after which an entry is removed.
        known: what is on disk, oldest first.
    """

    def __init__(self, *, limit: int, age: int, known: Iterable[Entry] = ()) -> None:
        self._limit = limit
        self.age = age
        self._first: dict[bytes, Millis] = dict(known)  # in the order of arrival
        # Key (None for a mark), when it was received, and when the message arrived first or what the mark says.
        self._received: deque[tuple[bytes | None, Millis, Millis]] = deque()

    def __len__(self) -> int:
        return len(self._first)

    def add(self, key: bytes, now: Millis) -> bool:
        """Add a message and return whether it is new."""
        if key in self._first:
            return False
        self._first[key] = now
        if len(self._first) > self._limit:
            del self._first[next(iter(self._first))]
        return True

    def remove(self, key: bytes) -> None:
        """Remove a message that found no room, so that it may arrive again."""
        self._first.pop(key, None)

    def mark_received(self, key: bytes, now: Millis) -> None:
        """Note that the reader has received the message."""
        first = self._first.get(key)
        if first is not None:
            self._received.append((key, now, first))

    def mark_complete(self, until: Millis, now: Millis) -> None:
        """Note that everything published before ``until`` has been received."""
        self._received.append((None, now, until))

    def pop_settled(self, before: Millis) -> WindowChanges:
        """Return, once, what was received before then, and remove entries that are too old."""
        keys: list[Entry] = []
        complete_until: Millis | None = None
        while self._received and self._received[0][1] <= before:
            key, _, value = self._received.popleft()
            if key is None:
                complete_until = value
            else:
                keys.append((key, value))
        self._expire(Millis(before - self.age))
        return WindowChanges(keys, complete_until)

    def _expire(self, before: Millis) -> None:
        old = []
        for key, at in self._first.items():
            if at >= before:
                break
            old.append(key)
        for key in old:
            del self._first[key]


class SeenFile:
    """
    The part of the window that is on disk, and the time before which everything was received.

    Each call opens and closes the SQLite database, so any thread may call.

    Raises:
        StoreUnavailable: it cannot be opened or written.
        StoreCorrupt: it is not a database. If it is deleted, what was missed since the last stop stays missed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            with closing(self._open()) as database:
                database.execute("PRAGMA journal_mode = WAL")
                database.executescript(SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise self._failure(error) from error

    def load(self, since: Millis, limit: int) -> tuple[list[Entry], Millis | None]:
        """Return the newest ``limit`` entries since then, oldest first, and the mark, if there is one."""
        try:
            with closing(self._open()) as database:
                rows = database.execute(
                    "SELECT key, at FROM seen WHERE at >= ? ORDER BY at DESC LIMIT ?", (since, limit)
                ).fetchall()
                mark = database.execute("SELECT value FROM marks WHERE name = 'covered'").fetchone()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return [(bytes(key), Millis(at)) for key, at in reversed(rows)], Millis(mark[0]) if mark else None

    def save(self, changes: WindowChanges, drop_before: Millis) -> None:
        """Add the entries, move the mark and drop what is older than ``drop_before``; all of it or nothing."""
        try:
            with closing(self._open()) as database, database:
                database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", changes.keys)
                if changes.complete_until is not None:
                    database.execute("INSERT OR REPLACE INTO marks VALUES ('covered', ?)", (changes.complete_until,))
                database.execute("DELETE FROM seen WHERE at < ?", (drop_before,))
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=MAX_LOCK_SECONDS)
        # A power cut costs the newest entries, never the order in which they were written.
        try:
            database.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _failure(self, error: sqlite3.Error | OSError) -> StoreError:
        text = f"the window of seen messages in {self._path}: {error}"
        return StoreUnavailable(text) if isinstance(error, TRANSIENT) else StoreCorrupt(text)
