"""
One thread writes; what waits together is committed together.

While one transaction is being synced, the calls that arrive queue up, and all of them are the next transaction: the
busier the store, the fewer syncs each call costs, and an idle one adds no delay. A call is answered only after the
COMMIT returned.

The thread needs the interpreter between two steps. An event loop that never idles but lets go of it for an instant in
every turn can starve the thread for seconds under Python's switch interval of 5 ms (measured: 7 s, against 42 ms with
``sys.setswitchinterval(0.0001)``). That setting is the whole process's, so whoever composes the process makes it.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from hushbell.errors import StoreError, StoreUnavailable, VersionConflict
from hushbell.stores.sqlite.errors import meaning
from hushbell.stores.sqlite.server_writes import Statement

MOST_WAITING = 16_384  # calls; more than any driver keeps in flight, so more is a disk that stands still
BATCH = 1_024  # calls in one transaction; more would only delay the first one's answer


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """One call: all its steps, or none."""

    steps: Sequence[Statement]
    done: asyncio.Future[int]  # rows that changed


class Writer:
    """Owns the connection that writes. Used from one event loop."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._waiting = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="hushbell-store", daemon=True)
        self._thread.start()

    async def write(self, steps: Sequence[Statement]) -> int:
        """
        Take every step, or none, and return how many rows changed when that survives a power cut.

        Raises:
            VersionConflict: a step that must change a row changed none.
            StoreUnavailable: nothing was written.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._waiting >= MOST_WAITING:
            raise StoreUnavailable("too many writes are waiting for the disk")
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting += 1
        self._queue.put(_Job(steps, done))
        return await done

    async def close(self) -> None:
        """Finish what was accepted, then close the connection."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        closing = False
        while not closing:
            batch, closing = self._take()
            if batch:
                self._hand_back(batch, self._transact(batch))
        self._connection.close()

    def _take(self) -> tuple[list[_Job], bool]:
        """Wait for one call and take those behind it; say whether the end of the queue was reached for good."""
        job = self._queue.get()
        batch: list[_Job] = []
        while job is not None:
            batch.append(job)
            if len(batch) >= BATCH:
                return batch, False
            try:
                job = self._queue.get_nowait()
            except Empty:
                return batch, False
        return batch, True

    def _transact(self, batch: Sequence[_Job]) -> list[int | StoreError]:
        """Commit the batch and return what to answer each call."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results = [self._attempt(job) for job in batch]
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001  # without its thread, the store would leave every caller waiting
            self._roll_back()
            return [_answer(error)] * len(batch)
        return results

    def _attempt(self, job: _Job) -> int | StoreError:
        """Take the steps of one call; one that fails leaves the others of its batch alone."""
        execute = self._connection.execute
        execute("SAVEPOINT call")
        try:
            changed = _take_all(self._connection, job.steps)
        except (sqlite3.Error, OverflowError, ValueError, VersionConflict) as error:
            if not self._connection.in_transaction:
                raise  # a full disk ends the whole transaction, not the savepoint alone
            execute("ROLLBACK TO call")
            execute("RELEASE call")
            return _answer(error)
        execute("RELEASE call")
        return changed

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # the next BEGIN meets the same trouble and says so
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _hand_back(self, batch: Sequence[_Job], results: Sequence[int | StoreError]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone, and nobody waits
            batch[0].done.get_loop().call_soon_threadsafe(self._resolve, batch, results)

    def _resolve(self, batch: Sequence[_Job], results: Sequence[int | StoreError]) -> None:
        self._waiting -= len(batch)
        for job, result in zip(batch, results, strict=True):
            if job.done.done():
                continue  # the caller went away; what it asked for is done all the same
            if isinstance(result, StoreError):
                job.done.set_exception(result)
            else:
                job.done.set_result(result)


def _take_all(connection: sqlite3.Connection, steps: Sequence[Statement]) -> int:
    """Return how many rows changed, or raise at the first step that lost a race."""
    changed = 0
    for sql, values, must_change in steps:
        rows = connection.execute(sql, values).rowcount
        if must_change and rows != 1:
            raise VersionConflict("a registration changed since it was loaded")
        changed += rows
    return changed


def _answer(error: Exception) -> StoreError:
    if isinstance(error, StoreError):
        return error
    if isinstance(error, sqlite3.Error):
        return meaning(error)
    # The text of a foreign error may carry the value it is about.
    return StoreUnavailable(f"the database cannot take a value ({type(error).__name__})")
