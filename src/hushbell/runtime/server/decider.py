"""Loads the facts of many events, decides them in order, commits what follows with the pushes in one transaction."""

from collections import OrderedDict
from collections.abc import Collection, Sequence

from hushbell.config.limits import Limits
from hushbell.core.delivery.changes import Changes
from hushbell.core.delivery.job import Job
from hushbell.core.delivery.notification import Draft
from hushbell.core.rate_limit import Bucket
from hushbell.core.server.decide import apply, decide, facts_needed, merge_facts_needed
from hushbell.core.server.events import Event
from hushbell.core.server.facts import Decision, Enqueue, Write
from hushbell.errors import Overloaded, StoreError, StoreUnavailable, VersionConflict
from hushbell.ports.clock import Clock
from hushbell.ports.delivery import Delivery
from hushbell.ports.metrics import Count
from hushbell.ports.outbox import committed
from hushbell.ports.server_store import ServerStore
from hushbell.runtime.server.app import SERVER_APP
from hushbell.types import DeviceKey

MAX_JOB = 128  # pushes that become durable, and end, together
MAX_LOST_RACES = 10  # each is another writer's success; ten in a row are a bug, not traffic


class Decider:
    """Makes decisions of events. A decision is on the disk before it is returned."""

    def __init__(
        self,
        *,
        store: ServerStore,
        delivery: Delivery,
        clock: Clock,
        limits: Limits,
        token_types: Collection[int],
        count: Count,
    ) -> None:
        self._store = store
        self._delivery = delivery
        self._clock = clock
        self._limits = limits
        self._token_types = token_types
        self._count = count
        self._buckets: OrderedDict[DeviceKey, Bucket] = OrderedDict()

    async def decide(self, events: Sequence[Event]) -> Sequence[Decision]:
        """
        Return one committed decision for each event, in order; their pushes are being delivered.

        Raises:
            StoreError: nothing of this was written.
        """
        for _ in range(MAX_LOST_RACES):
            decisions = await self._load_and_decide(events)
            if decisions is None:
                return [decision for event in events for decision in await self.decide([event])]
            try:
                await self._commit(decisions)
            except VersionConflict:
                continue
            self._remember(decisions)
            return decisions
        message = "lost every race for a registration"
        raise StoreUnavailable(message)

    async def _load_and_decide(self, events: Sequence[Event]) -> Sequence[Decision] | None:
        """Decide on fresh facts; None if the facts of so many events do not fit into memory at once."""
        needed = merge_facts_needed(facts_needed(event, self._limits) for event in events)
        facts = await self._store.load(needed, byte_limit=self._limits.facts)
        if facts.omitted and len(events) > 1:
            return None
        self._add_buckets(facts.buckets, needed.devices)
        now = self._clock.now()
        decisions = []
        for event in events:
            decision = decide(event, facts, now, self._limits, token_types=self._token_types)
            apply(facts, decision)
            decisions.append(decision)
        return decisions

    async def _commit(self, decisions: Sequence[Decision]) -> None:
        """Commit all writes and pushes, or none; raises StoreError."""
        writes: list[Write] = [
            write for decision in decisions for write in decision.writes if not isinstance(write, Enqueue)
        ]
        drafts = [write.draft for decision in decisions for write in decision.writes if isinstance(write, Enqueue)]
        if not writes:  # a push never comes without a response
            return
        jobs = self._prepare(drafts)
        try:
            await committed(self._store.outbox, Changes(server=writes, jobs=list(jobs)))
        except VersionConflict:
            self._delivery.abandon(jobs)
            raise
        except StoreError:
            self._delivery.abandon(jobs, doubtful=True)
            raise
        self._delivery.adopt(jobs)

    def _prepare(self, drafts: Sequence[Draft]) -> list[Job]:
        jobs: list[Job] = []
        try:
            for start in range(0, len(drafts), MAX_JOB):
                jobs += self._delivery.prepare(SERVER_APP, drafts[start : start + MAX_JOB])
        except Overloaded as error:
            self._delivery.abandon(jobs)
            self._count("pushes_over_share", len(drafts))
            raise StoreUnavailable("the outbox is full") from error
        return jobs

    def _add_buckets(self, buckets: dict[DeviceKey, Bucket], devices: Collection[DeviceKey]) -> None:
        for device in devices:
            bucket = self._buckets.get(device)
            if bucket is not None:
                buckets[device] = bucket

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
