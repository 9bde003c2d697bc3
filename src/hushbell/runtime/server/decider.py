"""Loads the facts of many events, decides them in order, commits once."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence

from hushbell.config.limits import Limits
from hushbell.core.push import Push
from hushbell.core.rate_limit import Bucket
from hushbell.core.server.decide import apply, decide, facts_needed, merge_facts_needed
from hushbell.core.server.events import Event
from hushbell.core.server.facts import Decision, Enqueue, Facts, Write
from hushbell.errors import StoreUnavailable, VersionConflict
from hushbell.ports.clock import Clock
from hushbell.ports.server_store import ServerStore
from hushbell.types import DeviceKey

MAX_LOST_RACES = 10  # each is another writer's success; ten in a row are a bug, not traffic
Count = Callable[[str, int], None]


class Decider:
    """Turns events into decisions that are on disk when they are returned."""

    def __init__(
        self, store: ServerStore, clock: Clock, limits: Limits, token_types: Collection[int], count: Count
    ) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits
        self._token_types = token_types
        self._count = count
        self._buckets: OrderedDict[DeviceKey, Bucket] = OrderedDict()

    async def decide(self, events: Sequence[Event]) -> Sequence[Decision]:
        """
        Return one committed decision for each event, in order.

        Raises:
            StoreError: nothing of this was written.
        """
        for _ in range(MAX_LOST_RACES):
            decisions = await self._load_and_decide(events)
            if decisions is None:
                return [decision for event in events for decision in await self.decide([event])]
            writes: list[Write] = [write for decision in decisions for write in decision.writes]
            try:
                if writes:
                    await self._store.commit(writes)
            except VersionConflict:
                continue
            self._remember(decisions)
            return decisions
        message = "lost every race for a registration"
        raise StoreUnavailable(message)

    async def _load_and_decide(self, events: Sequence[Event]) -> Sequence[Decision] | None:
        """Decide on fresh facts; None if the facts of so many events do not fit into memory at once."""
        wanted = merge_facts_needed(facts_needed(event, self._limits) for event in events)
        facts = await self._store.load(wanted, byte_limit=self._limits.facts)
        if facts.omitted and len(events) > 1:
            return None
        self._add_buckets(facts, wanted.devices)
        now = self._clock.now()
        decisions = []
        for event in events:
            decision = decide(event, facts, now, self._limits, token_types=self._token_types)
            apply(facts, decision)
            decisions.append(decision)
        return decisions

    def _add_buckets(self, facts: Facts, devices: Collection[DeviceKey]) -> None:
        for device in devices:
            bucket = self._buckets.get(device)
            if bucket is not None:
                facts.buckets[device] = bucket

    def _remember(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            for device, bucket in decision.buckets:
                self._buckets[device] = bucket
                self._buckets.move_to_end(device)
            for name in decision.refused:
                self._count(name, 1)
        while len(self._buckets) > self._limits.ring_buckets:
            self._buckets.popitem(last=False)
            self._count("ring_buckets_forgotten", 1)


def pushes(decisions: Sequence[Decision]) -> Sequence[Push]:
    """Return what the decisions put into the outbox, in order."""
    return [write.push for decision in decisions for write in decision.writes if isinstance(write, Enqueue)]
