"""
The messages that arrived for one reader: selected by content topic, each once, in a queue with a bound.

Relay, stores and an operator's node add to it. A message that finds the queue full is dropped and counted; it is
fetched from a store when there is room again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from hushbell.errors import StoreError, WireError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.types import Envelope, Millis
from hushbell.waku.inbox.seen_window import SETTLE_MILLIS, SeenFile, SeenWindow
from hushbell.waku.message import RawMessage, fingerprint

MAX_BYTES = 32 * 1024 * 1024  # of messages in the queue, beside their number
SAVE_INTERVAL = 1.0  # seconds between two writes of the window

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A decoded message, the route of its content topic, and what identifies it in the window."""

    raw: RawMessage
    route: object
    key: bytes


def accept_all(topic: str) -> bool:  # noqa: ARG001  the answer is always the same
    """Return that every content topic concerns the reader."""
    return True


def no_change() -> None:
    """Do nothing."""


class MessageQueue:
    """
    One reader's messages.

    Attributes:
        route: returns what messages on a content topic are to the reader; a false value: they do not concern it.
        on_room: called when there is room again after messages were dropped.
        complete_until: everything published before this time has been added.
        is_closed: nothing more is added or received.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        count: Count,
        window: SeenWindow,
        file: SeenFile | None,
        max_messages: int,
        message_limit: int,
        complete_until: Millis,
    ) -> None:
        self.route: Callable[[str], object] = accept_all
        self.on_room: Callable[[], None] = no_change
        self.complete_until = complete_until
        self.is_closed = False
        self._clock = clock
        self._count = count
        self._window = window
        self._file = file
        self._max_messages = max_messages
        self._message_limit = message_limit
        self._items: deque[QueuedMessage | Millis] = deque()  # messages, and marks of completeness
        self._size = 0  # bytes of the messages
        self._has_dropped = False
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    @classmethod
    async def open(
        cls,
        *,
        clock: Clock,
        count: Count,
        file: SeenFile | None,
        max_seen: int,
        seen_seconds: float,
        max_messages: int,
        message_limit: int,
    ) -> Self:
        """
        Return the queue with the window that the last run saved.

        On a first start nothing is missing yet: ``complete_until`` is now.

        Args:
            clock: the time.
            count: ``waku_*`` counters.
            file: where the window survives a restart; None: in memory only.
            max_seen: messages that the window remembers, and
            seen_seconds: for how long.
            max_messages: messages in the queue.
            message_limit: bytes of a message.

        Raises:
            StoreError: the file cannot be read or written.
        """
        now, age = clock.now(), round(seen_seconds * 1000)
        window, complete_until = SeenWindow(limit=max_seen, age=age), now
        if file is not None:
            known, mark = await asyncio.to_thread(file.load, Millis(now - age), max_seen)
            window = SeenWindow(limit=max_seen, age=age, known=known)
            # A mark ahead of the clock would hide what is missing.
            complete_until = min(mark, now) if mark is not None else now
            if mark is None:
                window.mark_complete(now, Millis(0))
                await asyncio.to_thread(file.save, window.pop_settled(Millis(0)), Millis(0))
        return cls(
            clock=clock,
            count=count,
            window=window,
            file=file,
            max_messages=max_messages,
            message_limit=message_limit,
            complete_until=complete_until,
        )

    def add(self, raw: RawMessage) -> None:
        """Queue a message, or count why not. One that does not concern the reader costs a look-up."""
        topic = raw.content_topic
        if topic is None or not (route := self.route(topic)):
            return
        if self.is_closed or len(raw.data) > self._message_limit:
            return
        try:
            message = raw.decode()
        except WireError:
            self._count("waku_undecodable", 1)
            return
        # A crafted message has a second content topic behind the one that was found without parsing.
        if message.content_topic != topic and not (route := self.route(message.content_topic)):
            return
        key = fingerprint(raw.pubsub_topic, message)
        if not self._window.add(key, self._clock.now()):
            self._count("waku_repeated", 1)
            return
        if not self._room.is_set():
            self._window.remove(key)
            self._has_dropped = True
            self._count("waku_inbox_dropped", 1)
            return
        self._items.append(QueuedMessage(raw, route, key))
        self._size += len(raw.data)
        self._filled.set()
        if len(self._items) >= self._max_messages or self._size >= MAX_BYTES:
            self._room.clear()

    async def add_when_room(self, raw: RawMessage) -> None:
        """Queue a message of a store as soon as there is room."""
        await self._room.wait()
        self.add(raw)

    def mark_published(self, envelopes: Sequence[Envelope]) -> None:
        """Remember messages of our own, so that they are not received when peers send them back."""
        for envelope in envelopes:
            raw = RawMessage(envelope.pubsub_topic, envelope.waku_message)
            topic = raw.content_topic if len(raw.data) <= self._message_limit else None
            if topic is None or not self.route(topic):
                continue
            try:
                key = fingerprint(raw.pubsub_topic, raw.decode())
            except WireError:
                continue
            if self._window.add(key, self._clock.now()):
                self._window.mark_received(key, self._clock.now())

    def mark_complete(self, until: Millis) -> None:
        """Note that everything published before ``until`` has been added."""
        self.complete_until = max(self.complete_until, until)
        self._items.append(until)
        self._filled.set()

    async def receive(self, limit: int) -> list[QueuedMessage]:
        """Wait for a message and return up to ``limit``, oldest first; none once the queue is closed."""
        received: list[QueuedMessage] = []
        while not received and not self.is_closed:
            if not self._items:
                self._filled.clear()
                await self._filled.wait()
            now = self._clock.now()
            while self._items and len(received) < limit:
                item = self._items.popleft()
                if isinstance(item, QueuedMessage):
                    self._window.mark_received(item.key, now)
                    self._size -= len(item.raw.data)
                    received.append(item)
                else:
                    self._window.mark_complete(item, now)
            self._signal_room()
        return received

    async def save_regularly(self) -> None:
        """Write the settled part of the window to the file, every :data:`SAVE_INTERVAL`, until cancelled."""
        while True:
            await self._clock.sleep(SAVE_INTERVAL)
            await self._save(Millis(self._clock.now() - SETTLE_MILLIS))

    async def close(self) -> None:
        """Add and return nothing more. Whatever was received has been processed by now."""
        if self.is_closed:
            return
        self.is_closed = True
        self._items.clear()
        self._filled.set()
        self._room.set()
        await self._save(self._clock.now())

    def _signal_room(self) -> None:
        if self._room.is_set() or len(self._items) > self._max_messages // 2 or self._size > MAX_BYTES // 2:
            return
        self._room.set()
        if self._has_dropped:
            self._has_dropped = False
            self.on_room()

    async def _save(self, before: Millis) -> None:
        changes = self._window.pop_settled(before)
        if self._file is None or not (changes.keys or changes.complete_until):
            return
        try:
            await asyncio.to_thread(self._file.save, changes, Millis(before - self._window.age))
        except StoreError as error:
            self._count("waku_window_not_saved", 1)
            log.error("%s; after a restart some messages will come twice", error)  # noqa: TRY400  the text suffices
