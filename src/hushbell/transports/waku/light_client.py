"""
A light client of other people's nodes behind the transport port: they push what was asked for, and publish for us.

Made for phones: no relaying, no listening, and messages of the named content topics only (RFC 12, RFC 19). Every node
that offers the services gets every subscription and every message, so that one which lies or fails is not noticed.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Self

from hushbell.errors import TransportError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.ports.transport import ReceivedMessage
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

GATHER = 0.02  # seconds in which changes of topics are gathered into one request
LINGER = 60.0  # seconds that a topic stays subscribed after nobody wants it; services allow 30 requests a minute
MOST_TOPICS = 1_000  # of one node; nwaku allows no more
PATIENCE = 10.0  # seconds until the topics wanted so far are subscribed at one node at least
RETRY = 5.0  # seconds until a node that refused a subscription is asked again


class LightTransport:
    """
    A ``Transport`` that is told which topics to listen to. Made by ``open``.

    Args:
        host: dials, and listens to nobody.
        metadata: tells the nodes our cluster.
        connecting: keeps the connections.
        receiving: where messages arrive.
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
        connecting: PeerManager,
        receiving: MessageQueue,
        shard: PubsubTopic,
        clock: Clock,
        random: Random,
        count: Count,
        message_limit: int,
    ) -> None:
        self._host = host
        self._metadata = metadata
        self._connecting = connecting
        self._receiving = receiving
        self._shard = shard
        self._clock = clock
        self._count = count
        self._wanted: dict[ContentTopic, float | None] = {}  # None: wanted; else seconds until it is left
        self._filters: dict[PeerId, set[ContentTopic]] = {}  # what each node has subscribed for us
        self._pushers: dict[PeerId, bool] = {}  # whether version 3 is spoken
        self._changed = asyncio.Event()
        self._subscribed = asyncio.Condition()
        self._filter = FilterClient(
            host=host,
            clock=clock,
            random=random,
            received=lambda topic, data: receiving.arrived(PubsubTopic(topic), data),
            count=count,
            message_limit=message_limit,
            lost=self._lost,
        )
        self._lightpush = LightpushClient(host=host, random=random, count=count)
        self._tasks: list[asyncio.Task[None]] = []
        host.watch(self._connected, self._disconnected)
        receiving.wanted = lambda topic: topic in self._wanted

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
        """Return the transport; nothing is connected before ``start``."""
        host = Host(new_identity(random), clock=clock, random=random, count=count)
        metadata = MetadataService(host=host, clock=clock, cluster=cluster, shards=lambda: (number,), count=count)
        connecting = PeerManager(
            dialer=host, peers=peers, finders=(), wanted=0, clock=clock, random=random, count=count
        )
        receiving = await MessageQueue.open(
            clock=clock, count=count, file=None, seen=10_000, seen_for=3600, waiting=8192, message_limit=message_limit
        )
        return cls(
            host=host,
            metadata=metadata,
            connecting=connecting,
            receiving=receiving,
            shard=shard,
            clock=clock,
            random=random,
            count=count,
            message_limit=message_limit,
        )

    def start(self) -> None:
        """Begin to connect, and to keep the subscriptions."""
        self._tasks += [
            asyncio.create_task(work) for work in (self._connecting.run(), self._filter.run(), self._keep())
        ]

    def listen_to(self, topics: Collection[ContentTopic]) -> None:
        """Receive messages of these content topics too."""
        for topic in topics:
            if topic not in self._wanted and len(self._wanted) >= MOST_TOPICS:
                self._count("waku_light_topics_refused", 1)
                continue
            self._wanted[topic] = None
        self._changed.set()

    def ignore(self, topics: Collection[ContentTopic]) -> None:
        """Receive no more of them; the nodes are told later, many at once."""
        until = self._clock.now() / 1000 + LINGER
        for topic in topics:
            if topic in self._wanted:
                self._wanted[topic] = until

    async def receive(self, limit: int) -> Sequence[ReceivedMessage]:
        """Wait for at least one envelope and return up to ``limit``; nothing once closed."""
        return [ReceivedMessage(one.pubsub_topic, one.waku_message) for one in await self._receiving.take(limit)]

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """
        Have the envelopes published, in order, once answers to them can be heard.

        Raises:
            TransportError: no node is connected that published one and listens for us.
        """
        await self._ready()
        self._receiving.sent(envelopes)
        for envelope in envelopes:
            took = await asyncio.gather(*(self._push(peer, envelope) for peer in tuple(self._pushers)))
            if not any(took):
                raise TransportError("no light service published the message")

    async def close(self) -> None:
        """Leave. Nothing more is received."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._receiving.close()
        await self._metadata.close()
        await self._host.close()

    async def _push(self, peer: PeerId, envelope: Envelope) -> bool:
        try:
            if self._pushers[peer]:
                await self._lightpush.publish(peer, envelope.pubsub_topic, envelope.waku_message)
            else:
                await self._lightpush.publish_v2(peer, envelope.pubsub_topic, envelope.waku_message)
        except (TransportError, KeyError):
            self._count("waku_light_push_failed", 1)
            return False
        return True

    async def _ready(self) -> None:
        """Wait until one node has subscribed everything that is wanted."""
        try:
            async with asyncio.timeout(PATIENCE), self._subscribed:
                await self._subscribed.wait_for(self._complete)
        except TimeoutError:
            raise TransportError("no light service listens for us") from None

    def _complete(self) -> bool:
        wanted = {topic for topic, until in self._wanted.items() if until is None}
        return any(wanted <= has for has in self._filters.values())

    async def _keep(self) -> None:
        """Bring every node's subscriptions up to what is wanted."""
        while True:
            failed = False
            now = self._clock.now() / 1000
            for topic, until in tuple(self._wanted.items()):
                if until is not None and until <= now:
                    del self._wanted[topic]
            for peer in tuple(self._filters):
                failed = not await self._update(peer) or failed
            async with self._subscribed:
                self._subscribed.notify_all()
            try:
                async with asyncio.timeout(RETRY if failed else LINGER):
                    await self._changed.wait()
            except TimeoutError:
                continue
            await self._clock.sleep(GATHER)
            self._changed.clear()

    async def _update(self, peer: PeerId) -> bool:
        has, wanted = self._filters.get(peer, set()), set(self._wanted)
        try:
            if missing := wanted - has:
                await self._filter.subscribe(peer, self._shard, missing)
                has |= missing
            if beyond := has - wanted:
                has -= beyond
                await self._filter.unsubscribe(peer, self._shard, beyond)
        except TransportError:
            self._count("waku_light_subscribe_failed", 1)
            return False
        return True

    def _connected(self, peer: PeerId, protocols: Sequence[str]) -> None:
        if FILTER in protocols and peer not in self._filters:
            self._filters[peer] = set()
            self._changed.set()
        if PROTOCOL_V3 in protocols or PROTOCOL_V2 in protocols:
            self._pushers[peer] = PROTOCOL_V3 in protocols

    def _disconnected(self, peer: PeerId) -> None:
        self._filters.pop(peer, None)
        self._pushers.pop(peer, None)
        self._connecting.gone(peer)

    def _lost(self, peer: PeerId) -> None:
        """A service forgot us and does not answer: connect anew."""
        self._host.disconnect(peer)
