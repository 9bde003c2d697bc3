"""
The scores of peers: gossipsub v1.1, P1 to P7.

P5, the application's own score, is 0. Counting a message costs the same however many peers there are; scores are summed
at heartbeats and when a peer was penalised.
"""

from dataclasses import dataclass, field

from hushbell.ports.metrics import Count
from hushbell.types import Millis
from hushbell.waku.libp2p.connection_gater import source_of
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.relay.settings import ScoreSettings, TopicScoreSettings

_SECOND = 1000  # ms


@dataclass(slots=True)
class TopicCounters:
    """The counters of one peer in one topic."""

    first: float = 0.0
    mesh: float = 0.0
    failure: float = 0.0
    invalid: float = 0.0
    in_mesh_since: Millis | None = None


@dataclass(slots=True)
class PeerRecord:
    """The counters and the score of one peer."""

    address: str = ""
    topics: dict[str, TopicCounters] = field(default_factory=dict)
    behaviour: float = 0.0
    score: float = 0.0  # as it was last summed
    left_at: Millis | None = None  # None while it is connected


class Scores:
    """The records of all peers. Only our own topics are counted, so a peer cannot make its record grow."""

    def __init__(self, scoring: ScoreSettings, count: Count) -> None:
        self._scoring = scoring
        self._count = count
        self._records: dict[PeerId, PeerRecord] = {}
        self._departed: dict[PeerId, None] = {}  # in the order of their disconnection
        self._at_address: dict[str, int] = {}
        self._decayed = Millis(0)
        self._first_cap = scoring.topic.first_cap
        self.counts_duplicates = bool(scoring.topic.mesh)

    def __len__(self) -> int:
        return len(self._records)

    def connected(self, peer: PeerId, address: str) -> PeerRecord:
        """Create or resume a peer's record. An IPv6 address counts by its /64, which one machine may own."""
        address = source_of(address)
        record = self._records.setdefault(peer, PeerRecord())
        if record.left_at is not None:
            record.left_at = None
            self._departed.pop(peer, None)
        elif record.address:
            self._remove_address(record.address)
        record.address = address
        self._at_address[address] = self._at_address.get(address, 0) + 1
        return record

    def disconnected(self, peer: PeerId, now: Millis) -> None:
        """Keep the record for a while if the score is negative; otherwise remove it."""
        record = self._records.get(peer)
        if record is None or record.left_at is not None:
            return
        for topic in list(record.topics):
            self.on_prune(peer, topic, now)
        self._remove_address(record.address)
        record.left_at, record.address = now, ""
        if self.refresh(peer, now) >= 0:
            del self._records[peer]
            return
        self._departed[peer] = None
        if len(self._departed) > self._scoring.retained:
            oldest = next(iter(self._departed))
            del self._departed[oldest], self._records[oldest]

    def of(self, peer: PeerId) -> float:
        """Return the score as it was last summed; 0 for an unknown peer."""
        record = self._records.get(peer)
        return record.score if record is not None else 0.0

    def counts(self, peer: PeerId, topic: str) -> TopicCounters:
        """Return the peer's counters in a topic of ours, to add to them."""
        record = self._records.get(peer)
        if record is None:
            record = self._records[peer] = PeerRecord()
        counts = record.topics.get(topic)
        if counts is None:
            counts = record.topics[topic] = TopicCounters()
        return counts

    def on_graft(self, peer: PeerId, topic: str, now: Millis) -> None:
        """Start P1 and P3."""
        counts = self.counts(peer, topic)
        counts.in_mesh_since, counts.mesh = now, 0.0

    def on_prune(self, peer: PeerId, topic: str, now: Millis) -> None:
        """End P1 and P3; the deficit then becomes P3b."""
        counts = self._records[peer].topics.get(topic) if peer in self._records else None
        if counts is None or counts.in_mesh_since is None:
            return
        if self._active(counts, now) and counts.mesh < self._scoring.topic.mesh_threshold:
            counts.failure += (self._scoring.topic.mesh_threshold - counts.mesh) ** 2
        counts.in_mesh_since = None

    def on_delivery(self, peer: PeerId, topic: str) -> None:
        """Count a message that the peer delivered first: P2, and P3 in the mesh."""
        counts = self.counts(peer, topic)
        if counts.first < self._first_cap:
            counts.first = min(counts.first + 1.0, self._first_cap)
        if self.counts_duplicates:
            self.on_duplicate(peer, topic)

    def on_duplicate(self, peer: PeerId, topic: str) -> None:
        """Count a message that the peer delivered in the window, but not first: P3."""
        counts = self.counts(peer, topic)
        if counts.in_mesh_since is not None:
            counts.mesh = min(counts.mesh + 1.0, self._scoring.topic.mesh_cap)

    def invalid(self, peer: PeerId, topic: str, now: Millis) -> None:
        """Count an invalid message: P4."""
        self.counts(peer, topic).invalid += 1.0
        self.refresh(peer, now)

    def penalise(self, peer: PeerId, points: float, now: Millis) -> None:
        """Count bad behaviour: P7."""
        record = self._records.get(peer)
        if record is not None:
            record.behaviour += points
            self._count("relay_penalties", 1)
            self.refresh(peer, now)

    def heartbeat(self, now: Millis) -> None:
        """Decay the counters when it is time, remove old records of disconnected peers, and sum all scores."""
        if now - self._decayed >= self._scoring.decay_interval:
            self._decayed = now
            for record in self._records.values():
                self._decay(record)
        for peer in list(self._departed):
            left = self._records[peer].left_at
            if left is not None and now - left < self._scoring.retain:
                break
            del self._departed[peer], self._records[peer]
        for peer in self._records:
            self.refresh(peer, now)

    def refresh(self, peer: PeerId, now: Millis) -> float:
        """Sum up a peer's score and return it."""
        record = self._records.get(peer)
        if record is None:
            return 0.0
        rules = self._scoring
        if not record.topics and not record.behaviour and self._alone(record.address):
            record.score = 0.0
            return 0.0
        score = sum(self._topic_score(counts, now) for counts in record.topics.values())
        if rules.topics_cap and score > rules.topics_cap:
            score = rules.topics_cap
        score += self._colocation(record.address)
        excess = record.behaviour - rules.behaviour_threshold
        if excess > 0:
            score += excess * excess * rules.behaviour
        record.score = score
        return score

    def _topic_score(self, counts: TopicCounters, now: Millis) -> float:
        rules = self._scoring.topic
        score = counts.first * rules.first + counts.failure * rules.failure
        score += counts.invalid * counts.invalid * rules.invalid
        if counts.in_mesh_since is not None:
            score += min((now - counts.in_mesh_since) // _SECOND, rules.time_in_mesh_cap) * rules.time_in_mesh
        if self._active(counts, now) and counts.mesh < rules.mesh_threshold:
            score += (rules.mesh_threshold - counts.mesh) ** 2 * rules.mesh
        return score * rules.weight

    def _active(self, counts: TopicCounters, now: Millis) -> bool:
        since = counts.in_mesh_since
        return since is not None and now - since >= self._scoring.topic.mesh_activation

    def _alone(self, address: str) -> bool:
        return self._at_address.get(address, 0) <= self._scoring.colocation_threshold

    def _colocation(self, address: str) -> float:
        rules = self._scoring
        surplus = self._at_address.get(address, 0) - rules.colocation_threshold
        if surplus <= 0 or not address or address.startswith(rules.colocation_exempt):
            return 0.0
        return surplus * surplus * rules.colocation

    def _decay(self, record: PeerRecord) -> None:
        rules, zero = self._scoring.topic, self._scoring.decay_to_zero
        for counts in record.topics.values():
            counts.first = _shrunk(counts.first, rules.first_decay, zero)
            counts.mesh = _shrunk(counts.mesh, rules.mesh_decay, zero)
            counts.failure = _shrunk(counts.failure, rules.failure_decay, zero)
            counts.invalid = _shrunk(counts.invalid, rules.invalid_decay, zero)
        record.behaviour = _shrunk(record.behaviour, self._scoring.behaviour_decay, zero)

    def _remove_address(self, address: str) -> None:
        left = self._at_address.get(address, 0) - 1
        if left > 0:
            self._at_address[address] = left
        else:
            self._at_address.pop(address, None)


def _shrunk(value: float, decay: float, zero: float) -> float:
    value *= decay
    return value if value >= zero else 0.0


class DeliveryWindows:
    """The peers that delivered a message in the window after its first (P3). Unused: P3 weighs 0 in Waku."""

    def __init__(self, scores: Scores, rules: TopicScoreSettings) -> None:
        self._scores = scores
        self._window = rules.mesh_window
        self._brought: dict[bytes, tuple[Millis, set[PeerId]]] = {}

    def on_first(self, key: bytes, peer: PeerId, now: Millis) -> None:
        """Start the window of a message."""
        self._brought[key] = (now, {peer})

    def on_duplicate(self, key: bytes, peer: PeerId, topic: str, now: Millis) -> None:
        """Count another delivery, once for each peer."""
        at, peers = self._brought.get(key, (Millis(0), set[PeerId]()))
        if now - at <= self._window and peer not in peers:
            peers.add(peer)
            self._scores.on_duplicate(peer, topic)

    def expire(self, now: Millis) -> None:
        """Remove windows that are over."""
        for key in list(self._brought):
            if now - self._brought[key][0] <= self._window:
                break
            del self._brought[key]
