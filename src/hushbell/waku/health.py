"""The health of a node: per shard its peers and its last message, and how many messages were dropped."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hushbell.ports.metrics import Count
from hushbell.types import Millis, PubsubTopic

LOSSES = frozenset(
    {
        "archive_dropped",
        "filter_slow_dropped",
        "filter_unreachable_dropped",
        "relay_forward_dropped",
        "relay_publish_skipped",
        "waku_inbox_dropped",
        "waku_window_not_saved",
    }
)
"""Counters of lost messages."""


@dataclass(frozen=True, slots=True)
class ShardHealth:
    """One shard."""

    pubsub_topic: PubsubTopic
    peers: int  # that are subscribed
    mesh: int  # in the mesh, which send us messages at once
    silent_for: float | None  # seconds since the last message; None: there was none yet


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """The health of the node."""

    connections: int
    stores: int  # peers that offer the store protocol
    shards: Sequence[ShardHealth]
    dropped: Mapping[str, int]  # by counter, since the start

    @property
    def ready(self) -> bool:
        """Whether a peer is subscribed to every shard."""
        return all(shard.peers for shard in self.shards)


class Losses:
    """Passes counters on and keeps those of lost messages."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._lost: Counter[str] = Counter()

    def count(self, name: str, number: int) -> None:
        """Count."""
        if name in LOSSES:
            self._lost[name] += number
        self._count(name, number)

    def totals(self) -> Mapping[str, int]:
        """Return the counters of lost messages since the start."""
        return dict(self._lost)


class LastMessages:
    """The time of each shard's last message."""

    def __init__(self) -> None:
        self._at: dict[str, Millis] = {}

    def record(self, pubsub_topic: str, now: Millis) -> None:
        """Note a message."""
        self._at[pubsub_topic] = now

    def silent_for(self, pubsub_topic: str, now: Millis) -> float | None:
        """Return the seconds since the last message of a shard."""
        at = self._at.get(pubsub_topic)
        return None if at is None else max(0, now - at) / 1000
