"""Peer exchange as a client: ask a peer whom else it knows (RFC 34)."""

from hushbell.errors import TransportError, WireError
from hushbell.ports.metrics import Count
from hushbell.waku.discovery import enr
from hushbell.waku.discovery.enr import NodeRecord
from hushbell.waku.libp2p.stream import PeerId, StreamHost
from hushbell.waku.protocols.request_response import EXCHANGE, ask
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import PeersRequest, PeersResponse

PROTOCOL = "/vac/waku/peer-exchange/2.0.0-alpha1"
PEERS = 60  # asked for at most; as many as RFC 34 has a responder keep
RESPONSE = 64 * 1024  # bytes; 60 records of 1,024
OK = 200


class PeerExchangeClient:
    """
    Asks for node records.

    Args:
        host: the node's.
        count: ``peer_exchange_*`` counters.
        seconds: for an answer.
    """

    def __init__(self, *, host: StreamHost, count: Count, seconds: float = EXCHANGE) -> None:
        self._host = host
        self._count = count
        self._seconds = seconds

    async def ask(self, peer: PeerId, number: int) -> tuple[bytes, ...]:
        """
        Return up to ``number`` node records (ENR) that ``peer`` knows of, as it sent them: nothing in them is checked.

        Raises:
            TransportError: it did not answer, or refuses.
        """
        number = min(number, PEERS)
        request = codecs.encode(PeersRequest(number))
        try:
            answer = await ask(self._host, peer, PROTOCOL, request, limit=RESPONSE, seconds=self._seconds)
            response = codecs.decode(PeersResponse, answer, limit=RESPONSE)
        except WireError as error:
            raise TransportError("the peer's answer is not understood") from error
        # Older responders tell no status; nwaku's 429 and 503 come with no records.
        if response.status_code not in (0, OK):
            raise TransportError(f"the peer refuses to tell others ({response.status_code})")
        return response.records[:number]

    async def records(self, peer: PeerId, number: int) -> tuple[NodeRecord, ...]:
        """
        Return the records among them that are signed by whom they name; others are counted.

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
