"""Peer exchange as a client: asks a peer for records of other nodes (RFC 34)."""

from hushbell.errors import TransportError, WireError
from hushbell.ports.metrics import Count
from hushbell.waku.discovery import enr
from hushbell.waku.discovery.enr import NodeRecord
from hushbell.waku.libp2p.stream import PeerId, StreamHost
from hushbell.waku.protocols.request_response import RESPONSE_TIMEOUT, ask
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import PeersRequest, PeersResponse

PROTOCOL = "/vac/waku/peer-exchange/2.0.0-alpha1"
MAX_PEERS = 60  # records of one request; a responder keeps as many (RFC 34)
MAX_RESPONSE = 64 * 1024  # bytes; 60 records of 1,024
OK = 200


class PeerExchangeClient:
    """
    Asks for node records.

    Args:
        host: the node's.
        count: ``peer_exchange_*`` counters.
        seconds: for an answer.
    """

    def __init__(self, *, host: StreamHost, count: Count, seconds: float = RESPONSE_TIMEOUT) -> None:
        self._host = host
        self._count = count
        self._seconds = seconds

    async def ask(self, peer: PeerId, number: int) -> tuple[bytes, ...]:
        """
        Return up to ``number`` node records (ENR) as ``peer`` sent them, not verified.

        Raises:
            TransportError: it did not answer, or refuses.
        """
        number = min(number, MAX_PEERS)
        request = codecs.encode(PeersRequest(number))
        try:
            answer = await ask(self._host, peer, PROTOCOL, request, limit=MAX_RESPONSE, seconds=self._seconds)
            response = codecs.decode(PeersResponse, answer, limit=MAX_RESPONSE)
        except WireError as error:
            raise TransportError("the peer's answer is not understood") from error
        # Older responders send no status; nwaku's 429 and 503 come without records.
        if response.status_code not in (0, OK):
            raise TransportError(f"the peer refuses to name others ({response.status_code})")
        return response.records[:number]

    async def records(self, peer: PeerId, number: int) -> tuple[NodeRecord, ...]:
        """
        Return the records with a valid signature; others are counted.

        Raises:
            TransportError: as :meth:`ask`.
        """
        found = []
        for data in await self.ask(peer, number):
            try:
                found.append(enr.read(data))
            except WireError:
                self._count("peer_exchange_invalid", 1)
        self._count("peer_exchange_records", len(found))
        return tuple(found)
