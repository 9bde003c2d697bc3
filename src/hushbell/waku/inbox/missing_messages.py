"""
Queries to stores for messages that no peer delivered: after a start, after a gap, and at intervals.

The reader's own topics are queried from the last time everything was known to have arrived; whole shards for the last
minute only.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from hushbell.errors import HushbellError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.types import ContentTopic, Millis, PubsubTopic, Random
from hushbell.waku.history import History
from hushbell.waku.inbox.message_queue import MessageQueue
from hushbell.waku.message import RawMessage

MARGIN_MILLIS = 60_000  # stores sort messages by their senders' clocks, which differ
RECENT_MILLIS = 60_000  # of whole shards; an older request is not worth an answer
MAX_PAGES = 10_000  # of one query: a million messages
MAX_RECENT_PAGES = 50  # of whole shards
MAX_STORES = 3  # in one round: each may have missed something itself
SETTLE = 2.0  # seconds from the end of a gap to the query: by then the relay delivers everything new
RETRY = 5.0  # seconds until the next round after all stores failed; doubled up to
MAX_RETRY = 60.0
EARLY_MILLIS = 600_000  # after a start, in which a store that is new to us is queried from the beginning
MAX_KNOWN_STORES = 64  # whose last query is remembered

log = logging.getLogger(__name__)


class MissingMessages:
    """
    The task that queries stores.

    Args:
        queue: receives what is found, and knows what has arrived.
        stores: returns the stores that can be queried now.
        topics: the reader's own, at most 10 content topics on each pubsub topic.
        interval: seconds between two rounds without a reason.
        max_age: seconds; older messages are not queried.
    """

    def __init__(
        self,
        *,
        queue: MessageQueue,
        stores: Callable[[], Sequence[History]],
        topics: Mapping[PubsubTopic, Sequence[ContentTopic]],
        clock: Clock,
        random: Random,
        count: Count,
        interval: float,
        max_age: float,
    ) -> None:
        self._queue = queue
        self._stores = stores
        self._topics = topics
        self._clock = clock
        self._random = random
        self._count = count
        self._interval = interval
        self._max_age = round(max_age * 1000)
        self._start = queue.complete_until
        self._opened_at = clock.now()
        self._queried: dict[str, Millis] = {}
        self._wake = asyncio.Event()
        self._gap = self._own_gap = True

    def request_round(self, *, gap: bool = True) -> None:
        """Begin a round soon: a store was found, or (``gap``) messages may be missing."""
        self._gap = self._gap or gap
        self._own_gap = self._own_gap or gap
        self._wake.set()

    async def run(self) -> None:
        """Query stores until cancelled."""
        wait = RETRY
        while True:
            self._wake.clear()
            if self._topics and await self.round():
                wait = RETRY
                await self._pause(self._interval * (0.75 + self._random(1)[0] / 512))
            else:
                await self._pause(wait)
                wait = min(2 * wait, MAX_RETRY)
            if self._wake.is_set():
                await self._clock.sleep(SETTLE)

    async def round(self) -> bool:
        """Query a few stores and return whether one of them answered to the end."""
        began = self._clock.now()
        recent, self._gap = self._gap, False
        answered = False
        for store in self._choose():
            try:
                await self._query_all(store, began, recent=recent)
            except HushbellError as error:
                self._count("waku_store_failures", 1)
                log.warning("a store did not answer: %s", error)
                continue
            except Exception:
                # A bug in this program that one store triggers must not stop the queries to others, now and later.
                self._count("waku_store_failures", 1)
                log.exception("a store could not be queried")
                continue
            self._remember(store.name, began)
            if store.is_own:
                self._own_gap = False
            answered = answered or not store.is_own
        self._gap = self._gap or (recent and not answered)
        if answered:
            if began - self._opened_at > EARLY_MILLIS:
                self._start = began
            self._queue.mark_complete(began)
        return answered

    async def _query_all(self, store: History, began: Millis, *, recent: bool) -> None:
        """Query one store for the own topics and, with ``recent``, for the last minute of whole shards."""
        since = self._since(store.name, began)
        for pubsub_topic, content_topics in self._topics.items():
            await self._query(store, pubsub_topic, content_topics, since, MAX_PAGES)
        if recent and store.has_whole_shards:
            await self._query(store, None, (), max(since, Millis(began - RECENT_MILLIS)), MAX_RECENT_PAGES)

    def _choose(self) -> Sequence[History]:
        """Return the stores whose last query is oldest, and our own archive after a gap."""
        stores = sorted(self._stores(), key=lambda store: self._queried.get(store.name, 0))
        own = [store for store in stores if store.is_own and self._own_gap]
        return own + [store for store in stores if not store.is_own][:MAX_STORES]

    def _since(self, name: str, now: Millis) -> Millis:
        return Millis(max(self._queried.get(name, self._start) - MARGIN_MILLIS, now - self._max_age))

    def _remember(self, name: str, when: Millis) -> None:
        self._queried.pop(name, None)
        self._queried[name] = when
        if len(self._queried) > MAX_KNOWN_STORES:
            del self._queried[next(iter(self._queried))]

    async def _query(
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
                if self._is_wanted(found, pubsub_topic):
                    await self._queue.add_when_room(found)
            self._count("waku_store_messages", len(page.messages))
            if page.cursor is None or not page.messages or page.cursor == cursor:
                return
            cursor = page.cursor
        self._count("waku_store_endless", 1)

    def _is_wanted(self, found: RawMessage, pubsub_topic: PubsubTopic | None) -> bool:
        """Whether a message is on a shard that was queried. The queue checks its content topic."""
        return found.pubsub_topic == pubsub_topic or (pubsub_topic is None and found.pubsub_topic in self._topics)

    async def _pause(self, seconds: float) -> None:
        waking = asyncio.ensure_future(self._wake.wait())
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((waking, sleeping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
            sleeping.cancel()
