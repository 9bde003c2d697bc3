"""News for whoever listens, each at its own pace."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

MOST_NEWS = 1_024  # that wait for a reader; the oldest are dropped and counted

News = TypeVar("News")


class EventStream(Generic[News]):
    """
    What is told from ``with`` on, as an async iterator; too slow a reader misses the oldest.

    Args:
        readers: the list of whom to tell; this one is in it while it reads.
        count: gets "client_news_dropped".
    """

    def __init__(self, readers: list["EventStream[News]"], count: Callable[[str, int], None]) -> None:
        self._readers = readers
        self._count = count
        self._news: deque[News] = deque()
        self._wake = asyncio.Event()
        self._ended = False

    def __enter__(self) -> AsyncIterator[News]:
        self._readers.append(self)
        return self._read()

    def __exit__(self, *_: object) -> None:
        self._readers.remove(self)

    def tell(self, one: News) -> None:
        """Put news where the reader finds them."""
        if len(self._news) >= MOST_NEWS:
            self._news.popleft()
            self._count("client_news_dropped", 1)
        self._news.append(one)
        self._wake.set()

    def end(self) -> None:
        """Tell the reader that no more will come."""
        self._ended = True
        self._wake.set()

    async def _read(self) -> AsyncIterator[News]:
        while True:
            while self._news:
                yield self._news.popleft()
            if self._ended:
                return
            self._wake.clear()
            await self._wake.wait()
