"""
Gossip: ids of recent messages are offered to peers outside the mesh, and requested messages are sent.

Pure, like the mesh. What a peer can request, or make us request, is limited in each heartbeat.
"""

from collections.abc import Sequence

from hushbell.ports.metrics import Count
from hushbell.types import Millis, Random
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.relay.cache import MessageCache, SeenIds
from hushbell.waku.relay.mesh import Mesh
from hushbell.waku.relay.peers import Peers, choose
from hushbell.waku.relay.score import Scores
from hushbell.waku.relay.settings import RelaySettings


class Gossip:
    """IHAVE and IWANT of gossipsub v1.1, with promises that can be broken (P7)."""

    def __init__(
        self,
        settings: RelaySettings,
        mesh: Mesh,
        *,
        peers: Peers,
        scores: Scores,
        cache: MessageCache,
        seen: SeenIds,
        random: Random,
        count: Count,
    ) -> None:
        # The peers that offered a message, and until when each must send it.
        self.promises: dict[bytes, dict[PeerId, Millis]] = {}
        self._settings = settings
        self._peers = peers
        self._scores = scores
        self._mesh = mesh
        self._cache = cache
        self._seen = seen
        self._random = random
        self._count = count

    def on_ihave(self, peer: PeerId, topic: str, ids: Sequence[bytes], now: Millis) -> None:
        """Request the offered messages that are new (IHAVE)."""
        state, limits = self._peers.known[peer], self._settings.limits
        state.ihave += 1
        if state.ihave > limits.ihave_messages or state.requested_ids >= limits.ids:
            self._count("relay_ihave_refused", 1)
            return
        if topic not in self._mesh.members or self._scores.of(peer) < self._settings.scoring.gossip_threshold:
            return
        missing = list(dict.fromkeys(key for key in ids if key not in self._seen.ids))[
            : limits.ids - state.requested_ids
        ]
        if missing:
            state.requested_ids += len(missing)
            self._peers.control_for(peer).iwant.extend(missing)
            # One of them, chosen at random, stands for all.
            promised = choose(missing, 1, self._random)[0]
            self.promises.setdefault(promised, {}).setdefault(peer, Millis(now + self._settings.promise))

    def on_iwant(self, peer: PeerId, ids: Sequence[bytes]) -> list[bytes]:
        """Return the RPCs with the messages that a peer requests, within its limits (IWANT)."""
        if self._scores.of(peer) < self._settings.scoring.gossip_threshold:
            return []
        state, limits = self._peers.known[peer], self._settings.limits
        allowed = max(0, limits.ids - state.served_ids)
        state.served_ids += len(ids)
        if len(ids) > allowed:
            self._count("relay_iwant_refused", len(ids) - allowed)
        found = [self._cache.serve(key, peer) for key in ids[:allowed]]
        return [frame for frame in found if frame is not None]

    def heartbeat(self, now: Millis) -> None:
        """Offer the newest messages to some peers outside the mesh, and penalise broken promises."""
        self._penalise_broken_promises(now)
        listeners = {topic: fit for topic in self._mesh.gossip_topics if (fit := self._mesh.gossip_receivers(topic))}
        recent = self._cache.recent(listeners, self._settings.limits.ids) if listeners else {}
        for topic, fit in listeners.items():
            ids = recent[topic]
            if ids:
                number = max(self._settings.degree_lazy, int(len(fit) * self._settings.gossip_factor))
                for peer in choose(fit, number, self._random):
                    self._peers.control_for(peer).ihave.append((topic, ids))
        self._cache.shift()
        self._seen.sweep(now)

    def forget(self, peer: PeerId) -> None:
        """Drop the promises of a peer that disconnected."""
        for key in [key for key, peers in self.promises.items() if peers.pop(peer, None) is not None and not peers]:
            del self.promises[key]

    def _penalise_broken_promises(self, now: Millis) -> None:
        for key, peers in list(self.promises.items()):
            for peer in [peer for peer, until in peers.items() if until <= now]:
                del peers[peer]
                self._count("relay_broken_promises", 1)
                self._scores.penalise(peer, 1.0, now)
            if not peers:
                del self.promises[key]
