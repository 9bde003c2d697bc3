"""
Rows that cannot be read, moved out of the way as they are.

A row goes to the table ``quarantined`` with every column unchanged, sealed values still sealed. An operator lists,
releases or discards it (``hushbell store damaged``).
"""

import logging
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hushbell.core.delivery.changes import QuarantinedRow
from hushbell.errors import StoreError, VersionConflict
from hushbell.stores.sqlite.writer import Result, Step, Writer
from hushbell.types import SECONDS_PER_DAY, Millis

Key = int | bytes

_KEYS = {
    "jobs": "number",
    "progress": "number",
    "job_results": "number",
    "dead_tokens": "cursor",
    "webhooks": "name",
    "webhook_events": "number",
    "idempotent_responses": "digest",
    "answers": "wrapper_id",
    "query_keys": "owner",
}
_WITH = {"jobs": ("jobs", "progress")}  # tables whose rows go together
# SQLite's own clock: it only decides after how many days a row is erased, and rows are met in reads without a time.
_NOW = "CAST(strftime('%s', 'now') AS INTEGER) * 1000"
_INSERT = f"INSERT INTO quarantined (source, at, why, number, app, packed) VALUES (?, {_NOW}, ?, ?, ?, ?)"  # noqa: S608
_LIST = "SELECT id, source, at, why, number, app FROM quarantined ORDER BY id"
_PACKED = "SELECT packed FROM quarantined WHERE id = ?"
_PACKED_JOB = "SELECT packed FROM quarantined WHERE source = 'jobs' AND number = ?"
_DELETE = "DELETE FROM quarantined WHERE id = ?"
_FORGET = f"DELETE FROM quarantined WHERE at < {_NOW} - ? * 1000"  # noqa: S608
KEEP_DAMAGED_DAYS = 30

log = logging.getLogger(__name__)


def quarantine_step(table: str, why: str, number: int | None, app: str | None, packed: bytes) -> Step:
    """Return what adds a row to the list."""
    return Step(_INSERT, [(table, why, number, app, packed)])


def pack_row(rows: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Return rows by their tables, each as a map of its columns, as bytes."""
    return msgspec.msgpack.encode(rows)


class Quarantine:
    """Moves rows there and back."""

    def __init__(self, reading: sqlite3.Connection, writer: Writer, *, keep_days: int) -> None:
        self._reading = reading
        self._writer = writer
        self._keep_seconds = keep_days * SECONDS_PER_DAY
        self._under_way: set[tuple[str, Key]] = set()
        self.count = 0  # rows that were put aside by this process

    def put(self, table: str, key: Key, why: str) -> None:
        """Put a row aside that was met in a read; done some time later, once."""
        if (table, key) in self._under_way:
            return
        self._under_way.add((table, key))

        def done(result: Result) -> None:
            self._under_way.discard((table, key))
            if isinstance(result, StoreError):
                log.error("a damaged row of %s cannot be put aside: %s", table, result)

        self._writer.put(self.steps(table, key, why), done)

    def steps(self, table: str, key: Key, why: str) -> Sequence[Step]:
        """Return what puts a row aside; logs and counts it."""
        rows = {name: found for name in _WITH.get(table, (table,)) if (found := self._row(name, key)) is not None}
        row = rows.get(table)
        if row is None:
            return ()
        number, app = _number(row), _text(row.get("app"))
        self.count += 1
        log.error(
            "a row of %s is damaged and was put aside (number %s, app %s): %s; see: hushbell store damaged",
            table,
            "unknown" if number is None else number,
            "unknown" if app is None else app,
            why,
        )
        return [
            quarantine_step(table, why, number, app, pack_row(rows)),
            *(Step(f"DELETE FROM {name} WHERE {self._condition(name)}", [(key,)]) for name in rows),  # noqa: S608
        ]

    def rows(self) -> Sequence[QuarantinedRow]:
        """Return what was put aside, oldest first."""
        return [
            QuarantinedRow(row, source, Millis(at), why, number, app)
            for row, source, at, why, number, app in self._reading.execute(_LIST)
        ]

    def job(self, number: int) -> tuple[str, int] | None:
        """Return app and number of pushes of a job that was put aside."""
        found = self._reading.execute(_PACKED_JOB, (number,)).fetchone()
        row = None if found is None else msgspec.msgpack.decode(found[0])["jobs"]
        return None if row is None else (_text(row["app"]) or "", row["pushes"])

    async def release(self, row: int) -> bool:
        """Put a row back; return whether it was there, and its place is free."""
        found = self._reading.execute(_PACKED, (row,)).fetchone()
        if found is None:
            return False
        steps = [Step(_DELETE, [(row,)], must_change=True)]
        for table, values in msgspec.msgpack.decode(found[0]).items():
            columns = self._columns(table)
            if not columns:
                return False  # a table of an earlier version
            marks = ", ".join(f"CAST(? AS {columns[name]})" if values[name] is not None else "?" for name in values)
            insert = f"INSERT OR IGNORE INTO {table} ({', '.join(values)}) SELECT {marks}"
            steps.append(Step(insert, [tuple(values.values())], must_change=True))
        try:
            await self._writer.write(steps)
        except VersionConflict:
            return False
        return True

    async def discard(self, row: int) -> bool:
        """Erase a row; return whether it was there."""
        return bool(await self._writer.write([Step(_DELETE, [(row,)])]))

    async def forget(self) -> None:
        """Erase rows that were put aside long enough ago."""
        await self._writer.write([Step(_FORGET, [(self._keep_seconds,)])])

    def _row(self, table: str, key: Key) -> dict[str, Any] | None:
        """Return the columns of a row, texts as bytes: they may be no UTF-8."""
        columns = self._columns(table)
        names = ", ".join(f"CAST({name} AS BLOB)" if kind == "TEXT" else name for name, kind in columns.items())
        select = f"SELECT {names} FROM {table} WHERE {self._condition(table)}"  # noqa: S608
        row = self._reading.execute(select, (key,)).fetchone()
        return None if row is None else dict(zip(columns, row, strict=True))

    def _columns(self, table: str) -> dict[str, str]:
        return {name: kind for _, name, kind, *_ in self._reading.execute(f"PRAGMA table_info({table})")}

    def _condition(self, table: str) -> str:
        return f"{_KEYS[table]} = CAST(? AS {self._columns(table)[_KEYS[table]]})"


def _number(row: dict[str, Any]) -> int | None:
    number = row.get("number", row.get("cursor"))
    return number if isinstance(number, int) else None


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")
