"""
The transport port as a light client of other nodes, which push the subscribed topics and publish our messages.

Made for phones: it neither relays nor listens, and receives the named content topics only (RFC 12, RFC 19). Every
connected node that offers the services gets every subscription and every message, so one that lies or fails costs
nothing.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Self

from hushbell.errors import TransportError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.transports.waku.queue_transport import QueueTransport
from hushbell.types import ContentTopic, Envelope, PubsubTopic, Random
from hushbell.waku.discovery.peer_manager import PeerManager
from hushbell.waku.inbox.message_queue import MessageQueue
from hushbell.waku.libp2p.host import Host
from hushbell.waku.libp2p.keys import new_identity
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.protocols.filter import PROTOCOL as FILTER
from hushbell.waku.protocols.filter_client import FilterClient
from hushbell.waku.protocols.lightpush import PROTOCOL_V2, PROTOCOL_V3
from hushbell.waku.protocols.lightpush_client import LightpushClient
from hushbell.waku.protocols.metadata import MetadataService

GATHER = 0.02  # seconds in which changes of topics are collected into one request
UNSUBSCRIBE_DELAY = 60.0  # seconds after a topic was ignored; services allow 30 requests a minute
MAX_TOPICS = 1_000  # of one node; nwaku allows no more
SUBSCRIBE_TIMEOUT = 10.0  # seconds until at least one node has subscribed all topics
RETRY = 5.0  # seconds until the next request to a node that refused a subscription


class LightTransport(QueueTransport):
    """
    A ``SelectiveTransport``. ``open`` makes it.

    Args:
        host: dials; it does not listen.
        metadata: names our cluster to the nodes.
        peer_manager: keeps the connections.
        queue: the messages that arrived.
        shard: the pubsub topic.
        clock: the time.
        random: names requests.
        count: ``waku_light_*``.
        message_limit: bytes of a message.
    """

    def __init__(
        self,
        *,
        host: Host,
        metadata: MetadataService,
        peer_manager: PeerManager,
        queue: MessageQueue,
        shard: PubsubTopic,
        clock: Clock,
        random: Random,
        count: Count,
        message_limit: int,
    ) -> None:
        super().__init__(queue, self._leave)
        self._host = host
        self._metadata = metadata
        self._peer_manager = peer_manager
        self._shard = shard
        self._clock = clock
        self._count = count
        self._topics: dict[ContentTopic, float | None] = {}  # None: listened to; else when it is unsubscribed, seconds
        self._subscribed: dict[PeerId, set[ContentTopic]] = {}  # at each node
        self._publishers: dict[PeerId, bool] = {}  # whether the node speaks lightpush v3
        self._changed = asyncio.Event()
        self._updated = asyncio.Condition()
        self._filter = FilterClient(
            host=host,
            clock=clock,
            random=random,
            on_message=queue.add,
            count=count,
            message_limit=message_limit,
            on_lost=host.disconnect,  # the service forgot us and does not answer: connect anew
        )
        self._lightpush = LightpushClient(host=host, random=random, count=count)
        host.watch(self._on_connected, self._on_disconnected)
        queue.route = lambda topic: topic in self._topics

    @classmethod
    async def open(
        cls,
        peers: Sequence[Multiaddr],
        *,
        shard: PubsubTopic,
        cluster: int,
        number: int,
        clock: Clock,
        random: Random,
        count: Count,
        message_limit: int,
    ) -> Self:
        """Return the transport, not connected before ``start``."""
        host = Host(new_identity(random), clock=clock, random=random, count=count)
        metadata = MetadataService(host=host, clock=clock, cluster=cluster, shards=lambda: (number,), count=count)
        peer_manager = PeerManager(
            host=host, peers=peers, finders=(), target=0, clock=clock, random=random, count=count
        )
        queue = await MessageQueue.open(
            clock=clock,
            count=count,
            file=None,
            max_seen=10_000,
            seen_seconds=3600,
            max_messages=8192,
            message_limit=message_limit,
        )
        return cls(
            host=host,
            metadata=metadata,
            peer_manager=peer_manager,
            queue=queue,
            shard=shard,
            clock=clock,
            random=random,
            count=count,
            message_limit=message_limit,
        )

    def start(self) -> None:
        """Connect, and keep every node's subscriptions up to date."""
        self._run(self._peer_manager.run(), self._filter.run(), self._keep_subscribed())

    def listen_to(self, topics: Collection[ContentTopic]) -> None:
        """Receive messages of these content topics too."""
        for topic in topics:
            if topic not in self._topics and len(self._topics) >= MAX_TOPICS:
                self._count("waku_light_topics_refused", 1)
                continue
            self._topics[topic] = None
        self._changed.set()

    def ignore(self, topics: Collection[ContentTopic]) -> None:
        """Receive no more of them; the nodes are asked to unsubscribe later, for many at once."""
        until = self._clock.now() / 1000 + UNSUBSCRIBE_DELAY
        for topic in topics:
            if topic in self._topics:
                self._topics[topic] = until

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """
        Have the envelopes published, in order, once the subscriptions for their answers stand.

        Raises:
            TransportError: no node has our subscriptions, or none published a message.
        """
        await self._wait_until_subscribed()
        self._queue.mark_published(envelopes)
        for envelope in envelopes:
            published = await asyncio.gather(*(self._push(peer, envelope) for peer in tuple(self._publishers)))
            if not any(published):
                raise TransportError("no lightpush service published the message")

    async def _leave(self) -> None:
        await self._metadata.close()
        await self._host.close()

    async def _push(self, peer: PeerId, envelope: Envelope) -> bool:
        try:
            if self._publishers[peer]:
                await self._lightpush.publish(peer, envelope.pubsub_topic, envelope.waku_message)
            else:
                await self._lightpush.publish_v2(peer, envelope.pubsub_topic, envelope.waku_message)
        except (TransportError, KeyError):
            self._count("waku_light_push_failed", 1)
            return False
        return True

    async def _wait_until_subscribed(self) -> None:
        """Wait until one node has subscribed all topics."""
        try:
            async with asyncio.timeout(SUBSCRIBE_TIMEOUT), self._updated:
                await self._updated.wait_for(self._is_subscribed)
        except TimeoutError:
            raise TransportError("no filter service has subscribed our topics") from None

    def _is_subscribed(self) -> bool:
        wanted = {topic for topic, until in self._topics.items() if until is None}
        return any(wanted <= subscribed for subscribed in self._subscribed.values())

    async def _keep_subscribed(self) -> None:
        """Update every node's subscriptions, until cancelled."""
        while True:
            failed = False
            now = self._clock.now() / 1000
            for topic, until in tuple(self._topics.items()):
                if until is not None and until <= now:
                    del self._topics[topic]
            for peer in tuple(self._subscribed):
                failed = not await self._update(peer) or failed
            async with self._updated:
                self._updated.notify_all()
            try:
                async with asyncio.timeout(RETRY if failed else UNSUBSCRIBE_DELAY):
                    await self._changed.wait()
            except TimeoutError:
                continue
            await self._clock.sleep(GATHER)
            self._changed.clear()

    async def _update(self, peer: PeerId) -> bool:
        subscribed, wanted = self._subscribed.get(peer, set()), set(self._topics)
        try:
            if missing := wanted - subscribed:
                await self._filter.subscribe(peer, self._shard, missing)
                subscribed |= missing
            if beyond := subscribed - wanted:
                subscribed -= beyond
                await self._filter.unsubscribe(peer, self._shard, beyond)
        except TransportError:
            self._count("waku_light_subscribe_failed", 1)
            return False
        return True

    def _on_connected(self, peer: PeerId, protocols: Sequence[str]) -> None:
        if FILTER in protocols and peer not in self._subscribed:
            self._subscribed[peer] = set()
            self._changed.set()
        if PROTOCOL_V3 in protocols or PROTOCOL_V2 in protocols:
            self._publishers[peer] = PROTOCOL_V3 in protocols

    def _on_disconnected(self, peer: PeerId) -> None:
        self._subscribed.pop(peer, None)
        self._publishers.pop(peer, None)
