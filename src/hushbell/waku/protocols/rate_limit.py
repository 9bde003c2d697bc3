"""How much each peer may ask for: a budget that refills with time, for a bounded number of peers."""

from collections import OrderedDict
from dataclasses import dataclass

from hushbell.types import Millis
from hushbell.waku.libp2p.stream import PeerId

PEERS = 4_096  # remembered; a peer that was forgotten begins anew, and how often it may connect is the host's business


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """What one peer may ask for: ``per_minute`` in the long run, ``burst`` at once."""

    per_minute: int
    burst: int


class RateLimiter:
    """The budgets of all peers of one service."""

    def __init__(self, rate: RateLimit, *, peers: int = PEERS) -> None:
        self._rate = rate
        self._peers = peers
        self._left: OrderedDict[PeerId, tuple[float, Millis]] = OrderedDict()

    def allows(self, peer: PeerId, now: Millis, cost: float = 1.0) -> bool:
        """Take ``cost`` from the peer's budget, or say that it is spent. A clock that goes backwards adds nothing."""
        left, at = self._left.pop(peer, (float(self._rate.burst), now))
        left = min(float(self._rate.burst), left + max(0, now - at) * self._rate.per_minute / 60_000)
        # A full budget pays for anything once, so that a cost above the burst is no refusal for ever.
        is_allowed = left >= min(cost, self._rate.burst)
        self._left[peer] = (left - cost if is_allowed else left), max(now, at)
        if len(self._left) > self._peers:
            self._left.popitem(last=False)
        return is_allowed
