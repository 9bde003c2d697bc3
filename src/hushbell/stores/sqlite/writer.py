"""
One thread writes a file; calls that wait together share a transaction.

While one transaction is being synced, the calls that arrive queue up, and all of them are the next transaction: the
busier the store, the fewer syncs each call costs, and an idle one adds no delay. A call is answered after the COMMIT
returned. The thread releases the interpreter while SQLite works and syncs, so the event loop goes on.

The thread needs the interpreter between two statements. An event loop that never idles but releases it for an instant
in every turn can starve the thread for seconds under Python's switch interval of 5 ms (measured: 7 s, against 42 ms
with ``sys.setswitchinterval(0.0001)``). That setting is the whole process's, so the process sets it, not this class.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from hushbell.errors import StoreError, StoreUnavailable, VersionConflict
from hushbell.stores.sqlite.errors import meaning

MAX_WAITING = 16_384  # calls; more than any driver keeps in flight, so more is a disk that stands still
MAX_CALLS = 1_024  # in one transaction; more would only delay the first one's answer
MAX_ROWS = 64  # in one statement

Result = int | StoreError
"""The number of rows that changed, durably, or why nothing of the call was written."""


class Step(NamedTuple):
    """
    One statement, for each of its rows.

    One whose SQL ends with VALUES gets many rows at once: each run releases the interpreter and has to get it back
    from a busy event loop, which costs more than a row.
    """

    sql: str
    rows: Sequence[Sequence[Any]]
    must_change: bool = False  # each row must change a row of the table; otherwise another writer was first


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """All steps are written, or none."""

    steps: Sequence[Step]
    done: Callable[[Result], None]

    @property
    def is_conditional(self) -> bool:
        """Whether it may fail where the calls beside it succeed."""
        return any(step.must_change for step in self.steps)


class Writer:
    """Owns the connection that writes. Used from one event loop."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._queue: SimpleQueue[_Call | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting = 0
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="hushbell-store", daemon=True)
        self._thread.start()

    def put(self, steps: Sequence[Step], done: Callable[[Result], None]) -> None:
        """
        Write every step, or none, and call ``done`` on the running event loop, once, after this returned.

        ``done`` gets the number of changed rows when they survive a power cut, VersionConflict when a step that must
        change its rows did not, or another StoreError when nothing was written. It must not raise.
        """
        loop = self._loop = asyncio.get_running_loop()
        if self._is_closed:
            loop.call_soon(done, StoreUnavailable("the store is closed"))
        elif self._waiting >= MAX_WAITING:
            loop.call_soon(done, StoreUnavailable("too many writes are waiting for the disk"))
        else:
            self._waiting += 1
            self._queue.put(_Call(steps, done))

    async def write(self, steps: Sequence[Step]) -> int:
        """Do as :meth:`put` and return the number of changed rows; raises the StoreError."""
        written: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        # A caller that goes away cancels the future; what it asked for is written all the same.
        self.put(steps, lambda result: None if written.done() else written.set_result(result))
        result = await written
        if isinstance(result, StoreError):
            raise result
        return result

    def close(self, last: Sequence[Step] = ()) -> None:
        """Write what was accepted and then ``last``, close the connection, and return when that is done. Blocks."""
        if not self._is_closed:
            self._is_closed = True
            if last:
                self._queue.put(_Call(last, lambda _: None))
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open:
            calls, is_open = self._next_calls()
            if calls:
                self._report(calls, self._transact(calls))
        self._connection.close()

    def _next_calls(self) -> tuple[list[_Call], bool]:
        """Wait for a call; return it with those behind it, and whether more may come."""
        calls: list[_Call] = []
        call = self._queue.get()
        while call is not None:
            calls.append(call)
            if len(calls) >= MAX_CALLS:
                return calls, True
            try:
                call = self._queue.get_nowait()
            except Empty:
                return calls, True
        return calls, False

    def _transact(self, calls: Sequence[_Call]) -> Sequence[Result]:
        """Commit the calls together; if one of them cannot be written, each on its own merits."""
        try:
            return self._commit(calls, separately=False)
        except Exception as error:  # noqa: BLE001  without its thread, the store would leave every caller waiting
            self._roll_back()
            if len(calls) == 1 or isinstance(error, sqlite3.OperationalError):  # a lock or the disk concerns them all
                return [_error_of(error)] * len(calls)
        try:
            return self._commit(calls, separately=True)
        except Exception as error:  # noqa: BLE001  as above
            self._roll_back()
            return [_error_of(error)] * len(calls)

    def _commit(self, calls: Sequence[_Call], *, separately: bool) -> Sequence[Result]:
        self._connection.execute("BEGIN IMMEDIATE")
        results: list[Result] = [
            self._run_in_savepoint(call)
            if separately or (len(calls) > 1 and call.is_conditional)
            else _run_steps(self._connection, call.steps)
            for call in calls
        ]
        self._connection.execute("COMMIT")
        return results

    def _run_in_savepoint(self, call: _Call) -> Result:
        execute = self._connection.execute
        execute("SAVEPOINT call")
        try:
            changed = _run_steps(self._connection, call.steps)
        except Exception as error:
            if not self._connection.in_transaction:
                raise  # a full disk ends the whole transaction, not the savepoint alone
            execute("ROLLBACK TO call")
            execute("RELEASE call")
            return _error_of(error)
        execute("RELEASE call")
        return changed

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # the next BEGIN meets the same trouble and says so
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _report(self, calls: Sequence[_Call], results: Sequence[Result]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and no caller waits
                self._loop.call_soon_threadsafe(self._call_back, calls, results)

    def _call_back(self, calls: Sequence[_Call], results: Sequence[Result]) -> None:
        self._waiting -= len(calls)
        for call, result in zip(calls, results, strict=True):
            call.done(result)


def _run_steps(connection: sqlite3.Connection, steps: Sequence[Step]) -> int:
    """Return how many rows changed; raises VersionConflict at the first step that lost a race."""
    changed = 0
    for step in steps:
        count = _run_step(connection, step)
        if step.must_change and count != len(step.rows):
            raise VersionConflict("what a decision rests on changed since it was loaded")
        changed += count
    return changed


def _run_step(connection: sqlite3.Connection, step: Step) -> int:
    sql, rows = step.sql, step.rows
    if not sql.endswith("VALUES"):
        if len(rows) == 1:
            return connection.execute(sql, rows[0]).rowcount
        return connection.executemany(sql, rows).rowcount
    changed = 0
    marks = "(" + ",".join("?" * len(rows[0])) + ")"
    for start in range(0, len(rows), MAX_ROWS):
        some = rows[start : start + MAX_ROWS]
        values = [value for row in some for value in row]
        changed += connection.execute(sql + ",".join([marks] * len(some)), values).rowcount
    return changed


def _error_of(error: Exception) -> StoreError:
    if isinstance(error, StoreError):
        return error
    if isinstance(error, sqlite3.Error):
        return meaning(error)
    # The text of a foreign error may carry the value it is about.
    return StoreUnavailable(f"the database cannot take a value ({type(error).__name__})")
