"""What an operator should know of a node: per shard whether messages come, and what was dropped."""

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
"""Counters that mean somebody did not get a message."""


@dataclass(frozen=True, slots=True)
class ShardHealth:
    """One shard."""

    pubsub_topic: PubsubTopic
    peers: int  # that listen to it
    mesh: int  # that send us its messages as they come
    silent_for: float | None  # seconds since the last message; None: there was none yet


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """The whole node."""

    connections: int
    stores: int  # peers that can be asked for what was missed
    shards: Sequence[ShardHealth]
    dropped: Mapping[str, int]  # by counter, since the start

    @property
    def ready(self) -> bool:
        """Whether messages of every shard can come."""
        return all(shard.peers for shard in self.shards)


class Losses:
    """Counts for everybody else, and keeps the counters that mean a loss."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._lost: Counter[str] = Counter()

    def count(self, name: str, number: int) -> None:
        """Count something that happened."""
        if name in LOSSES:
            self._lost[name] += number
        self._count(name, number)

    def totals(self) -> Mapping[str, int]:
        """Return what was lost since the start."""
        return dict(self._lost)


class LastMessages:
    """When each shard was heard last."""

    def __init__(self) -> None:
        self._at: dict[str, Millis] = {}

    def record(self, pubsub_topic: str, now: Millis) -> None:
        """Note a message."""
        self._at[pubsub_topic] = now

    def silent_for(self, pubsub_topic: str, now: Millis) -> float | None:
        """Return the seconds since the last message of a shard."""
        at = self._at.get(pubsub_topic)
        return None if at is None else max(0, now - at) / 1000
