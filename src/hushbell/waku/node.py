"""
A Waku node: a libp2p host, the relay, the services for peers that do not relay, and the search for peers.

Each new message goes, in this order, to the readers within this process, to the archive and to filter subscribers,
whether it came from a peer or was published here.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from hushbell.config.node import NodeSettings
from hushbell.errors import ConfigError, HushbellError, WireError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.types import PrivateKey, PubsubTopic, Random
from hushbell.waku.discovery.dns_discovery import Lookup, lookup
from hushbell.waku.discovery.node_finder import NodeFinder
from hushbell.waku.discovery.peer_manager import PeerManager
from hushbell.waku.health import LastMessages, Losses, NodeHealth, ShardHealth
from hushbell.waku.inbox.archive_history import ArchiveHistory
from hushbell.waku.libp2p.host import Host
from hushbell.waku.libp2p.keys import secp256k1_identity
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.message import RawMessage
from hushbell.waku.protocols.archive import Archive
from hushbell.waku.protocols.store_client import StoreClient
from hushbell.waku.protocols.store_history import StorePeers
from hushbell.waku.relay.peer_streams import ConnectionInfo
from hushbell.waku.relay.relay import Relay
from hushbell.waku.relay.settings import RelaySettings
from hushbell.waku.services import NodeServices, shard_numbers

MAX_CLOSE_SECONDS = 2.0  # for published messages to leave when the node stops
HEALTH_LOG_INTERVAL = 300.0  # seconds

Reader = Callable[[RawMessage], None]

log = logging.getLogger(__name__)


class Node:
    """
    One node. ``open`` makes it; it listens and connects after ``start``.

    Attributes:
        stores: the peers that offer the store protocol, and our own archive.
    """

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
        self._losses = losses
        self._last_messages = LastMessages()
        self._readers: list[Reader] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._relay = Relay(
            host,
            RelaySettings(message=settings.message),
            clock=clock,
            random=random,
            count=count,
            connection_info=self._connection_info,
        )
        self._relay.on_message = self._on_message
        self._services = NodeServices(
            host,
            settings,
            archive=archive,
            pubsub_topics=self._pubsub_topics,
            publish=self._publish_for_client,
            clock=clock,
            count=count,
        )
        client = StoreClient(host=host, random=random, count=count, message_limit=settings.message)
        self.stores = StorePeers(host, client, own=None if archive is None else ArchiveHistory(archive))
        shards = shard_numbers(self._pubsub_topics)
        finder = NodeFinder(host, settings, shards=shards, lookup=lookup, random=random, count=count)
        self._peer_manager = PeerManager(
            host=host,
            peers=[parse_address(address, "peers") for address in settings.peers],
            finders=finder.finders,
            target=settings.connections,
            clock=clock,
            random=random,
            count=count,
        )

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
        Return a node that neither listens nor dials yet.

        Args:
            settings: section ``[node]``.
            key: the secp256k1 key of its peer id, 32 bytes.
            folder: holds the archive; None: the node stores nothing, whatever the settings say.
            pubsub_topics: the shards that it relays.
            clock: the time.
            random: handshakes, choices and jitter.
            count: counts.
            lookup: asks the domain name system.

        Raises:
            ConfigError: a setting makes no sense.
            StoreError: the archive cannot be opened.
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
        """The addresses that it listens on, each with its peer id."""
        return [str(address.with_peer(self._host.peer_id)) for address in self._host.addresses]

    def add_reader(self, reader: Reader) -> None:
        """Call ``reader`` with each new message of a peer or light client; not with those of :meth:`publish`."""
        self._readers.append(reader)

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
            await self._host.listen(parse_address(address, "listen"))
        self._tasks += [asyncio.create_task(work) for work in (self._peer_manager.run(), self._log_health())]

    def publish(self, pubsub_topic: PubsubTopic, data: bytes) -> int:
        """
        Send a serialised WakuMessage and return how many peers it went to, by relay or by filter.

        Raises:
            WireError: other nodes would not relay the message.
            TransportError: the node does not relay this shard.
        """
        return self._relay.publish(pubsub_topic, data) + self._services.deliver(RawMessage(pubsub_topic, data))

    async def wait_for_room(self) -> None:
        """Return when no peer has messages waiting, at the latest after :data:`relay.peer_streams.MAX_WAIT_SECONDS`."""
        await self._relay.wait_for_room()

    def health(self) -> NodeHealth:
        """Return the connections, the shards with their last messages, and what was dropped."""
        now = self._clock.now()
        return NodeHealth(
            connections=len(self._host.peers),
            stores=len(self.stores),
            shards=[
                ShardHealth(
                    topic,
                    self._relay.subscribers(topic),
                    self._relay.mesh(topic),
                    self._last_messages.silent_for(topic, now),
                )
                for topic in self._pubsub_topics
            ],
            dropped=self._losses.totals(),
        )

    async def close(self) -> None:
        """Wait up to :data:`MAX_CLOSE_SECONDS` until published messages have left, then close everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(MAX_CLOSE_SECONDS):
                await self._relay.wait_for_room()
                while any(c.unsent for peer in self._host.peers if (c := self._host.connection(peer))):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        await self._relay.close()
        await self._services.close()
        await self._host.close()
        if self._archive is not None:
            await self._archive.close()

    def _on_message(self, pubsub_topic: str, data: bytes) -> int:
        """Pass a message of another node to readers and services; return how many filter subscribers it goes to."""
        message = RawMessage(PubsubTopic(pubsub_topic), data)
        self._last_messages.record(pubsub_topic, self._clock.now())
        for reader in self._readers:
            reader(message)
        return self._services.deliver(message)

    def _publish_for_client(self, pubsub_topic: PubsubTopic, data: bytes) -> int:
        """Publish a light client's message. Readers and the archive of this node count as one receiver."""
        peers = self._relay.publish(pubsub_topic, data) + self._on_message(pubsub_topic, data)
        return peers + (bool(self._readers) or self._archive is not None)

    def _connection_info(self, peer: PeerId) -> ConnectionInfo:
        connection = self._host.connection(peer)
        if connection is None:
            return ConnectionInfo("", outbound=False)
        return ConnectionInfo(connection.raw.remote, connection.outbound)

    async def _log_health(self) -> None:
        while True:
            await self._clock.sleep(HEALTH_LOG_INTERVAL)
            health = self.health()
            level = logging.INFO if health.ready else logging.WARNING
            for shard in health.shards:
                log.log(level, "%s: %d peers, %d in the mesh", shard.pubsub_topic, shard.peers, shard.mesh)
            if health.dropped:
                log.warning("messages were dropped: %s", dict(health.dropped))


def parse_address(address: str, setting: str) -> Multiaddr:
    """Return the address of a setting. Raises ConfigError."""
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
