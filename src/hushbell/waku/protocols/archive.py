"""
The messages that the node relayed, kept in a file for peers that missed them.

One thread owns the file. It commits the messages of :data:`GATHER` seconds together and answers a query after
everything that was put before it. The event loop never waits for the disk. A kill costs at most the last :data:`GATHER`
seconds.
"""

import asyncio
import contextlib
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Self

from hushbell.errors import StoreError, StoreUnavailable, TooLarge, WireError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.types import Millis
from hushbell.waku.message import RawMessage, message_hash
from hushbell.waku.protocols.store_db import TRIM_STEP, ArchiveDatabase, ArchivedMessage, ArchivePage, ArchiveQuery

GATHER = 0.1  # seconds
MAX_BATCH = 4_000  # messages of one commit: the more, the fewer times an index page is written
MAX_QUEUED = 20_000  # messages that wait for the disk
MAX_QUEUED_BYTES = 32 * 1024 * 1024
MAX_QUERIES = 64  # that wait
MAX_CLOCK_ERROR = 20_000_000_000  # ns between a message's time and ours; as nwaku's
TRIM_EVERY = 60_000  # ms between two searches for old messages
TRIM_STEPS = 4  # of store_db.TRIM_STEP messages after each commit
MS = 1_000_000  # ns


class _Signal(Enum):
    ARRIVED = 1
    CLOSE = 2


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    query: ArchiveQuery | None  # None: only wait until everything put before is stored
    cursor: bytes | None
    limit: int
    size: int
    at: Millis
    answer: asyncio.Future[ArchivePage | None]


class Archive:
    """
    Messages by hash in one SQLite file, within an age and a size. Used from one event loop.

    Args:
        database: open; the archive closes it.
        clock: time.
        count: ``archive_*`` counters.
        age: seconds after which a message is deleted.
        size: bytes of the file; beyond it the oldest messages are deleted.
        message_limit: bytes of a message.
    """

    def __init__(
        self, database: ArchiveDatabase, *, clock: Clock, count: Count, age: int, size: int, message_limit: int
    ) -> None:
        self._database = database
        self._clock = clock
        self._count = count
        self._age = age * 1_000 * MS
        self._size = size
        self._message_limit = message_limit
        self._loop = asyncio.get_running_loop()
        self._queued: deque[tuple[RawMessage, Millis]] = deque()
        self._bytes_in = self._bytes_out = 0  # each written by one thread only
        self._jobs: SimpleQueue[_Request | _Signal] = SimpleQueue()
        self._open_requests = 0
        self._is_signalled = False
        self._is_closed = False
        self._trimmed_at = 0
        self._thread = threading.Thread(target=self._run, name="hushbell-archive", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, path: Path, *, clock: Clock, count: Count, age: int, size: int, message_limit: int) -> Self:
        """
        Open the archive at ``path``, or create it.

        Raises:
            ConfigError, StoreMismatch, StoreCorrupt, StoreUnavailable: see :meth:`ArchiveDatabase.open`.
        """
        database = ArchiveDatabase.open(path)
        return cls(database, clock=clock, count=count, age=age, size=size, message_limit=message_limit)

    def put(self, message: RawMessage) -> None:
        """
        Queue a message for the file and return at once.

        Ephemeral messages, and those without a time or with one more than :data:`MAX_CLOCK_ERROR` away, are not stored.
        When the disk does not keep up, messages are dropped and counted.
        """
        if self._is_closed or len(self._queued) >= MAX_QUEUED or self._bytes_in - self._bytes_out > MAX_QUEUED_BYTES:
            self._count("archive_dropped", 1)
            return
        self._bytes_in += len(message.data)
        self._queued.append((message, self._clock.now()))
        if not self._is_signalled:
            self._is_signalled = True
            self._jobs.put(_Signal.ARRIVED)

    async def page(self, query: ArchiveQuery, *, cursor: bytes | None, limit: int, size: int) -> ArchivePage | None:
        """
        Return messages after the one with the hash ``cursor`` (before it, if not forward), or None if that is unknown.

        Args:
            query: which messages; its ``after`` is ignored.
            cursor: a message's hash; None: from the start.
            limit: messages.
            size: bytes of messages after which a page ends.

        Raises:
            StoreUnavailable: the disk does not answer, or too many queries wait.
            StoreCorrupt: the file is damaged.
        """
        return await self._ask(query, cursor, limit, size)

    async def flush(self) -> None:
        """Return when everything that was put before is stored."""
        await self._ask(None, None, 0, 0)

    async def close(self) -> None:
        """Store what was put, and close the file."""
        if not self._is_closed:
            self._is_closed = True
            self._jobs.put(_Signal.CLOSE)
        await asyncio.to_thread(self._thread.join)

    async def _ask(self, query: ArchiveQuery | None, cursor: bytes | None, limit: int, size: int) -> ArchivePage | None:
        if self._is_closed:
            raise StoreUnavailable("the archive is closed")
        if self._open_requests >= MAX_QUERIES:
            raise StoreUnavailable("too many queries wait for the archive")
        answer: asyncio.Future[ArchivePage | None] = self._loop.create_future()
        self._open_requests += 1
        self._jobs.put(_Request(query, cursor, limit, size, self._clock.now(), answer))
        try:
            return await answer
        finally:
            self._open_requests -= 1

    # From here on: the thread.

    def _run(self) -> None:
        job: _Request | _Signal = _Signal.ARRIVED
        while job is not _Signal.CLOSE:
            job = self._jobs.get()
            if job is _Signal.ARRIVED:
                with contextlib.suppress(Empty):
                    job = self._jobs.get(timeout=GATHER)
            # Cleared before the queue is read: a message that is put afterwards signals again.
            self._is_signalled = False
            self._store_queued()
            if isinstance(job, _Request):
                self._call_back(self._resolve, job.answer, self._answer(job))
        self._database.close()

    def _store_queued(self) -> None:
        left = len(self._queued)  # no more, or a query would wait for ever in a flood
        while left > 0:
            batch = [self._queued.popleft() for _ in range(min(left, MAX_BATCH))]
            left -= len(batch)
            self._bytes_out += sum(len(message.data) for message, _ in batch)
            counts: Counter[str] = Counter()
            self._keep(batch, counts)
            self._call_back(self._add, counts)

    def _keep(self, batch: list[tuple[RawMessage, Millis]], counts: Counter[str]) -> None:
        messages = [stored for raw, at in batch if (stored := self._stored(raw, at, counts))]
        try:
            kept = self._database.insert(messages)
            counts["archive_kept"] += kept
            counts["archive_known"] += len(messages) - kept
            counts["archive_trimmed"] += self._trim(batch[-1][1])
        except Exception:  # noqa: BLE001  # if the thread died, every caller would wait for ever
            counts["archive_failed"] += len(messages)

    def _stored(self, raw: RawMessage, at: Millis, counts: Counter[str]) -> ArchivedMessage | None:
        try:
            if len(raw.data) > self._message_limit:
                raise TooLarge("a message is over its bound")
            message = raw.decode()
        except WireError:
            counts["archive_undecodable"] += 1
            return None
        if message.ephemeral:
            counts["archive_ephemeral"] += 1
            return None
        if message.timestamp is None or abs(message.timestamp - at * MS) > MAX_CLOCK_ERROR:
            counts["archive_untimely"] += 1
            return None
        name = message_hash(raw.pubsub_topic, message)
        return ArchivedMessage(name, message.timestamp, raw.pubsub_topic, message.content_topic, raw.data)

    def _trim(self, now: Millis) -> int:
        if now - self._trimmed_at < TRIM_EVERY and self._database.size <= self._size:
            return 0
        dropped = self._database.trim(oldest=now * MS - self._age, size=self._size, steps=TRIM_STEPS)
        if dropped < TRIM_STEPS * TRIM_STEP:
            self._trimmed_at = now
        return dropped

    def _answer(self, request: _Request) -> ArchivePage | StoreError | None:
        query = request.query
        if query is None:
            return None
        try:
            self._trim(request.at)
            # Old messages are not returned, though they may not be deleted yet.
            query = replace(query, since=max(query.since, request.at * MS - self._age))
            if request.cursor is not None:
                place = self._database.place(request.cursor)
                if place is None:
                    return None
                query = replace(query, after=place)
            return self._database.page(query, limit=request.limit, size=request.size)
        except StoreError as error:
            return error
        except Exception as error:  # noqa: BLE001  # as above; the error's text may hold the query
            return StoreUnavailable(f"the archive cannot answer ({type(error).__name__})")

    def _call_back(self, call: Callable[..., None], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and no caller waits
            self._loop.call_soon_threadsafe(call, *values)

    def _resolve(self, answer: asyncio.Future[ArchivePage | None], result: ArchivePage | StoreError | None) -> None:
        if answer.done():
            return  # the caller was cancelled
        if isinstance(result, StoreError):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    def _add(self, counts: Counter[str]) -> None:
        for name, number in counts.items():
            if number:
                self._count(name, number)
