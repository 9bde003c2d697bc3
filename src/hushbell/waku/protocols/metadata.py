"""Who is of our network: each end tells its cluster and shards (RFC 66). Peers of another cluster are disconnected."""

from collections.abc import Callable, Sequence

from hushbell.errors import TransportError, WireError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.waku.libp2p.stream import PeerId, StreamHost
from hushbell.waku.protocols.request_response import EXCHANGE, Service, Tasks, ask
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import Metadata

PROTOCOL = "/vac/waku/metadata/1.0.0"
RELAY = "/vac/waku/relay/2.0.0"
LIMIT = 16 * 1024  # bytes; 1,024 shards under both numbers are 6 KiB
LEAVING = 0.5  # seconds between the answer to a stranger and the end, so that it learns why


class MetadataService:
    """
    Asks every relay that connects, and answers everybody.

    A peer that does not speak the protocol, or fails to answer, stays: bare libp2p nodes relay as well as others, and
    who would lie about its cluster can also keep silent. One that answers without a cluster, or with another, goes.

    Args:
        host: the node's.
        clock: time.
        cluster: ours.
        shards: ours now; go-waku disconnects who names none.
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
        seconds: float = EXCHANGE,
    ) -> None:
        self._host = host
        self._clock = clock
        self._cluster = cluster
        self._shards = shards
        self._count = count
        self._seconds = seconds
        self._tasks = Tasks()
        self._known: dict[PeerId, Metadata] = {}
        self._connected: dict[PeerId, bool] = {}  # whether it was asked
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
        """Return what a connected peer told, if it told anything."""
        return self._known.get(peer)

    async def ask(self, peer: PeerId) -> Metadata:
        """
        Ask one peer.

        Raises:
            TransportError: it did not answer.
            WireError: its answer is not understood.
        """
        request = codecs.encode(self._ours())
        answer = await ask(self._host, peer, PROTOCOL, request, limit=LIMIT, seconds=self._seconds)
        return codecs.decode(Metadata, answer, limit=LIMIT)

    async def close(self) -> None:
        """Ask no more."""
        await self._tasks.close()

    def _ours(self) -> Metadata:
        return Metadata(self._cluster, tuple(self._shards()))

    def _on_connected(self, peer: PeerId, protocols: Sequence[str]) -> None:
        is_asked = self._connected.get(peer, False)
        # A light client tells its cluster when it asks. js-waku's would take our stream for one of its own, ask on it,
        # and read our question as an answer without a cluster.
        will_ask = PROTOCOL in protocols and RELAY in protocols and not is_asked
        self._connected[peer] = is_asked or will_ask
        if will_ask:
            self._tasks.start(self._greet(peer))

    def _on_disconnected(self, peer: PeerId) -> None:
        self._connected.pop(peer, None)
        self._known.pop(peer, None)

    async def _greet(self, peer: PeerId) -> None:
        try:
            theirs = await self.ask(peer)
        except (TransportError, WireError):
            self._count("metadata_unanswered", 1)
            return
        self._judge(peer, theirs)

    def _judge(self, peer: PeerId, theirs: Metadata) -> None:
        if theirs.cluster_id != self._cluster:
            self._count("metadata_other_cluster", 1)
            self._host.disconnect(peer)
        elif peer in self._connected:
            self._known[peer] = theirs

    async def _see_off(self, peer: PeerId) -> None:
        await self._clock.sleep(LEAVING)
        self._count("metadata_other_cluster", 1)
        self._host.disconnect(peer)

    async def _answer(self, peer: PeerId, request: bytes, is_busy: bool) -> bytes:  # noqa: ARG002, FBT001
        theirs = codecs.decode(Metadata, request, limit=LIMIT)
        if theirs.cluster_id == self._cluster and peer in self._connected:
            self._known[peer] = theirs
        elif theirs.cluster_id not in (None, self._cluster):
            self._tasks.start(self._see_off(peer))
        return codecs.encode(self._ours())
