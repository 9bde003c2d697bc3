"""
One thread writes the queue, one batch at a time.

The batch was packed by whoever hands it over; the thread lets go of the interpreter while SQLite works and syncs, so
that the event loop goes on. What came of it is handed back with one call for the whole batch.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from hushbell.errors import StoreError, StoreUnavailable
from hushbell.ports.outbox import Committed
from hushbell.stores.sqlite.errors import meaning

TOGETHER = 64  # rows in one statement


@dataclass(frozen=True, slots=True)
class Step:
    """One statement, for each of its rows. One that ends with VALUES gets the rows behind it."""

    sql: str
    rows: Sequence[tuple[Any, ...]]


@dataclass(slots=True, eq=False)
class _Waiting:
    """A call that waits for its own transaction where it was made."""

    event: threading.Event = field(default_factory=threading.Event)
    changed: int = 0
    error: StoreError | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    steps: Sequence[Step]
    done: Committed | None = None
    loop: asyncio.AbstractEventLoop | None = None
    waiting: _Waiting | None = None


class QueueWriter:
    """Owns the connection that writes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="hushbell-queue", daemon=True)
        self._thread.start()

    def put(self, steps: Sequence[Step], done: Committed) -> None:
        """Write the steps in one transaction and tell ``done`` on the event loop that runs now."""
        loop = asyncio.get_running_loop()
        if self._closed:
            loop.call_soon(done, StoreUnavailable("the queue is closed"))
            return
        self._queue.put(_Work(steps, done=done, loop=loop))

    def write(self, steps: Sequence[Step]) -> int:
        """
        Write the steps in one transaction and return how many rows changed.

        Raises:
            StoreUnavailable: nothing was written.
        """
        if self._closed:
            raise StoreUnavailable("the queue is closed")
        waiting = _Waiting()
        self._queue.put(_Work(steps, waiting=waiting))
        waiting.event.wait()
        if waiting.error is not None:
            raise waiting.error
        return waiting.changed

    def close(self, last: Sequence[Step]) -> None:
        """Finish what was handed over and these steps, then close the connection."""
        if not self._closed:
            self._closed = True
            if last:
                self._queue.put(_Work(last))
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            changed, error = self._transact(work.steps)
            if work.waiting is not None:
                work.waiting.changed, work.waiting.error = changed, error
                work.waiting.event.set()
            elif work.loop is not None and work.done is not None:
                with contextlib.suppress(RuntimeError):  # the loop is gone, and nobody waits
                    work.loop.call_soon_threadsafe(work.done, error)
        self._connection.close()

    def _transact(self, steps: Sequence[Step]) -> tuple[int, StoreError | None]:
        connection = self._connection
        before = connection.total_changes
        try:
            connection.execute("BEGIN IMMEDIATE")
            for step in steps:
                _take(connection, step)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            return 0, meaning(error)
        except Exception as error:  # noqa: BLE001  without its thread, the queue would leave every caller waiting
            self._roll_back()
            # The text of a foreign error may carry the value it is about.
            return 0, StoreUnavailable(f"the database cannot take a value ({type(error).__name__})")
        return connection.total_changes - before, None

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # the next BEGIN meets the same trouble and says so
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _take(connection: sqlite3.Connection, step: Step) -> None:
    """
    Run a statement for its rows, as few times as possible.

    Each run lets go of the interpreter and has to get it back from a busy event loop, which costs more than a row.
    """
    rows = step.rows
    if not step.sql.endswith("VALUES"):
        connection.executemany(step.sql, rows)
        return
    one = "(" + ",".join("?" * len(rows[0])) + ")"
    for start in range(0, len(rows), TOGETHER):
        some = rows[start : start + TOGETHER]
        values = [value for row in some for value in row]
        connection.execute(step.sql + ",".join([one] * len(some)), values)
