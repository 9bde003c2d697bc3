"""
Asking stores for what nobody delivered: after a start, after a gap, and now and then.

Only the server's own topics are asked for, registrations and requests, back to the last time everything was known to
have come; and the last minute of everything, for queries, whose senders ask again anyway.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from hushbell.errors import HushbellError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.types import ContentTopic, Millis, PubsubTopic, Random
from hushbell.waku.history import History, HistoryMessage
from hushbell.waku.inbox.message_queue import MessageQueue

MARGIN = 60_000  # ms; senders' clocks differ, and stores name messages by their senders' time
RECENT = 60_000  # ms; an older query is not worth an answer
PAGES = 10_000  # of one question: a million messages
RECENT_PAGES = 50  # of everything on the shard
ASKED = 3  # stores at a time: each may have missed something itself
SETTLE = 2.0  # seconds from a gap's end to the question: by then the relay brings everything new
RETRY = 5.0  # seconds until stores are asked again after all of them failed; doubled up to
RETRY_AT_MOST = 60.0
EARLY = 600_000  # ms after a start during which a store that was not asked yet is asked from the beginning
KNOWN = 64  # stores whose last question is remembered

log = logging.getLogger(__name__)


class MissingMessages:
    """
    The task that asks.

    Args:
        receiving: takes what is found; knows what came already.
        stores: those that can be asked now.
        topics: what to ask for, at most 10 content topics on each pubsub topic.
        every: seconds between two rounds though nothing happened.
        back: seconds that are asked for at most.
    """

    def __init__(
        self,
        *,
        receiving: MessageQueue,
        stores: Callable[[], Sequence[History]],
        topics: Mapping[PubsubTopic, Sequence[ContentTopic]],
        clock: Clock,
        random: Random,
        count: Count,
        every: float,
        back: float,
    ) -> None:
        self._receiving = receiving
        self._stores = stores
        self._topics = topics
        self._clock = clock
        self._random = random
        self._count = count
        self._every = every
        self._back = round(back * 1000)
        self._origin = receiving.covered
        self._started = clock.now()
        self._asked: dict[str, Millis] = {}
        self._wake = asyncio.Event()
        self._gap = self._own_gap = True

    def soon(self, *, gap: bool = True) -> None:
        """Ask now: a store has appeared, or (``gap``) messages may have been missed."""
        self._gap = self._gap or gap
        self._own_gap = self._own_gap or gap
        self._wake.set()

    async def run(self) -> None:
        """Ask whenever there is reason to."""
        wait = RETRY
        while True:
            self._wake.clear()
            if self._topics and await self.round():
                wait = RETRY
                await self._pause(self._every * (0.75 + self._random(1)[0] / 512))
            else:
                await self._pause(wait)
                wait = min(2 * wait, RETRY_AT_MOST)
            if self._wake.is_set():
                await self._clock.sleep(SETTLE)

    async def round(self) -> bool:
        """Ask a few stores, and return whether one of them answered to the end."""
        began = self._clock.now()
        recent, self._gap = self._gap, False
        answered = False
        for store in self._chosen():
            try:
                await self._ask_all(store, began, recent=recent)
            except HushbellError as error:
                self._count("waku_store_failures", 1)
                log.warning("a store did not say what was missed: %s", error)
                continue
            except Exception:
                # A bug of ours with one store must not keep the others from being asked, now and later.
                self._count("waku_store_failures", 1)
                log.exception("a store could not be asked")
                continue
            self._remember(store.name, began)
            if store.is_own:
                self._own_gap = False
            answered = answered or not store.is_own
        self._gap = self._gap or (recent and not answered)
        if answered:
            if began - self._started > EARLY:
                self._origin = began
            self._receiving.covers(began)
        return answered

    async def _ask_all(self, store: History, began: Millis, *, recent: bool) -> None:
        """Ask one store for the own topics, and for what is ``recent`` on whole shards."""
        since = self._since(store.name, began)
        for pubsub_topic, content_topics in self._topics.items():
            await self._ask(store, pubsub_topic, content_topics, since, PAGES)
        if recent and store.has_whole_shards:
            await self._ask(store, None, (), max(since, Millis(began - RECENT)), RECENT_PAGES)

    def _chosen(self) -> Sequence[History]:
        """Return the stores that were not asked for longest, and our own after a gap."""
        stores = sorted(self._stores(), key=lambda store: self._asked.get(store.name, 0))
        own = [store for store in stores if store.is_own and self._own_gap]
        return own + [store for store in stores if not store.is_own][:ASKED]

    def _since(self, name: str, now: Millis) -> Millis:
        return Millis(max(self._asked.get(name, self._origin) - MARGIN, now - self._back))

    def _remember(self, name: str, when: Millis) -> None:
        self._asked.pop(name, None)
        self._asked[name] = when
        if len(self._asked) > KNOWN:
            del self._asked[next(iter(self._asked))]

    async def _ask(
        self,
        store: History,
        pubsub_topic: PubsubTopic | None,
        content_topics: Sequence[ContentTopic],
        since: Millis,
        pages: int,
    ) -> None:
        cursor: bytes | None = None
        for _ in range(pages):
            page = await store.page(pubsub_topic, content_topics, since, cursor)
            for found in page.messages:
                if self._fits(found, pubsub_topic):
                    await self._receiving.fetched(found.pubsub_topic, found.data)
            self._count("waku_store_messages", len(page.messages))
            if page.cursor is None or not page.messages or page.cursor == cursor:
                return
            cursor = page.cursor
        self._count("waku_store_endless", 1)

    def _fits(self, found: HistoryMessage, pubsub_topic: PubsubTopic | None) -> bool:
        """Refuse what was not asked for; the topic inside is looked at like that of any other message."""
        return found.pubsub_topic == pubsub_topic or (pubsub_topic is None and found.pubsub_topic in self._topics)

    async def _pause(self, seconds: float) -> None:
        waking = asyncio.ensure_future(self._wake.wait())
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((waking, sleeping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
            sleeping.cancel()
