"""Filter v2 as a service: light clients subscribe to topics, and messages are pushed to them (RFC 12)."""

from collections.abc import Callable, Collection, Sequence

from hushbell.errors import WireError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.waku.byte_total import ByteTotal
from hushbell.waku.libp2p.stream import PeerId, StreamHost
from hushbell.waku.protocols.filter_push import Pusher, PushLimits
from hushbell.waku.protocols.filter_table import FilterLimits, FilterTable
from hushbell.waku.protocols.rate_limit import RateLimit, RateLimiter
from hushbell.waku.protocols.request_response import RESPONSE_TIMEOUT, Service
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import FilterPush, FilterRequest, FilterResponse, Status

PROTOCOL = "/vac/waku/filter-subscribe/2.0.0-beta1"
MAX_REQUEST = 64 * 1024  # bytes; 100 content topics of 256 are 26 KiB
RATE = RateLimit(per_minute=30, burst=30)  # requests of one peer, as nwaku's


class FilterService:
    """
    Answers requests of subscribers and pushes messages to them.

    Args:
        host: the node's.
        clock: time.
        topics: returns the pubsub topics that this node relays now.
        count: ``filter_*`` counters.
        limits: bounds of subscriptions.
        push: bounds of queued messages.
        rate: requests of one peer.
        seconds: for an answer.
    """

    def __init__(
        self,
        *,
        host: StreamHost,
        clock: Clock,
        topics: Callable[[], Collection[str]],
        count: Count,
        limits: FilterLimits | None = None,
        push: PushLimits | None = None,
        rate: RateLimit = RATE,
        seconds: float = RESPONSE_TIMEOUT,
    ) -> None:
        self._host = host
        self._clock = clock
        self._topics = topics
        self._count = count
        self._push_limits = push or PushLimits()
        self._table = FilterTable(limits or FilterLimits())
        self._rate_limiter = RateLimiter(rate)
        self._pushers: dict[PeerId, Pusher] = {}
        self._queued_bytes = ByteTotal()
        Service(
            host=host,
            protocol=PROTOCOL,
            answer=self._answer,
            name="filter",
            limit=MAX_REQUEST,
            count=count,
            seconds=seconds,
        )
        host.watch(self._on_connected, self._on_disconnected)

    @property
    def subscribers(self) -> int:
        """How many peers have a subscription."""
        return len(self._table)

    @property
    def waiting_bytes(self) -> int:
        """Bytes queued for all subscribers."""
        return self._queued_bytes.size

    def deliver(self, pubsub_topic: str, content_topic: str, waku_message: bytes) -> int:
        """Push a message to the subscribers of its topic and return their number. Costs a look-up if there are none."""
        if not self._table.wants(pubsub_topic, content_topic):
            return 0
        self._table.expire(self._clock.now())
        frame = codecs.encode(FilterPush(waku_message, pubsub_topic))
        wanting = self._table.matching(pubsub_topic, content_topic)
        for peer in wanting:
            self._pusher(peer).push(frame)
        return len(wanting)

    async def close(self) -> None:
        """End all pushes."""
        for pusher in list(self._pushers.values()):
            await pusher.close()
        self._pushers.clear()

    async def _answer(self, peer: PeerId, request: bytes, is_busy: bool) -> bytes:  # noqa: FBT001
        now = self._clock.now()
        try:
            asked = codecs.decode(FilterRequest, request, limit=MAX_REQUEST)
        except WireError:
            self._count("filter_undecodable", 1)
            return codecs.encode(FilterResponse("", Status.BAD_REQUEST, "not a filter request"))
        if is_busy or not self._rate_limiter.allows(peer, now):
            self._count("filter_rate_limited", 1)
            status, description = Status.TOO_MANY_REQUESTS, "too many requests"
        else:
            status, description = self._table.answer(peer, asked, now, self._topics())
            self._forget_pushers()
        return codecs.encode(FilterResponse(asked.request_id, status, description))

    def _pusher(self, peer: PeerId) -> Pusher:
        known = self._pushers.get(peer)
        if known is None:
            known = self._pushers[peer] = Pusher(
                peer,
                host=self._host,
                clock=self._clock,
                limits=self._push_limits,
                waiting=self._queued_bytes,
                count=self._count,
                on_give_up=self._on_give_up,
            )
        return known

    def _forget_pushers(self) -> None:
        """Stop pushing to peers that are no longer subscribed."""
        for peer in [peer for peer in self._pushers if not self._table.criteria(peer)]:
            self._pushers.pop(peer).stop()

    def _on_give_up(self, peer: PeerId) -> None:
        self._table.drop(peer)
        self._pushers.pop(peer, None)

    def _on_connected(self, peer: PeerId, protocols: Sequence[str]) -> None:  # noqa: ARG002
        self._table.on_connected(peer)

    def _on_disconnected(self, peer: PeerId) -> None:
        self._table.on_disconnected(peer, self._clock.now())
        if pusher := self._pushers.pop(peer, None):
            pusher.stop()
