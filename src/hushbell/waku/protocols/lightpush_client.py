"""Lightpush v2 and v3 as a client: has a service node publish (RFC 19, reference/waku.md 5)."""

from typing import TypeVar

from hushbell.errors import TransportError, WireError
from hushbell.ports.metrics import Count
from hushbell.types import PubsubTopic, Random
from hushbell.waku.libp2p.stream import PeerId, StreamHost
from hushbell.waku.protocols.lightpush import PROTOCOL_V2, PROTOCOL_V3
from hushbell.waku.protocols.request_ids import request_id
from hushbell.waku.protocols.request_response import RESPONSE_TIMEOUT, ask
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import LightpushRequest, LightpushResponse, PushRequest, PushRpc, Status

T = TypeVar("T")

MAX_RESPONSE = 16 * 1024  # bytes
_WHY = {status.value: status.name.lower().replace("_", " ") for status in Status}


class LightpushRefused(TransportError):
    """The service answered that it did not publish. ``status`` is lightpush v3's, 0 for version 2."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the lightpush service refuses: {_WHY.get(status, 'unknown reason')} ({status})")
        self.status = status


class LightpushClient:
    """
    Publishes through service nodes.

    Args:
        host: the node's.
        random: names requests.
        count: ``lightpush_client_*`` counters.
        seconds: for an answer.
    """

    def __init__(self, *, host: StreamHost, random: Random, count: Count, seconds: float = RESPONSE_TIMEOUT) -> None:
        self._host = host
        self._random = random
        self._count = count
        self._seconds = seconds

    async def publish(self, peer: PeerId, pubsub_topic: PubsubTopic, waku_message: bytes) -> int | None:
        """
        Have ``peer`` publish a message, and return how many peers took it; None if it did not say.

        Raises:
            Refused: it did not publish.
            TransportError: it did not answer; the message may have been published or not.
        """
        request = LightpushRequest(request_id(self._random), pubsub_topic, waku_message)
        response = await self._ask(peer, PROTOCOL_V3, request, LightpushResponse)
        if not 200 <= response.status_code < 300:
            self._count("lightpush_client_refused", 1)
            raise LightpushRefused(response.status_code)
        _check_request_id(request.request_id, response.request_id)
        self._count("lightpush_client_published", 1)
        return response.relay_peer_count

    async def publish_v2(self, peer: PeerId, pubsub_topic: PubsubTopic, waku_message: bytes) -> None:
        """
        Have ``peer`` publish a message by version 2, whose response holds no number of peers.

        Raises:
            Refused: it did not publish.
            TransportError: it did not answer; the message may have been published or not.
        """
        request = PushRpc(request_id(self._random), PushRequest(pubsub_topic, waku_message))
        answer = await self._ask(peer, PROTOCOL_V2, request, PushRpc)
        if answer.response is None or not answer.response.is_success:
            self._count("lightpush_client_refused", 1)
            raise LightpushRefused(0)
        _check_request_id(request.request_id, answer.request_id)
        self._count("lightpush_client_published", 1)

    async def _ask(self, peer: PeerId, protocol: str, request: object, kind: type[T]) -> T:
        try:
            answer = await ask(
                self._host, peer, protocol, codecs.encode(request), limit=MAX_RESPONSE, seconds=self._seconds
            )
            return codecs.decode(kind, answer, limit=MAX_RESPONSE)
        except WireError as error:
            raise TransportError("the lightpush service's answer is not understood") from error


def _check_request_id(sent: str, answered: str) -> None:
    if sent != answered:
        raise TransportError("the lightpush service answered another request")
