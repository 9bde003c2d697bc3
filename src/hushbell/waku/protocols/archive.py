"""
What is kept of the messages that come by, for those who missed them.

One thread owns the file: messages that come within an instant are one commit, and a question is answered after
everything that came before it. The event loop never waits for the disk, and a message that is put in is at most
:data:`GATHER` away from surviving a kill.
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
BATCH = 4_000  # messages of one commit: the more there are, the fewer times an index page is written
WAITING = 20_000  # messages that wait for the disk
WAITING_BYTES = 32 * 1024 * 1024
QUESTIONS = 64  # that wait
OFF = 20_000_000_000  # ns that a message's time may be off ours; as nwaku's
TRIM_EVERY = 60_000  # ms between two looks for what is too old
TRIM_STEPS = 4  # of store_db.TRIM_STEP messages after each commit
MS = 1_000_000  # ns


class _Signal(Enum):
    ARRIVED = 1
    CLOSE = 2


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    wanted: ArchiveQuery | None  # None only waits for what came before
    cursor: bytes | None
    limit: int
    size: int
    at: Millis
    answer: asyncio.Future[ArchivePage | None]


class Archive:
    """
    Messages by hash in one SQLite file, up to an age and a size. Used from one event loop.

    Args:
        database: open; owned from now on.
        clock: time.
        count: ``archive_*`` counters.
        age: seconds after which a message is forgotten.
        size: bytes of the file beyond which the oldest messages go.
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
        self._arrived: deque[tuple[RawMessage, Millis]] = deque()
        self._bytes_in = self._bytes_out = 0  # each written by one thread only
        self._jobs: SimpleQueue[_Question | _Signal] = SimpleQueue()
        self._open_questions = 0
        self._is_awake = False
        self._is_closed = False
        self._trimmed_at = 0
        self._thread = threading.Thread(target=self._run, name="hushbell-archive", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, path: Path, *, clock: Clock, count: Count, age: int, size: int, message_limit: int) -> Self:
        """
        Open the archive at ``path``, or begin one.

        Raises:
            ConfigError, StoreMismatch, StoreCorrupt, StoreUnavailable: see :meth:`ArchiveDatabase.open`.
        """
        database = ArchiveDatabase.open(path)
        return cls(database, clock=clock, count=count, age=age, size=size, message_limit=message_limit)

    def put(self, message: RawMessage) -> None:
        """
        Queue a message for the file and return at once.

        What is ephemeral, has no time, or one more than :data:`OFF` away, is not kept. When the disk does not keep up,
        messages are dropped and counted.
        """
        if self._is_closed or len(self._arrived) >= WAITING or self._bytes_in - self._bytes_out > WAITING_BYTES:
            self._count("archive_dropped", 1)
            return
        self._bytes_in += len(message.data)
        self._arrived.append((message, self._clock.now()))
        if not self._is_awake:
            self._is_awake = True
            self._jobs.put(_Signal.ARRIVED)

    async def page(self, wanted: ArchiveQuery, *, cursor: bytes | None, limit: int, size: int) -> ArchivePage | None:
        """
        Return messages after the one with the hash ``cursor`` (before it, if not forward), or None if that is unknown.

        Args:
            wanted: which messages; its ``after`` is not looked at.
            cursor: a message's hash, or None to begin.
            limit: messages.
            size: bytes of messages after which a page ends.

        Raises:
            StoreUnavailable: the disk does not answer, or too many are waiting.
            StoreCorrupt: the file is damaged.
        """
        return await self._ask(wanted, cursor, limit, size)

    async def flush(self) -> None:
        """Return when everything that was put in before is kept."""
        await self._ask(None, None, 0, 0)

    async def close(self) -> None:
        """Keep what was put in, and let go of the file."""
        if not self._is_closed:
            self._is_closed = True
            self._jobs.put(_Signal.CLOSE)
        await asyncio.to_thread(self._thread.join)

    async def _ask(
        self, wanted: ArchiveQuery | None, cursor: bytes | None, limit: int, size: int
    ) -> ArchivePage | None:
        if self._is_closed:
            raise StoreUnavailable("the archive is closed")
        if self._open_questions >= QUESTIONS:
            raise StoreUnavailable("too many questions wait for the archive")
        answer: asyncio.Future[ArchivePage | None] = self._loop.create_future()
        self._open_questions += 1
        self._jobs.put(_Question(wanted, cursor, limit, size, self._clock.now(), answer))
        try:
            return await answer
        finally:
            self._open_questions -= 1

    # From here on: the thread.

    def _run(self) -> None:
        job: _Question | _Signal = _Signal.ARRIVED
        while job is not _Signal.CLOSE:
            job = self._jobs.get()
            if job is _Signal.ARRIVED:
                with contextlib.suppress(Empty):
                    job = self._jobs.get(timeout=GATHER)
            # Before the look at what arrived: whatever comes after it wakes us again.
            self._is_awake = False
            self._keep_arrived()
            if isinstance(job, _Question):
                self._hand_back(self._resolve, job.answer, self._answer(job))
        self._database.close()

    def _keep_arrived(self) -> None:
        left = len(self._arrived)  # no more, or a question would wait for ever in a flood
        while left > 0:
            batch = [self._arrived.popleft() for _ in range(min(left, BATCH))]
            left -= len(batch)
            self._bytes_out += sum(len(message.data) for message, _ in batch)
            counts: Counter[str] = Counter()
            self._keep(batch, counts)
            self._hand_back(self._add, counts)

    def _keep(self, batch: list[tuple[RawMessage, Millis]], counts: Counter[str]) -> None:
        messages = [stored for raw, at in batch if (stored := self._stored(raw, at, counts))]
        try:
            kept = self._database.insert(messages)
            counts["archive_kept"] += kept
            counts["archive_known"] += len(messages) - kept
            counts["archive_trimmed"] += self._trim(batch[-1][1])
        except Exception:  # noqa: BLE001  # without its thread, the archive would leave every caller waiting
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
        if message.timestamp is None or abs(message.timestamp - at * MS) > OFF:
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

    def _answer(self, question: _Question) -> ArchivePage | StoreError | None:
        wanted = question.wanted
        if wanted is None:
            return None
        try:
            self._trim(question.at)
            # What is too old is not shown, though it may not be dropped yet.
            wanted = replace(wanted, since=max(wanted.since, question.at * MS - self._age))
            if question.cursor is not None:
                place = self._database.place(question.cursor)
                if place is None:
                    return None
                wanted = replace(wanted, after=place)
            return self._database.page(wanted, limit=question.limit, size=question.size)
        except StoreError as error:
            return error
        except Exception as error:  # noqa: BLE001  # as above; the text may hold what was asked
            return StoreUnavailable(f"the archive cannot answer ({type(error).__name__})")

    def _hand_back(self, call: Callable[..., None], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone, and nobody waits
            self._loop.call_soon_threadsafe(call, *values)

    def _resolve(self, answer: asyncio.Future[ArchivePage | None], result: ArchivePage | StoreError | None) -> None:
        if answer.done():
            return  # whoever asked went away
        if isinstance(result, StoreError):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    def _add(self, counts: Counter[str]) -> None:
        for name, number in counts.items():
            if number:
                self._count(name, number)
