"""A budget of requests for each peer, which refills with time, for a bounded number of peers."""

from collections import OrderedDict
from dataclasses import dataclass

from hushbell.types import Millis
from hushbell.waku.libp2p.stream import PeerId

MAX_PEERS = 4_096  # remembered; a forgotten peer has a full budget again. The host bounds its connections


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """Requests of one peer: ``per_minute`` on average, ``burst`` at once."""

    per_minute: int
    burst: int


class RateLimiter:
    """The budgets of all peers of one service."""

    def __init__(self, rate: RateLimit, *, peers: int = MAX_PEERS) -> None:
        self._rate = rate
        self._peers = peers
        self._left: OrderedDict[PeerId, tuple[float, Millis]] = OrderedDict()

    def allows(self, peer: PeerId, now: Millis, cost: float = 1.0) -> bool:
        """
        Deduct ``cost`` from the peer's budget and return True, or False if it is spent.

        A clock that goes back adds nothing.
        """
        left, at = self._left.pop(peer, (float(self._rate.burst), now))
        left = min(float(self._rate.burst), left + max(0, now - at) * self._rate.per_minute / 60_000)
        # A full budget covers any cost once; otherwise a cost above the burst would be refused for ever.
        is_allowed = left >= min(cost, self._rate.burst)
        self._left[peer] = (left - cost if is_allowed else left), max(now, at)
        if len(self._left) > self._peers:
            self._left.popitem(last=False)
        return is_allowed
