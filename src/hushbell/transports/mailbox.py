"""Envelopes that arrived and were not taken yet: bounded, in order, for one reader."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from hushbell.ports.transport import ReceivedMessage
from hushbell.types import Envelope

COUNT = 8192  # envelopes; a quarter of a second for a server at full speed
SIZE = 32 * 1024 * 1024  # bytes; so many small or few large ones, whichever comes first


def _nothing() -> None:
    return None


class Mailbox:
    """
    A queue that says when it is full and when there is room again; whoever writes keeps to it.

    Args:
        count: envelopes, and
        size: bytes that may wait; one more write than that is not refused, the writer asks ``full`` first.
        on_room: called when a full mailbox has been emptied to half of its bounds, or was closed.
    """

    def __init__(self, *, count: int = COUNT, size: int = SIZE, on_room: Callable[[], None] = _nothing) -> None:
        self._items: deque[Envelope] = deque()
        self._count = count
        self._limit = size
        self._size = 0
        self._on_room = on_room
        self._full = False
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.closed = False

    @property
    def full(self) -> bool:
        """Say whether the writer has to wait for room."""
        return self._full

    def put(self, envelopes: Iterable[Envelope]) -> None:
        """Add the envelopes; a closed mailbox forgets them."""
        if self.closed:
            return
        items = self._items
        for envelope in envelopes:
            items.append(envelope)
            self._size += len(envelope.waku_message)
        if items:
            self._arrived.set()
        if len(items) >= self._count or self._size >= self._limit:
            self._full = True
            self._room.clear()

    async def room(self) -> None:
        """Return when there is room, or nobody will ever read again."""
        while self._full:
            await self._room.wait()

    async def receive(self, limit: int) -> list[ReceivedMessage]:
        """Wait for an envelope and return up to ``limit``; nothing once the mailbox is closed and empty."""
        while not self._items and not self.closed:
            self._arrived.clear()
            await self._arrived.wait()
        items = self._items
        taken = [items.popleft() for _ in range(min(limit, len(items)))]
        self._size -= sum(len(envelope.waku_message) for envelope in taken)
        if self._full and len(items) <= self._count // 2 and self._size <= self._limit // 2:
            self._release()
        return [ReceivedMessage(envelope.pubsub_topic, envelope.waku_message) for envelope in taken]

    def close(self) -> None:
        """Take nothing more. What waits can still be read."""
        self.closed = True
        self._arrived.set()
        self._release()

    def _release(self) -> None:
        self._full = False
        self._room.set()
        self._on_room()
