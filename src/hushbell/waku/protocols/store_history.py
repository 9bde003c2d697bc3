"""A store node as the source of what was missed: implements ``catching_up.History``."""

from collections.abc import Sequence

from hushbell.types import ContentTopic, Millis, PubsubTopic
from hushbell.waku.history import MAX_PAGE, HistoryMessage, HistoryPage
from hushbell.waku.libp2p.keys import peer_id_text
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.protocols.store_client import StoreClient
from hushbell.waku.wire.services import StoreRequest

MS = 1_000_000  # ns


class StoreHistory:
    """
    One store that can be asked.

    Args:
        client: asks.
        peer: whom.
    """

    is_own = False
    has_whole_shards = True  # RFC 13 knows queries without topics

    def __init__(self, client: StoreClient, peer: PeerId) -> None:
        self._client = client
        self._peer = peer

    @property
    def name(self) -> str:
        """Tell it from others."""
        return peer_id_text(self._peer)

    async def page(
        self,
        pubsub_topic: PubsubTopic | None,
        content_topics: Sequence[ContentTopic],
        since: Millis,
        cursor: bytes | None,
    ) -> HistoryPage:
        """
        Return up to ``MAX_PAGE`` messages published since then, oldest first; of all topics if none is named.

        Raises:
            TransportError: it did not answer, or refuses.
        """
        request = StoreRequest(
            include_data=True,
            # One without the other is no query (RFC 13).
            pubsub_topic=pubsub_topic if content_topics else None,
            content_topics=tuple(content_topics),
            time_start=since * MS,
            cursor=cursor,
            forward=True,
            limit=MAX_PAGE,
        )
        found, following, _ = await self._client.page(self._peer, request)
        return HistoryPage([HistoryMessage(one.pubsub_topic, one.waku_message) for one in found], following)
