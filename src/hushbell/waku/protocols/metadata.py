"""The cluster and shards of each peer (RFC 66). Peers of another cluster are disconnected."""

from collections.abc import Callable, Sequence

from hushbell.errors import TransportError, WireError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.waku.libp2p.stream import PeerId, StreamHost
from hushbell.waku.protocols.request_response import RESPONSE_TIMEOUT, Service, Tasks, ask
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import Metadata

PROTOCOL = "/vac/waku/metadata/1.0.0"
RELAY = "/vac/waku/relay/2.0.0"
LIMIT = 16 * 1024  # bytes; 1,024 shards under both numbers are 6 KiB
DISCONNECT_DELAY = 0.5  # seconds after the response to a peer of another cluster, so that it learns why


class MetadataService:
    """
    Asks every relay peer that connects, and answers every request.

    A peer that does not speak the protocol, or does not answer, stays connected: bare libp2p nodes relay as well as
    others, and a peer that would lie about its cluster can also be silent. A peer that answers without a cluster, or
    with another, is disconnected.

    Args:
        host: the node's.
        clock: time.
        cluster: ours.
        shards: returns ours; go-waku disconnects a peer that names none.
        count: ``metadata_*`` counters.
        seconds: for an answer.
    """

    def __init__(
        self,
        *,
        host: StreamHost,
        clock: Clock,
        cluster: int,
        shards: Callable[[], Sequence[int]],
        count: Count,
        seconds: float = RESPONSE_TIMEOUT,
    ) -> None:
        self._host = host
        self._clock = clock
        self._cluster = cluster
        self._shards = shards
        self._count = count
        self._seconds = seconds
        self._tasks = Tasks()
        self._known: dict[PeerId, Metadata] = {}
        self._connected: dict[PeerId, bool] = {}  # whether a request was sent
        Service(
            host=host,
            protocol=PROTOCOL,
            answer=self._answer,
            name="metadata",
            limit=LIMIT,
            count=count,
            seconds=seconds,
        )
        host.watch(self._on_connected, self._on_disconnected)

    def of(self, peer: PeerId) -> Metadata | None:
        """Return the metadata of a connected peer, if it is known."""
        return self._known.get(peer)

    async def ask(self, peer: PeerId) -> Metadata:
        """
        Ask one peer.

        Raises:
            TransportError: it did not answer.
            WireError: its answer is not understood.
        """
        request = codecs.encode(self._own_metadata())
        answer = await ask(self._host, peer, PROTOCOL, request, limit=LIMIT, seconds=self._seconds)
        return codecs.decode(Metadata, answer, limit=LIMIT)

    async def close(self) -> None:
        """End the requests under way."""
        await self._tasks.close()

    def _own_metadata(self) -> Metadata:
        return Metadata(self._cluster, tuple(self._shards()))

    def _on_connected(self, peer: PeerId, protocols: Sequence[str]) -> None:
        is_asked = self._connected.get(peer, False)
        # A light client names its cluster in its own request. js-waku's would take our stream for one of its own, write
        # its request on it, and read our request as a response without a cluster.
        will_ask = PROTOCOL in protocols and RELAY in protocols and not is_asked
        self._connected[peer] = is_asked or will_ask
        if will_ask:
            self._tasks.start(self._ask_new_peer(peer))

    def _on_disconnected(self, peer: PeerId) -> None:
        self._connected.pop(peer, None)
        self._known.pop(peer, None)

    async def _ask_new_peer(self, peer: PeerId) -> None:
        try:
            theirs = await self.ask(peer)
        except (TransportError, WireError):
            self._count("metadata_unanswered", 1)
            return
        self._check_cluster(peer, theirs)

    def _check_cluster(self, peer: PeerId, theirs: Metadata) -> None:
        if theirs.cluster_id != self._cluster:
            self._count("metadata_other_cluster", 1)
            self._host.disconnect(peer)
        elif peer in self._connected:
            self._known[peer] = theirs

    async def _disconnect_later(self, peer: PeerId) -> None:
        await self._clock.sleep(DISCONNECT_DELAY)
        self._count("metadata_other_cluster", 1)
        self._host.disconnect(peer)

    async def _answer(self, peer: PeerId, request: bytes, is_busy: bool) -> bytes:  # noqa: ARG002, FBT001
        theirs = codecs.decode(Metadata, request, limit=LIMIT)
        if theirs.cluster_id == self._cluster and peer in self._connected:
            self._known[peer] = theirs
        elif theirs.cluster_id not in (None, self._cluster):
            self._tasks.start(self._disconnect_later(peer))
        return codecs.encode(self._own_metadata())
