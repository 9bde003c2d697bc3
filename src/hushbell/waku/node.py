"""
A whole Waku node: a host, the relay, and the services for those who do not relay.

Every message that is new goes, in this order, to the reader within this process, to filter subscribers and to the
archive, whether it came from a peer or was published here.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

from hushbell.config.node import NodeSettings
from hushbell.errors import ConfigError, HushbellError, WireError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.types import PrivateKey, PubsubTopic, Random
from hushbell.waku.discovery import enr
from hushbell.waku.discovery.dns_discovery import DnsDiscovery, Lookup, TreeUrl, lookup
from hushbell.waku.discovery.peer_manager import Finder, PeerManager
from hushbell.waku.health import LastMessages, Losses, NodeHealth, ShardHealth
from hushbell.waku.history import History
from hushbell.waku.inbox.archive_history import ArchiveHistory
from hushbell.waku.libp2p.host import Host
from hushbell.waku.libp2p.keys import secp256k1_identity
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.message import content_topic
from hushbell.waku.protocols import peer_exchange, store
from hushbell.waku.protocols.archive import Archive
from hushbell.waku.protocols.filter import FilterService
from hushbell.waku.protocols.lightpush import LightpushService
from hushbell.waku.protocols.metadata import MetadataService
from hushbell.waku.protocols.peer_exchange import PeerExchangeClient
from hushbell.waku.protocols.store import StoreService
from hushbell.waku.protocols.store_client import StoreClient
from hushbell.waku.protocols.store_history import StoreHistory
from hushbell.waku.random_choice import shuffled
from hushbell.waku.relay.peer_streams import ConnectionInfo
from hushbell.waku.relay.relay import Relay
from hushbell.waku.relay.settings import RelaySettings

LEAVING = 2.0  # seconds at a stop for what was published to leave
TELL = 300.0  # seconds between two lines about the node's health
ASKED = 3  # peers that are asked for further ones

Reader = Callable[[PubsubTopic, bytes], None]

log = logging.getLogger(__name__)


def _ignored(stores: int) -> None:
    """Nobody asks stores."""


class Node:
    """Made by ``open``; listens and connects after ``start``."""

    def __init__(
        self,
        settings: NodeSettings,
        *,
        host: Host,
        archive: Archive | None,
        pubsub_topics: Sequence[PubsubTopic],
        clock: Clock,
        random: Random,
        losses: Losses,
        lookup: Lookup,
    ) -> None:
        count = losses.count
        self._settings = settings
        self._host = host
        self._archive = archive
        self._pubsub_topics = tuple(dict.fromkeys(pubsub_topics))
        self._clock = clock
        self._random = random
        self._losses = losses
        self._last = LastMessages()
        self._readers: list[Reader] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._stores: set[PeerId] = set()
        self._exchangers: set[PeerId] = set()
        self._on_store: Callable[[int], None] = _ignored
        self._relay = Relay(
            host, RelaySettings(message=settings.message), clock=clock, random=random, count=count, origin=self._origin
        )
        self._relay.on_message = self._arrived
        self._metadata = MetadataService(
            host=host, clock=clock, cluster=settings.cluster, shards=lambda: shards(self._pubsub_topics), count=count
        )
        topics = partial(tuple[PubsubTopic, ...], self._pubsub_topics)
        self._filter = FilterService(host=host, clock=clock, topics=topics, count=count) if settings.filter else None
        if settings.lightpush:
            LightpushService(
                host=host,
                clock=clock,
                publish=self._pushed,
                topics=topics,
                count=count,
                message_limit=settings.message,
            )
        if archive is not None:
            StoreService(host=host, clock=clock, archive=archive, count=count)
        self._asking = StoreClient(host=host, random=random, count=count, message_limit=settings.message)
        self._exchange = PeerExchangeClient(host=host, count=count)
        self._connecting = PeerManager(
            dialer=host,
            peers=[parsed(address, "peers") for address in settings.peers],
            finders=self._finders(DnsDiscovery(lookup, random)),
            wanted=settings.connections,
            clock=clock,
            random=random,
            count=count,
        )
        host.watch(self._connected, self._disconnected)

    @classmethod
    async def open(
        cls,
        settings: NodeSettings,
        *,
        key: PrivateKey,
        folder: Path | None,
        pubsub_topics: Sequence[PubsubTopic],
        clock: Clock,
        random: Random,
        count: Count,
        lookup: Lookup = lookup,
    ) -> Self:
        """
        Make a node that neither listens nor dials yet.

        Args:
            settings: everything an operator may choose.
            key: what its peer id is made of.
            folder: where its archive is; None: none, whatever the settings say.
            pubsub_topics: what it relays.
            clock: the time.
            random: for handshakes, choices and jitter.
            count: takes a counter's name and by how much it grew.
            lookup: asks the domain name system.

        Raises:
            ConfigError, StoreError: the archive cannot be opened, or a setting makes no sense.
        """
        losses = Losses(count)
        host = Host(
            secp256k1_identity(key), clock=clock, random=random, count=losses.count, server_tls=_certificate(settings)
        )
        archive = None
        if settings.store and folder is not None:
            archive = Archive.open(
                folder / "archive.db",
                clock=clock,
                count=losses.count,
                age=settings.store_age,
                size=settings.store_size,
                message_limit=settings.message,
            )
        try:
            return cls(
                settings,
                host=host,
                archive=archive,
                pubsub_topics=pubsub_topics,
                clock=clock,
                random=random,
                losses=losses,
                lookup=lookup,
            )
        except HushbellError:
            if archive is not None:
                await archive.close()
            raise

    @property
    def addresses(self) -> Sequence[str]:
        """Where it listens, each address with its peer id."""
        return [str(address.with_peer(self._host.peer_id)) for address in self._host.addresses]

    def read(self, reader: Reader) -> None:
        """Have every new message handed to a reader within this process, those published here excepted."""
        self._readers.append(reader)

    def on_store(self, appeared: Callable[[int], None]) -> None:
        """Be told when a store has appeared, with how many there are now."""
        self._on_store = appeared

    async def start(self) -> None:
        """
        Relay, listen and connect.

        Raises:
            TransportError: an address cannot be listened on.
            ConfigError: an address is of a kind that cannot be listened on.
        """
        for topic in self._pubsub_topics:
            self._relay.subscribe(topic)
        self._relay.start()
        for address in self._settings.listen:
            await self._host.listen(parsed(address, "listen"))
        self._tasks += [asyncio.create_task(work) for work in (self._connecting.run(), self._tell())]

    def publish(self, pubsub_topic: PubsubTopic, data: bytes) -> int:
        """
        Hand a message to everybody who wants it; return how many peers took it, by relay or by filter.

        Raises:
            WireError: no message that others would relay.
            TransportError: not a shard of this node's.
        """
        peers = self._relay.publish(pubsub_topic, data)
        return peers + self._serve(pubsub_topic, data)

    async def room(self) -> None:
        """Wait a little for peers that are behind."""
        await self._relay.room()

    def stores(self) -> Sequence[History]:
        """Return the stores that can be asked now, our own archive among them."""
        others: list[History] = [StoreHistory(self._asking, peer) for peer in self._stores]
        return others if self._archive is None else [ArchiveHistory(self._archive), *others]

    def health(self) -> NodeHealth:
        """Return how the node is doing."""
        now = self._clock.now()
        return NodeHealth(
            connections=len(self._host.peers),
            stores=len(self._stores),
            shards=[
                ShardHealth(
                    topic, self._relay.listeners(topic), self._relay.mesh(topic), self._last.silent_for(topic, now)
                )
                for topic in self._pubsub_topics
            ],
            dropped=self._losses.so_far(),
        )

    async def close(self) -> None:
        """Let what was published leave, within a bound, and end everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVING):
                await self._relay.room()
                while any(c.unsent for peer in self._host.peers if (c := self._host.connection(peer))):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        await self._relay.close()
        if self._filter is not None:
            await self._filter.close()
        await self._metadata.close()
        await self._host.close()
        if self._archive is not None:
            await self._archive.close()

    def _arrived(self, pubsub_topic: str, data: bytes) -> None:
        topic = PubsubTopic(pubsub_topic)
        self._last.heard(topic, self._clock.now())
        for reader in self._readers:
            reader(topic, data)
        self._serve(topic, data)

    def _serve(self, pubsub_topic: PubsubTopic, data: bytes) -> int:
        """Give a message to subscribers, how many is returned, and to the archive."""
        if self._archive is not None:
            self._archive.put(pubsub_topic, data)
        if self._filter is None or not self._filter.subscribers:
            return 0
        topic = content_topic(data, self._settings.message)
        return 0 if topic is None else self._filter.deliver(pubsub_topic, topic, data)

    def _pushed(self, pubsub_topic: PubsubTopic, data: bytes) -> int:
        """Publish what a light client brings. Whoever reads here, or asks our archive, counts as one that took it."""
        peers = self._relay.publish(pubsub_topic, data)
        self._last.heard(pubsub_topic, self._clock.now())
        for reader in self._readers:
            reader(pubsub_topic, data)
        peers += self._serve(pubsub_topic, data)
        return peers + (bool(self._readers) or self._archive is not None)

    def _origin(self, peer: PeerId) -> ConnectionInfo:
        connection = self._host.connection(peer)
        return (
            ConnectionInfo("", outbound=False)
            if connection is None
            else ConnectionInfo(connection.pipe.remote, connection.outbound)
        )

    def _connected(self, peer: PeerId, protocols: Sequence[str]) -> None:
        new = store.PROTOCOL in protocols and peer not in self._stores
        for known, protocol in ((self._stores, store.PROTOCOL), (self._exchangers, peer_exchange.PROTOCOL)):
            if protocol in protocols:
                known.add(peer)
        if new:
            self._on_store(len(self._stores))

    def _disconnected(self, peer: PeerId) -> None:
        self._stores.discard(peer)
        self._exchangers.discard(peer)
        self._connecting.gone(peer)

    def _finders(self, lists: DnsDiscovery) -> Sequence[Finder]:
        finders: list[Finder] = [partial(self._listed, lists, text) for text in self._settings.dns_lists]
        if self._settings.peer_exchange:
            finders.append(self._exchanged)
        return finders

    async def _listed(self, lists: DnsDiscovery, text: str) -> Sequence[Multiaddr]:
        return self._fitting(await lists.read(TreeUrl.parse(text)))

    async def _exchanged(self) -> Sequence[Multiaddr]:
        records: list[enr.NodeRecord] = []
        for peer in shuffled(sorted(self._exchangers), self._random)[:ASKED]:
            with suppress(HushbellError):
                for data in await self._exchange.ask(peer, self._settings.connections * 4):
                    with suppress(WireError):
                        records.append(enr.read(data))
        return self._fitting(records)

    def _fitting(self, records: Sequence[enr.NodeRecord]) -> Sequence[Multiaddr]:
        """Return one address of each node that relays what we do."""
        ours = frozenset(shards(self._pubsub_topics))
        return [
            shuffled(record.addresses, self._random)[0]
            for record in records
            if record.addresses and record.relays(self._settings.cluster, ours)
        ]

    async def _tell(self) -> None:
        while True:
            await self._clock.sleep(TELL)
            health = self.health()
            level = logging.INFO if health.ready else logging.WARNING
            for shard in health.shards:
                log.log(level, "%s: %d peers, %d in the mesh", shard.pubsub_topic, shard.peers, shard.mesh)
            if health.dropped:
                log.warning("messages were dropped: %s", dict(health.dropped))


def shards(pubsub_topics: Sequence[PubsubTopic]) -> Sequence[int]:
    """Return the numbers of the shards, in order."""
    return sorted(int(topic.rsplit("/", 1)[1]) for topic in pubsub_topics)


def parsed(address: str, setting: str) -> Multiaddr:
    """Return the address. Raises ConfigError."""
    try:
        return Multiaddr.parse(address)
    except WireError as error:
        raise ConfigError(f"node.{setting}: {address}: {error}") from error


def _certificate(settings: NodeSettings) -> ssl.SSLContext | None:
    if not settings.certificate_file:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.certificate_file, settings.certificate_key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"node.certificate_file: {settings.certificate_file} cannot be used: {error}") from error
    return context
