"""
The window of messages that were seen: nothing in it is handed on twice, and it survives a restart.

An entry goes to disk only some time after its message was handed on, when the receiver has surely finished with it. So
a kill costs the newest entries: their messages may be fetched from a store and handed on once more, which the server's
rules meet, and none is missed for being in the window.
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

SETTLED = 30_000  # ms after which whoever was handed a message has finished with it
BUSY = 5.0  # seconds that a write waits for another process's
PASSING = (sqlite3.OperationalError, OSError)  # a full disk, somebody else's lock
SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (key BLOB PRIMARY KEY NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_by_time ON seen (at);
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) WITHOUT ROWID;
"""

Entry = tuple[bytes, Millis]
"""A message's fingerprint, and when it was seen first."""


@dataclass(frozen=True, slots=True)
class WindowChanges:
    """What may go to disk: messages nobody needs again, and the time before which all were handed on, if it moved."""

    keys: Sequence[Entry]
    covered: Millis | None


class SeenWindow:
    """
    The window in memory.

    Args:
        limit: entries; beyond it the oldest go.
        age: ms after which an entry goes.
        known: what is on disk, oldest first.
    """

    def __init__(self, *, limit: int, age: int, known: Iterable[Entry] = ()) -> None:
        self._limit = limit
        self.age = age
        self._first: dict[bytes, Millis] = dict(known)  # in the order of arrival
        self._handed: deque[tuple[bytes | None, Millis, Millis]] = deque()  # key or mark, handed at, first seen or mark

    def __len__(self) -> int:
        return len(self._first)

    def add(self, key: bytes, now: Millis) -> bool:
        """Remember a message; return whether it is new."""
        if key in self._first:
            return False
        self._first[key] = now
        if len(self._first) > self._limit:
            del self._first[next(iter(self._first))]
        return True

    def forget(self, key: bytes) -> None:
        """Let a message come again that could not be handed on."""
        self._first.pop(key, None)

    def handed(self, key: bytes, now: Millis) -> None:
        """Note that somebody works on the message."""
        first = self._first.get(key)
        if first is not None:
            self._handed.append((key, now, first))

    def covered(self, until: Millis, now: Millis) -> None:
        """Note that everything published before ``until`` was handed on by now."""
        self._handed.append((None, now, until))

    def settled(self, before: Millis) -> WindowChanges:
        """Return, once, what was handed on before then; and let go of entries that are too old."""
        keys: list[Entry] = []
        covered: Millis | None = None
        while self._handed and self._handed[0][1] <= before:
            key, _, value = self._handed.popleft()
            if key is None:
                covered = value
            else:
                keys.append((key, value))
        self._expire(Millis(before - self.age))
        return WindowChanges(keys, covered)

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
    What of the window is on disk, and until when everything published is known to have been handed on.

    Each call opens and closes the SQLite database, so that any thread may make it.

    Raises:
        StoreUnavailable: it cannot be opened or written.
        StoreCorrupt: it is no database. Deleting it costs what was missed since the last stop.
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

    def save(self, settled: WindowChanges, drop_before: Millis) -> None:
        """Add the entries, move the mark and drop what is older than ``drop_before``; all of it or nothing."""
        try:
            with closing(self._open()) as database, database:
                database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", settled.keys)
                if settled.covered is not None:
                    database.execute("INSERT OR REPLACE INTO marks VALUES ('covered', ?)", (settled.covered,))
                database.execute("DELETE FROM seen WHERE at < ?", (drop_before,))
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=BUSY)
        # What a power cut takes are the newest entries, never the order in which they were written.
        try:
            database.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _failure(self, error: sqlite3.Error | OSError) -> StoreError:
        text = f"the window of seen messages in {self._path}: {error}"
        return StoreUnavailable(text) if isinstance(error, PASSING) else StoreCorrupt(text)
