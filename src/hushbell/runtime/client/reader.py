"""Streams of events, each read at its own pace."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

MAX_EVENTS = 1_024  # unread ones of a stream; the oldest are dropped and counted

Event = TypeVar("Event")


class EventStream(Generic[Event]):
    """
    The events from ``with`` on, as an async iterator. A reader that is too slow misses the oldest.

    Args:
        streams: those that get events; contains this one between enter and exit.
        count: gets "client_news_dropped".
    """

    def __init__(self, streams: list["EventStream[Event]"], count: Callable[[str, int], None]) -> None:
        self._streams = streams
        self._count = count
        self._events: deque[Event] = deque()
        self._wake = asyncio.Event()
        self._ended = False

    def __enter__(self) -> AsyncIterator[Event]:
        self._streams.append(self)
        return self._read()

    def __exit__(self, *_: object) -> None:
        self._streams.remove(self)

    def put(self, event: Event) -> None:
        """Append an event."""
        if len(self._events) >= MAX_EVENTS:
            self._events.popleft()
            self._count("client_news_dropped", 1)
        self._events.append(event)
        self._wake.set()

    def end(self) -> None:
        """End the iteration after the events so far."""
        self._ended = True
        self._wake.set()

    async def _read(self) -> AsyncIterator[Event]:
        while True:
            while self._events:
                yield self._events.popleft()
            if self._ended:
                return
            self._wake.clear()
            await self._wake.wait()
