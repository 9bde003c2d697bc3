"""The whole push notification service on given adapters: server, delivery, housekeeping, start and graceful stop."""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from hushbell.config.limits import Limits
from hushbell.core.delivery.backoff import Backoff
from hushbell.errors import StoreError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.ports.server_store import ServerStore
from hushbell.ports.transport import Route, Transport
from hushbell.runtime.delivery.engine import App, DeliveryEngine
from hushbell.runtime.delivery.service import DeliveryService
from hushbell.runtime.server.dead_tokens import DeadTokens
from hushbell.runtime.server.decider import Decider
from hushbell.runtime.server.query_keys import QueryKeys
from hushbell.runtime.server.sealer import EnvelopeSealer, InProcessSealer
from hushbell.runtime.server.server import PushServer
from hushbell.runtime.server.topic_index import TopicIndex
from hushbell.runtime.server.worker_pool import WorkerPool
from hushbell.types import DEFAULT_PUBSUB_TOPIC, MILLIS_PER_DAY, KeyPair, Millis, PubsubTopic, Random, TokenType

FORGET_INTERVAL = 3600.0  # seconds

log = logging.getLogger(__name__)


class ServerService:
    """Made by ``start``; ``run`` returns after ``stop``."""

    def __init__(
        self,
        *,
        server: PushServer,
        topic_index: TopicIndex,
        delivery: DeliveryService,
        store: ServerStore,
        transport: Transport,
        sealer: EnvelopeSealer,
        clock: Clock,
        limits: Limits,
    ) -> None:
        self._server = server
        self._topic_index = topic_index
        self._delivery = delivery
        self._store = store
        self._transport = transport
        self._sealer = sealer
        self._clock = clock
        self._limits = limits

    @classmethod
    async def start(
        cls,
        *,
        identity: KeyPair,
        store: ServerStore,
        transport: Transport,
        app: App,
        clock: Clock,
        random: Random,
        count: Count,
        limits: Limits | None = None,
        token_types: Collection[int] = (TokenType.APN, TokenType.FIREBASE),
        pubsub_topics: Sequence[PubsubTopic] = (DEFAULT_PUBSUB_TOPIC,),
        workers: int = 1,
        derivations_per_second: float = 25.0,
        backoff: Backoff | None = None,
        files: Mapping[tuple[str, str], Sequence[Path]] | None = None,
    ) -> "ServerService":
        """
        Bind the data to the identity and read what must be known before the first envelope.

        Raises:
            StoreMismatch: the data is another identity's.
            StoreUnavailable: the data cannot be read.
        """
        limits = limits or Limits()
        await store.pin_identity(identity.private)
        topic_index = TopicIndex(identity.public, await store.key_hashes())
        sealer: EnvelopeSealer = InProcessSealer(identity, limits, random)
        if workers > 1:
            sealer = await WorkerPool.start(workers, identity, limits)
        engine = DeliveryEngine(outbox=store.outbox, apps=[app], clock=clock, random=random, backoff=backoff)
        engine.add_listener(DeadTokens())
        await engine.start()
        server = PushServer(
            store=store,
            transport=transport,
            sealer=sealer,
            decider=Decider(
                store=store, delivery=engine, clock=clock, limits=limits, token_types=token_types, count=count
            ),
            topic_index=topic_index,
            query_keys=QueryKeys(store, clock, per_second=derivations_per_second),
            clock=clock,
            limits=limits,
            pubsub_topics=pubsub_topics,
            count=count,
        )
        delivery = DeliveryService(
            engine=engine, outbox=store.outbox, clock=clock, keep_days=limits.dedup_days, files=files
        )
        return cls(
            server=server,
            topic_index=topic_index,
            delivery=delivery,
            store=store,
            transport=transport,
            sealer=sealer,
            clock=clock,
            limits=limits,
        )

    @property
    def engine(self) -> DeliveryEngine:
        """Return the delivery engine."""
        return self._delivery.engine

    @property
    def is_idle(self) -> bool:
        """Whether nothing received is unfinished, and no push is under way, to be sent now, or unwritten."""
        queues = self.engine.queues.values()
        is_sending = any(queue.in_flight or queue.may_send or queue.may_read for queue in queues)
        return not self._server.in_hand and not is_sending and self.engine.commits.is_idle

    def route(self, topic: str) -> Route | None:
        """Return what messages on a content topic are to the server, or None; a look-up, and true as of now."""
        return self._topic_index.route(topic)

    async def run(self) -> None:
        """Serve until stopped; then finish open batches, write the outcomes under way and close all parts."""
        self._delivery.start(self._forget())
        try:
            await self._server.run()
        finally:
            # Concurrently: the grace periods of a slow reader and of a slow provider must not add up.
            leaving = asyncio.ensure_future(self._transport.close())
            await self._delivery.close()
            await leaving
            await self._sealer.close()
            await self._store.close()

    def stop(self) -> None:
        """Take no more envelopes; ``run`` finishes what was taken and returns."""
        self._server.stop()

    def reload(self) -> None:
        """Read every credential again; a bad one is logged, and the old one stays."""
        self._delivery.reload()

    async def _forget(self) -> None:
        """Drop responses and notification keys that are older than anybody repeats."""
        while True:
            before = Millis(self._clock.now() - self._limits.dedup_days * MILLIS_PER_DAY)
            try:
                await self._store.forget(before)
            except StoreError as error:
                log.error("old responses cannot be dropped: %s", error)  # noqa: TRY400  the text names the cause
            await self._clock.sleep(FORGET_INTERVAL)
