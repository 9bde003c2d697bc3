"""Store nodes as histories: one of them, and all that are connected."""

from collections.abc import Callable, Sequence

from hushbell.types import ContentTopic, Millis, PubsubTopic
from hushbell.waku.history import MAX_PAGE, History, HistoryPage
from hushbell.waku.libp2p.keys import peer_id_text
from hushbell.waku.libp2p.stream import PeerId, StreamHost
from hushbell.waku.message import RawMessage
from hushbell.waku.protocols.store import PROTOCOL
from hushbell.waku.protocols.store_client import StoreClient
from hushbell.waku.wire.services import StoreRequest

MS = 1_000_000  # ns


class StoreHistory:
    """
    One store node, a :class:`hushbell.waku.history.History`.

    Args:
        client: sends the queries.
        peer: the store node.
    """

    is_own = False
    has_whole_shards = True  # RFC 13 knows queries without topics

    def __init__(self, client: StoreClient, peer: PeerId) -> None:
        self._client = client
        self._peer = peer

    @property
    def name(self) -> str:
        """The peer id, as text."""
        return peer_id_text(self._peer)

    async def page(
        self,
        pubsub_topic: PubsubTopic | None,
        content_topics: Sequence[ContentTopic],
        since: Millis,
        cursor: bytes | None,
    ) -> HistoryPage:
        """
        Return a page; see :class:`hushbell.waku.history.History`.

        Raises:
            TransportError: the node did not answer, or refuses.
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
        return HistoryPage([RawMessage(one.pubsub_topic, one.waku_message) for one in found], following)


class StorePeers:
    """
    The connected peers that offer the store protocol.

    Args:
        host: reports peers.
        client: queries them.
        own: this node's archive, if it has one.

    ``on_found`` is called with the number of peers whenever a new one offers the protocol.
    """

    def __init__(self, host: StreamHost, client: StoreClient, *, own: History | None) -> None:
        self.on_found: Callable[[int], None] = ignore_stores
        self._client = client
        self._own = own
        self._peers: set[PeerId] = set()
        host.watch(self._on_connected, self._peers.discard)

    def __len__(self) -> int:
        return len(self._peers)

    def histories(self) -> Sequence[History]:
        """Return the stores that can be queried now, our own archive first."""
        others: list[History] = [StoreHistory(self._client, peer) for peer in self._peers]
        return others if self._own is None else [self._own, *others]

    def _on_connected(self, peer: PeerId, protocols: Sequence[str]) -> None:
        if PROTOCOL in protocols and peer not in self._peers:
            self._peers.add(peer)
            self.on_found(len(self._peers))


def ignore_stores(number: int) -> None:
    """Do nothing with the number of stores."""
