"""Lightpush v2 and v3 as a service: publishes for peers that do not relay (RFC 19, reference/waku.md 5)."""

from collections.abc import Callable, Collection

from hushbell import wire
from hushbell.errors import TransportError, WireError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.types import PubsubTopic
from hushbell.waku.libp2p.stream import PeerId, StreamHost
from hushbell.waku.protocols.rate_limit import RateLimit, RateLimiter
from hushbell.waku.protocols.request_response import RESPONSE_TIMEOUT, Service
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import LightpushRequest, LightpushResponse, PushResponse, PushRpc, Status
from hushbell.wire.messages import WakuMessage

PROTOCOL_V2 = "/vac/waku/lightpush/2.0.0-beta1"
PROTOCOL_V3 = "/vac/waku/lightpush/3.0.0"
MAX_OVERHEAD = 1024  # bytes of a request besides the message
MAX_META = 64  # bytes of meta at most (RFC 14)
RATE = RateLimit(per_minute=6_000, burst=600)
"""Of one peer, in units: a message is one, and one more for each :data:`UNIT` of its bytes."""
UNIT = 16 * 1024
NO_ID = "N/A"  # the request id of a response to an unreadable request; as nwaku's

PublishResult = tuple[Status, str, int]
"""Status, its description, and how many peers got the message."""


class LightpushService:
    """
    Answers both versions.

    Args:
        host: the node's.
        clock: time.
        publish: publishes a message and returns how many peers got it; 0 is reported as an error. Raises
            ``WireError`` if relay's rules refuse the message and ``TransportError`` if it cannot be sent now.
        topics: returns the pubsub topics that this node relays now.
        count: ``lightpush_*`` counters.
        message_limit: bytes of a message.
        rate: of one peer.
        seconds: for an answer.
    """

    def __init__(
        self,
        *,
        host: StreamHost,
        clock: Clock,
        publish: Callable[[PubsubTopic, bytes], int],
        topics: Callable[[], Collection[str]],
        count: Count,
        message_limit: int,
        rate: RateLimit = RATE,
        seconds: float = RESPONSE_TIMEOUT,
    ) -> None:
        self._clock = clock
        self._publish = publish
        self._topics = topics
        self._count = count
        self._message_limit = message_limit
        self._limit = 2 * message_limit + MAX_OVERHEAD  # of a frame: a message slightly too large gets a response
        self._rate_limiter = RateLimiter(rate)
        for protocol, answer in ((PROTOCOL_V2, self._answer_v2), (PROTOCOL_V3, self._answer_v3)):
            Service(
                host=host,
                protocol=protocol,
                answer=answer,
                name="lightpush",
                limit=self._limit,
                count=count,
                seconds=seconds,
            )

    async def _answer_v2(self, peer: PeerId, request: bytes, is_busy: bool) -> bytes:  # noqa: FBT001
        try:
            asked = codecs.decode(PushRpc, request, limit=self._limit)
        except WireError:
            asked = PushRpc()
        if asked.request is None:
            self._count("lightpush_refused", 1)
            return codecs.encode(PushRpc(NO_ID, response=PushResponse(info="not a push request")))
        topic, message = asked.request.pubsub_topic, asked.request.waku_message
        status, description, _ = self._try_publish(peer, topic, message, is_busy=is_busy)
        response = PushResponse(is_success=status == Status.OK, info=description)
        return codecs.encode(PushRpc(asked.request_id, response=response))

    async def _answer_v3(self, peer: PeerId, request: bytes, is_busy: bool) -> bytes:  # noqa: FBT001
        try:
            asked = codecs.decode(LightpushRequest, request, limit=self._limit)
        except WireError:
            self._count("lightpush_refused", 1)
            return codecs.encode(LightpushResponse(NO_ID, Status.BAD_REQUEST, "not a lightpush request"))
        status, description, peers = self._try_publish(peer, asked.pubsub_topic, asked.waku_message, is_busy=is_busy)
        if status == Status.OK:
            return codecs.encode(LightpushResponse(asked.request_id, status, None, peers))
        return codecs.encode(LightpushResponse(asked.request_id, status, description))

    def _try_publish(self, peer: PeerId, topic: str | None, message: bytes, *, is_busy: bool) -> PublishResult:
        cost = 1 + len(message) // UNIT
        if is_busy or not self._rate_limiter.allows(peer, self._clock.now(), cost):
            self._count("lightpush_rate_limited", 1)
            return Status.TOO_MANY_REQUESTS, "too many requests", 0
        if refused := refusal(topic, message, served=self._topics(), limit=self._message_limit):
            self._count("lightpush_refused", 1)
            return (*refused, 0)
        verdict = self._published(PubsubTopic(topic or ""), message)
        self._count("lightpush_published" if verdict[0] == Status.OK else "lightpush_unpublished", 1)
        return verdict

    def _published(self, topic: PubsubTopic, data: bytes) -> PublishResult:
        try:
            peers = self._publish(topic, data)
        except WireError:
            return Status.INVALID_MESSAGE, "relay's rules refuse the message", 0
        except TransportError:
            return Status.UNAVAILABLE, "cannot publish now", 0
        if not peers:
            return Status.NO_PEERS, "not published to any peer", 0
        return Status.OK, "OK", peers


def refusal(topic: str | None, data: bytes, *, served: Collection[str], limit: int) -> tuple[Status, str] | None:
    """
    Return the first rule that a request breaks.

    An empty message is refused because go-waku penalises peers that relay it.
    """
    if not topic:
        return Status.INVALID_MESSAGE, "a pubsub topic is needed: shards are static here"
    if topic not in served:
        return Status.UNSUPPORTED_TOPIC, "this pubsub topic is not served here"
    if len(data) > limit:
        return Status.TOO_LARGE, f"a message is at most {limit} bytes"
    try:
        message = wire.decode(WakuMessage, data, limit=limit)
    except WireError:
        return Status.INVALID_MESSAGE, "not a Waku message"
    if not message.payload or not message.content_topic:
        return Status.INVALID_MESSAGE, "a message has a payload and a content topic"
    if len(message.meta or b"") > MAX_META:
        return Status.INVALID_MESSAGE, f"meta is at most {MAX_META} bytes"
    return None
