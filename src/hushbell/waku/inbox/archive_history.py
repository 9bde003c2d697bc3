"""This node's own archive as a history of messages that were dropped on their way to the reader."""

from collections.abc import Sequence

from hushbell.errors import TransportError
from hushbell.types import ContentTopic, Millis, PubsubTopic
from hushbell.waku.history import MAX_PAGE, HistoryPage
from hushbell.waku.message import RawMessage
from hushbell.waku.protocols.archive import Archive
from hushbell.waku.protocols.store_db import ArchiveQuery

SIZE = 4 * 1024 * 1024  # bytes of messages in one page
MS = 1_000_000  # ns


class ArchiveHistory:
    """
    A :class:`hushbell.waku.history.History`.

    Args:
        archive: the messages.
    """

    name = "own"
    is_own = True
    has_whole_shards = True

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    async def page(
        self,
        pubsub_topic: PubsubTopic | None,
        content_topics: Sequence[ContentTopic],
        since: Millis,
        cursor: bytes | None,
    ) -> HistoryPage:
        """Return up to ``MAX_PAGE`` messages published since then. Raises StoreUnavailable, TransportError."""
        query = ArchiveQuery(pubsub_topic=pubsub_topic, content_topics=tuple(content_topics), since=since * MS)
        page = await self._archive.page(query, cursor=cursor, limit=MAX_PAGE, size=SIZE)
        if page is None:
            raise TransportError("the cursor's message is no longer in the archive")
        found = [RawMessage(PubsubTopic(one.pubsub_topic), one.message) for one in page.messages]
        return HistoryPage(found, page.messages[-1].hash if page.has_more else None)
