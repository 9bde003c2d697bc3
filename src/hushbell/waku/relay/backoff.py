"""The peers that must not be grafted yet, and until when."""

from hushbell.types import Millis
from hushbell.waku.libp2p.stream import PeerId


class Backoffs:
    """
    Back-offs by topic.

    They outlast a disconnection, so that reconnecting does not end them; their number is bounded.
    """

    def __init__(self, limit: int) -> None:
        self._until: dict[str, dict[PeerId, Millis]] = {}
        self._limit = limit

    def set(self, topic: str, peer: PeerId, until: Millis) -> None:
        """Start a back-off, or extend it. It is never shortened."""
        peers = self._until.setdefault(topic, {})
        peers[peer] = max(until, peers.pop(peer, until))
        if len(peers) > self._limit:
            del peers[next(iter(peers))]

    def until(self, topic: str, peer: PeerId) -> Millis:
        """Return when the back-off ends; 0 if there is none."""
        return self._until.get(topic, {}).get(peer, Millis(0))

    def expire(self, before: Millis) -> None:
        """Remove those that ended before that time."""
        for topic, peers in list(self._until.items()):
            for peer in [peer for peer, until in peers.items() if until < before]:
                del peers[peer]
            if not peers:
                del self._until[topic]
