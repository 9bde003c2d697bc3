"""The subscriptions of filter v2 and their rules (RFC 12). No I/O."""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from hushbell.types import Millis
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.wire.services import FilterKind, FilterRequest, Status

Criterion = tuple[str, str]
"""Pubsub topic and content topic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterLimits:
    """Bounds of subscriptions. The first four are nwaku's (reference/waku.md 2.2)."""

    peers: int = 100
    criteria: int = 1_000  # of one peer
    topics: int = 100  # content topics of one request
    ttl: int = 300_000  # ms without a request after which a subscription is forgotten
    away: int = 60_000  # ms without a connection after which it is (RFC 12)
    topic: int = 256  # bytes of a content topic; Status's are 27


@dataclass(slots=True)
class _Subscription:
    expires_at: Millis
    criteria: set[Criterion] = field(default_factory=set)


class FilterTable:
    """
    All subscriptions, by peer and by criterion.

    Every request keeps its peer's subscription alive. The subscription of a peer without a connection matches nothing.
    It is kept for a minute in case the peer returns, but removed if a new subscriber needs its place.
    """

    def __init__(self, limits: FilterLimits) -> None:
        self._limits = limits
        self._peers: OrderedDict[PeerId, _Subscription] = OrderedDict()  # the first to expire first
        self._away: OrderedDict[PeerId, Millis] = OrderedDict()  # since when; the longest away first
        self._peers_by_criterion: dict[Criterion, dict[PeerId, None]] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def criteria(self, peer: PeerId) -> Collection[Criterion]:
        """Return the peer's criteria."""
        known = self._peers.get(peer)
        return frozenset(known.criteria) if known else frozenset()

    def answer(self, peer: PeerId, request: FilterRequest, now: Millis, served: Collection[str]) -> tuple[Status, str]:
        """
        Carry out a request, whole or not at all, and return its status.

        ``served`` are the pubsub topics of this node.
        """
        self.expire(now)
        if not request.request_id:
            return Status.BAD_REQUEST, "no request id"
        known = self._peers.get(peer)
        if request.kind == FilterKind.PING:
            return self._refresh(peer, now) if known else _NO_SUBSCRIPTION
        if request.kind == FilterKind.UNSUBSCRIBE_ALL:
            if not known:
                return _NO_SUBSCRIPTION
            self.drop(peer)
            return _OK
        if request.kind not in (FilterKind.SUBSCRIBE, FilterKind.UNSUBSCRIBE):
            return Status.BAD_REQUEST, "unknown kind of request"
        if refusal := self._refusal(request, served):
            return Status.BAD_REQUEST, refusal
        asked = {(request.pubsub_topic or "", topic) for topic in request.content_topics}
        if request.kind == FilterKind.SUBSCRIBE:
            return self._subscribe(peer, asked, now)
        return self._unsubscribe(peer, asked, now)

    def matching(self, pubsub_topic: str, content_topic: str) -> Sequence[PeerId]:
        """Return the connected subscribers of these topics, in the order of their subscriptions."""
        wanting = self._peers_by_criterion.get((pubsub_topic, content_topic), ())
        return tuple([peer for peer in wanting if peer not in self._away])

    def wants(self, pubsub_topic: str, content_topic: str) -> bool:
        """Return whether a peer subscribed to these topics."""
        return (pubsub_topic, content_topic) in self._peers_by_criterion

    def expire(self, now: Millis) -> None:
        """Remove the subscriptions without a request, or without a connection, for too long."""
        while self._away:
            peer, since = next(iter(self._away.items()))
            if now - since < self._limits.away:
                break
            self.drop(peer)
        while self._peers:
            peer, first = next(iter(self._peers.items()))
            if first.expires_at > now:
                return
            self.drop(peer)

    def drop(self, peer: PeerId) -> bool:
        """Remove a peer's subscription and return whether it had one."""
        self._away.pop(peer, None)
        known = self._peers.pop(peer, None)
        if known is None:
            return False
        for criterion in known.criteria:
            self._remove_criterion(peer, criterion)
        return True

    def on_disconnected(self, peer: PeerId, now: Millis) -> None:
        """Note that a peer's last connection ended."""
        if peer in self._peers:
            self._away.setdefault(peer, now)

    def on_connected(self, peer: PeerId) -> None:
        """Note that a peer is connected again."""
        self._away.pop(peer, None)

    def _refusal(self, request: FilterRequest, served: Collection[str]) -> str:
        if not request.pubsub_topic or not request.content_topics:
            return "a pubsub topic and content topics are needed"
        if request.pubsub_topic not in served:
            return "this pubsub topic is not served here"
        if len(request.content_topics) > self._limits.topics:
            return f"more than {self._limits.topics} content topics"
        if not all(0 < len(topic.encode()) <= self._limits.topic for topic in request.content_topics):
            return f"a content topic is empty or over {self._limits.topic} bytes"
        return ""

    def _subscribe(self, peer: PeerId, asked: set[Criterion], now: Millis) -> tuple[Status, str]:
        known = self._peers.get(peer)
        if known is None:
            if len(self._peers) >= self._limits.peers and not self._make_room():
                return Status.UNAVAILABLE, "too many subscribers"
            known = self._peers[peer] = _Subscription(now)
        elif len(known.criteria | asked) > self._limits.criteria:
            return Status.UNAVAILABLE, f"more than {self._limits.criteria} filter criteria"
        self.on_connected(peer)
        for criterion in asked - known.criteria:
            self._peers_by_criterion.setdefault(criterion, {})[peer] = None
        known.criteria |= asked
        return self._refresh(peer, now)

    def _unsubscribe(self, peer: PeerId, asked: set[Criterion], now: Millis) -> tuple[Status, str]:
        known = self._peers.get(peer)
        if known is None:
            return _NO_SUBSCRIPTION
        for criterion in asked & known.criteria:
            self._remove_criterion(peer, criterion)
        known.criteria -= asked
        if not known.criteria:
            self.drop(peer)
            return _OK
        return self._refresh(peer, now)

    def _refresh(self, peer: PeerId, now: Millis) -> tuple[Status, str]:
        known = self._peers[peer]
        # The order is by last request: if the clock goes backwards, a subscription lasts longer.
        known.expires_at = Millis(now + self._limits.ttl)
        self._peers.move_to_end(peer)
        return _OK

    def _make_room(self) -> bool:
        return bool(self._away) and self.drop(next(iter(self._away)))

    def _remove_criterion(self, peer: PeerId, criterion: Criterion) -> None:
        wanting = self._peers_by_criterion[criterion]
        del wanting[peer]
        if not wanting:
            del self._peers_by_criterion[criterion]


_OK = (Status.OK, "OK")
_NO_SUBSCRIPTION = (Status.NOT_FOUND, "no subscription")
