"""Where further nodes are found: lists in the domain name system, and peers that answer peer exchange."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from hushbell.config.node import NodeSettings
from hushbell.errors import HushbellError
from hushbell.ports.metrics import Count
from hushbell.types import Random
from hushbell.waku.discovery.dns_discovery import DnsDiscovery, Lookup, TreeUrl
from hushbell.waku.discovery.enr import NodeRecord
from hushbell.waku.discovery.peer_manager import Finder
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.stream import PeerId, StreamHost
from hushbell.waku.protocols import peer_exchange
from hushbell.waku.protocols.peer_exchange import PeerExchangeClient
from hushbell.waku.random_choice import shuffled

MAX_ASKED = 3  # peers of one search
RECORDS_PER_CONNECTION = 4  # asked for, because some of the nodes are down


class NodeFinder:
    """
    Finds addresses of nodes that relay one of our shards.

    Args:
        host: knows which peers answer peer exchange.
        settings: ``dns_lists``, ``peer_exchange``, ``cluster`` and ``connections``.
        shards: the numbers of our shards.
        lookup: asks the domain name system.
        random: the choice among peers, records and addresses.
        count: ``peer_exchange_*`` counters.
    """

    def __init__(
        self,
        host: StreamHost,
        settings: NodeSettings,
        *,
        shards: Sequence[int],
        lookup: Lookup,
        random: Random,
        count: Count,
    ) -> None:
        self._settings = settings
        self._shards = frozenset(shards)
        self._random = random
        self._dns = DnsDiscovery(lookup, random)
        self._exchange = PeerExchangeClient(host=host, count=count)
        self._exchange_peers: set[PeerId] = set()
        host.watch(self._on_connected, self._exchange_peers.discard)

    @property
    def finders(self) -> Sequence[Finder]:
        """One function for each DNS list, and one for peer exchange if it is on."""
        finders: list[Finder] = [partial(self.find_in_list, url) for url in self._settings.dns_lists]
        return [*finders, self.find_by_exchange] if self._settings.peer_exchange else finders

    async def find_in_list(self, url: str) -> Sequence[Multiaddr]:
        """Return one address of each fitting node of a DNS list. Raises TransportError, WireError."""
        return self._fitting(await self._dns.read(TreeUrl.parse(url)))

    async def find_by_exchange(self) -> Sequence[Multiaddr]:
        """Return one address of each fitting node that a few connected peers name."""
        records: list[NodeRecord] = []
        for peer in shuffled(sorted(self._exchange_peers), self._random)[:MAX_ASKED]:
            with suppress(HushbellError):
                records += await self._exchange.records(peer, self._settings.connections * RECORDS_PER_CONNECTION)
        return self._fitting(records)

    def _fitting(self, records: Sequence[NodeRecord]) -> Sequence[Multiaddr]:
        return [
            shuffled(record.addresses, self._random)[0]
            for record in records
            if record.addresses and record.relays(self._settings.cluster, self._shards)
        ]

    def _on_connected(self, peer: PeerId, protocols: Sequence[str]) -> None:
        if peer_exchange.PROTOCOL in protocols:
            self._exchange_peers.add(peer)
