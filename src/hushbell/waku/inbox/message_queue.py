"""
What arrives for the server, however it came: chosen by topic, each message once, waiting in a bounded place.

Relay, stores and an operator's node all hand over here. What finds the place full is counted and comes again from a
store, once there is room.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Self

from hushbell import wire
from hushbell.errors import StoreError, WireError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.types import Envelope, Millis, PubsubTopic
from hushbell.waku.inbox.seen_window import SETTLED, SeenFile, SeenWindow
from hushbell.waku.message import content_topic, fingerprint
from hushbell.wire.messages import WakuMessage

SIZE = 32 * 1024 * 1024  # bytes of messages that wait, beside their number
FLUSH = 1.0  # seconds between two writes of the window

log = logging.getLogger(__name__)


def everything(topic: str) -> bool:  # noqa: ARG001  the answer is always the same
    """Whether a content topic is wanted, before anybody said otherwise."""
    return True


def _nothing() -> None:
    return None


class MessageQueue:
    """
    One reader's messages.

    Attributes:
        wanted: says of a content topic whether its messages concern the reader.
        on_gap: called when a message found no room, once there is room again.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        count: Count,
        seen: SeenWindow,
        file: SeenFile | None,
        waiting: int,
        message_limit: int,
        covered: Millis,
    ) -> None:
        self.wanted: Callable[[str], bool] = everything
        self.on_gap: Callable[[], None] = _nothing
        self.covered = covered
        self.closed = False
        self._clock = clock
        self._count = count
        self._seen = seen
        self._file = file
        self._waiting = waiting
        self._message_limit = message_limit
        self._items: deque[tuple[bytes, Envelope] | Millis] = deque()
        self._size = 0
        self._dropped = False
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    @classmethod
    async def open(
        cls,
        *,
        clock: Clock,
        count: Count,
        file: SeenFile | None,
        seen: int,
        seen_for: float,
        waiting: int,
        message_limit: int,
    ) -> Self:
        """
        Return the place with the window as it was.

        On a first start nothing is owed: the mark is set to now, and from then on nothing is missed.

        Args:
            clock: the time.
            count: counts what happens to messages.
            file: where the window survives; None keeps it in memory.
            seen: messages remembered, and
            seen_for: seconds they are remembered for.
            waiting: messages that wait at most.
            message_limit: bytes of a message.

        Raises:
            StoreError: the file cannot be read or written.
        """
        now, age = clock.now(), round(seen_for * 1000)
        window, covered = SeenWindow(limit=seen, age=age), now
        if file is not None:
            known, mark = await asyncio.to_thread(file.load, Millis(now - age), seen)
            window = SeenWindow(limit=seen, age=age, known=known)
            # A mark ahead of the clock would hide what was missed.
            covered = min(mark, now) if mark is not None else now
            if mark is None:
                window.covered(now, Millis(0))
                await asyncio.to_thread(file.save, window.settled(Millis(0)), Millis(0))
        return cls(
            clock=clock,
            count=count,
            seen=window,
            file=file,
            waiting=waiting,
            message_limit=message_limit,
            covered=covered,
        )

    def arrived(self, pubsub_topic: PubsubTopic, data: bytes) -> None:
        """Take a serialised WakuMessage, or count why not. Costs a look-up for what is not wanted."""
        topic = content_topic(data, self._message_limit)
        if topic is None or not self.wanted(topic) or self.closed:
            return
        try:
            message = wire.decode(WakuMessage, data, limit=self._message_limit)
        except WireError:
            self._count("waku_undecodable", 1)
            return
        key = fingerprint(pubsub_topic, message)
        if not self._seen.add(key, self._clock.now()):
            self._count("waku_repeated", 1)
            return
        if not self._room.is_set():
            self._seen.forget(key)
            self._dropped = True
            self._count("waku_inbox_dropped", 1)
            return
        self._put(key, Envelope(pubsub_topic, data))

    async def fetched(self, pubsub_topic: PubsubTopic, data: bytes) -> None:
        """Take a message from a store, waiting for room."""
        await self._room.wait()
        self.arrived(pubsub_topic, data)

    def sent(self, envelopes: Sequence[Envelope]) -> None:
        """Never hand back what we publish ourselves."""
        for envelope in envelopes:
            topic = content_topic(envelope.waku_message, self._message_limit)
            if topic is None or not self.wanted(topic):
                continue
            try:
                message = wire.decode(WakuMessage, envelope.waku_message, limit=self._message_limit)
            except WireError:
                continue
            key = fingerprint(envelope.pubsub_topic, message)
            if self._seen.add(key, self._clock.now()):
                self._seen.handed(key, self._clock.now())

    def covers(self, until: Millis) -> None:
        """Note that everything published before then has been handed over by now."""
        self.covered = max(self.covered, until)
        self._items.append(until)
        self._arrived.set()

    async def take(self, limit: int) -> list[Envelope]:
        """Wait for a message and return up to ``limit``, oldest first; nothing once closed."""
        taken: list[Envelope] = []
        while not taken and not self.closed:
            if not self._items:
                self._arrived.clear()
                await self._arrived.wait()
            now = self._clock.now()
            while self._items and len(taken) < limit:
                item = self._items.popleft()
                if isinstance(item, tuple):
                    key, envelope = item
                    self._seen.handed(key, now)
                    self._size -= len(envelope.waku_message)
                    taken.append(envelope)
                else:
                    self._seen.covered(item, now)
            self._make_room()
        return taken

    async def flush(self) -> None:
        """Bring to disk, again and again, what is settled."""
        while True:
            await self._clock.sleep(FLUSH)
            await self._save(Millis(self._clock.now() - SETTLED))

    async def close(self) -> None:
        """Take and hand out nothing more; whoever was handed something has finished with it."""
        if self.closed:
            return
        self.closed = True
        self._items.clear()
        self._arrived.set()
        self._room.set()
        await self._save(self._clock.now())

    def _put(self, key: bytes, envelope: Envelope) -> None:
        self._items.append((key, envelope))
        self._size += len(envelope.waku_message)
        self._arrived.set()
        if len(self._items) >= self._waiting or self._size >= SIZE:
            self._room.clear()

    def _make_room(self) -> None:
        if self._room.is_set() or len(self._items) > self._waiting // 2 or self._size > SIZE // 2:
            return
        self._room.set()
        if self._dropped:
            self._dropped = False
            self.on_gap()

    async def _save(self, before: Millis) -> None:
        settled = self._seen.settled(before)
        if self._file is None or not (settled.keys or settled.covered):
            return
        try:
            await asyncio.to_thread(self._file.save, settled, Millis(before - self._seen.age))
        except StoreError as error:
            self._count("waku_window_not_saved", 1)
            log.error("%s; after a restart some messages will come twice", error)  # noqa: TRY400  the text suffices
