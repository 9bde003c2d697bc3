"""
The mesh of gossipsub v1.1: the peers with which full messages are exchanged in each topic.

A pure state machine: events and the time go in, control messages wait in ``Peers``. The rules stand in the order of the
specification's heartbeat.
"""

from collections.abc import Iterable, Sequence

from hushbell.ports.metrics import Count
from hushbell.types import Millis, Random
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.relay.backoff import Backoffs
from hushbell.waku.relay.peers import Peers, choose
from hushbell.waku.relay.score import Scores
from hushbell.waku.relay.settings import RelaySettings

_SECOND = 1000  # ms


class Mesh:
    """The mesh peers of each topic that we joined, and the fan-out peers of those that we only publish to."""

    def __init__(
        self,
        settings: RelaySettings,
        *,
        peers: Peers,
        scores: Scores,
        random: Random,
        count: Count,
    ) -> None:
        self.members: dict[str, dict[PeerId, None]] = {}  # of each joined topic
        self._fanout: dict[str, dict[PeerId, None]] = {}
        self._published: dict[str, Millis] = {}
        self._settings = settings
        self._peers = peers
        self._scores = scores
        self._random = random
        self._count = count
        self._backoffs = Backoffs(settings.limits.backoffs)
        self._beats = 0

    def join(self, topic: str, now: Millis) -> None:
        """Subscribe: announce it to every peer, and graft the fan-out and others at once."""
        if topic in self.members:
            return
        self.members[topic] = {}
        listeners = self._peers.follow(topic)
        for peer in self._peers.known:
            self._peers.control_for(peer).subscriptions.append((True, topic))
        self._published.pop(topic, None)
        fanout = self._fanout.pop(topic, {})
        fit = [peer for peer in fanout if peer in listeners and self._may_graft(topic, peer, now)]
        for peer in fit[: self._settings.degree]:
            self._graft(topic, peer, now)
        self._graft_missing(topic, now)

    def leave(self, topic: str, now: Millis) -> None:
        """Unsubscribe: announce it to every peer and prune the mesh, with a short back-off for a new subscription."""
        members = self.members.get(topic)
        if members is None:
            return
        for peer in list(members):
            self._prune(topic, peer, now, self._settings.unsubscribe_backoff)
        del self.members[topic]
        self._peers.listening.pop(topic, None)
        for peer in self._peers.known:
            self._peers.control_for(peer).subscriptions.append((False, topic))

    def connected(self, peer: PeerId) -> None:
        """Send our subscriptions to a new peer."""
        if self.members:
            self._peers.control_for(peer).subscriptions.extend((True, topic) for topic in self.members)

    def disconnected(self, peer: PeerId) -> None:
        """Remove a peer from every mesh and fan-out."""
        for members in (*self.members.values(), *self._fanout.values()):
            members.pop(peer, None)

    def on_subscriptions(self, peer: PeerId, changes: Sequence[tuple[bool, str]], now: Millis) -> None:
        """Apply a peer's subscriptions, as many as its limits allow."""
        state = self._peers.known[peer]
        allowed = max(0, self._settings.limits.subscription_changes - state.changes)
        state.changes += len(changes)
        if len(changes) > allowed:
            self._count("relay_subscription_floods", 1)
            self._scores.penalise(peer, 1.0, now)
        for wanted, topic in changes[:allowed]:
            if not self._peers.subscribe(peer, topic, wanted=wanted):
                continue
            if not wanted:
                self._drop(topic, peer, now)
            elif topic in self.members and len(self.members[topic]) < self._settings.degree_low:
                self._graft_missing(topic, now)  # the next heartbeat would do it, up to a second later

    def on_graft(self, peer: PeerId, topics: Iterable[str], now: Millis) -> None:
        """Add a peer to the mesh, or refuse with a PRUNE."""
        for topic in topics:
            members = self.members.get(topic)
            if members is None or peer in members:
                continue  # an unknown topic is not answered
            until = self._backoffs.until(topic, peer)
            if now < until:
                self._count("relay_grafts_too_early", 1)
                began = until - self._settings.prune_backoff
                self._scores.penalise(peer, 2.0 if now < began + self._settings.graft_flood else 1.0, now)
            elif self._scores.of(peer) >= 0 and (
                len(members) < self._settings.degree_high or self._peers.known[peer].outbound
            ):
                members[peer] = None
                self._scores.on_graft(peer, topic, now)
                continue
            self._refuse(topic, peer, now)

    def on_prune(self, peer: PeerId, topics: Iterable[tuple[str, int]], now: Millis) -> None:
        """Remove a peer that pruned us. Peers that it recommends (PX) are ignored."""
        for topic, seconds in topics:
            if topic in self.members:
                self._drop(topic, peer, now)
                asked = seconds * _SECOND or self._settings.prune_backoff
                self._back_off(topic, peer, now, min(asked, self._settings.limits.backoff))

    def receivers(self, topic: str, now: Millis) -> list[PeerId]:
        """Return the peers that a message of our own is sent to."""
        threshold = self._settings.scoring.publish_threshold
        listeners = self._peers.follow(topic)
        members = self.members.get(topic)
        if members is None:
            self._published[topic] = now
        if self._settings.flood_publish:
            return [peer for peer in listeners if self._scores.of(peer) >= threshold]
        if members is not None:
            return list(members)
        fanout = self._fanout.setdefault(topic, {})
        self._fill_fanout(topic, fanout)
        return list(fanout)

    def heartbeat(self, now: Millis) -> None:
        """Maintain every mesh: gossipsub v1.1, "Heartbeat"."""
        self._beats += 1
        self._backoffs.expire(Millis(now - self._settings.backoff_slack))
        for topic, members in self.members.items():
            for peer in [peer for peer in members if self._scores.of(peer) < 0]:
                self._prune(topic, peer, now)
            if len(members) < self._settings.degree_low:
                self._graft_missing(topic, now)
            if len(members) >= self._settings.degree_high:
                self._prune_excess(topic, now)
            self._graft_outbound(topic, now)
            if self._beats % self._settings.opportunistic_ticks == 0:
                self._graft_better(topic, now)
        self._expire_fanout(now)

    def gossip_receivers(self, topic: str) -> list[PeerId]:
        """Return the subscribers of a topic that are not sent its messages: the receivers of gossip."""
        inside = self.members.get(topic) or self._fanout.get(topic, {})
        threshold = self._settings.scoring.gossip_threshold
        listeners = self._peers.listening.get(topic, {})
        return [peer for peer in listeners if peer not in inside and self._scores.of(peer) >= threshold]

    @property
    def gossip_topics(self) -> list[str]:
        """Topics with messages to offer."""
        return [*self.members, *self._fanout]

    def _graft_missing(self, topic: str, now: Millis) -> None:
        missing = self._settings.degree - len(self.members[topic])
        fit = [peer for peer in self._peers.listening[topic] if self._may_graft(topic, peer, now)]
        for peer in choose(fit, missing, self._random) if missing > 0 else ():
            self._graft(topic, peer, now)

    def _prune_excess(self, topic: str, now: Millis) -> None:
        """Keep the best, a random choice of the rest, and a minimum of outbound peers, which limits inbound ones."""
        settings = self._settings
        ranked = sorted(
            choose(list(self.members[topic]), len(self.members[topic]), self._random), key=self._negative_score
        )
        best, rest = ranked[: settings.degree_score], ranked[settings.degree_score :]
        order = best + choose(rest, len(rest), self._random)
        dialled = [peer for peer in order if self._peers.known[peer].outbound][: settings.degree_out]
        kept = dialled + [peer for peer in order if peer not in dialled]
        for peer in kept[settings.degree :]:
            self._prune(topic, peer, now)

    def _graft_outbound(self, topic: str, now: Millis) -> None:
        members = self.members[topic]
        if len(members) < self._settings.degree_low:
            return
        missing = self._settings.degree_out - sum(self._peers.known[peer].outbound for peer in members)
        missing = min(missing, self._settings.degree_high - len(members))
        if missing > 0:
            listeners = self._peers.listening[topic]
            fit = [p for p in listeners if self._peers.known[p].outbound and self._may_graft(topic, p, now)]
            for peer in choose(fit, missing, self._random):
                self._graft(topic, peer, now)

    def _graft_better(self, topic: str, now: Millis) -> None:
        """Opportunistic grafting: a mesh with a low median score gets peers above the median."""
        members = self.members[topic]
        if len(members) < 2:
            return
        median = sorted(self._scores.of(peer) for peer in members)[len(members) // 2]
        if median >= self._settings.scoring.opportunistic_threshold:
            return
        room = self._settings.degree_high - len(members)
        listeners = self._peers.listening[topic]
        fit = [p for p in listeners if self._may_graft(topic, p, now) and self._scores.of(p) > median]
        for peer in choose(fit, min(room, self._settings.opportunistic_peers), self._random):
            self._graft(topic, peer, now)

    def _expire_fanout(self, now: Millis) -> None:
        for topic, last in list(self._published.items()):
            if now - last > self._settings.fanout_for:
                del self._published[topic]
                self._fanout.pop(topic, None)
                self._peers.listening.pop(topic, None)
        for topic, fanout in self._fanout.items():
            self._fill_fanout(topic, fanout)

    def _fill_fanout(self, topic: str, fanout: dict[PeerId, None]) -> None:
        threshold = self._settings.scoring.publish_threshold
        listeners = self._peers.listening[topic]
        for peer in [peer for peer in fanout if peer not in listeners or self._scores.of(peer) < threshold]:
            del fanout[peer]
        fit = [peer for peer in listeners if peer not in fanout and self._scores.of(peer) >= threshold]
        fanout.update(dict.fromkeys(choose(fit, max(0, self._settings.degree - len(fanout)), self._random)))

    def _may_graft(self, topic: str, peer: PeerId, now: Millis) -> bool:
        until = self._backoffs.until(topic, peer)
        free = not until or now >= until + self._settings.backoff_slack
        return free and peer not in self.members[topic] and self._scores.of(peer) >= 0

    def _graft(self, topic: str, peer: PeerId, now: Millis) -> None:
        self.members[topic][peer] = None
        self._scores.on_graft(peer, topic, now)
        self._peers.control_for(peer).graft.append(topic)

    def _prune(self, topic: str, peer: PeerId, now: Millis, backoff: int | None = None) -> None:
        self._drop(topic, peer, now)
        self._refuse(topic, peer, now, backoff)

    def _refuse(self, topic: str, peer: PeerId, now: Millis, backoff: int | None = None) -> None:
        lasting = self._settings.prune_backoff if backoff is None else backoff
        self._back_off(topic, peer, now, lasting)
        self._peers.control_for(peer).prune.append((topic, lasting // _SECOND))

    def _back_off(self, topic: str, peer: PeerId, now: Millis, lasting: int) -> None:
        self._backoffs.set(topic, peer, Millis(now + lasting))

    def _drop(self, topic: str, peer: PeerId, now: Millis) -> None:
        members = self.members.get(topic, {})
        if peer in members:
            del members[peer]
            self._scores.on_prune(peer, topic, now)

    def _negative_score(self, peer: PeerId) -> float:
        return -self._scores.of(peer)
