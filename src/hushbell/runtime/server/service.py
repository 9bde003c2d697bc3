"""The whole push notification service on given adapters: server, outbox, housekeeping, start and graceful stop."""

import asyncio
import logging
from collections.abc import Collection, Sequence

from hushbell.config.limits import Limits
from hushbell.core.delivery.backoff import Backoff
from hushbell.errors import StoreError
from hushbell.ports.clock import Clock
from hushbell.ports.gateway import Gateway
from hushbell.ports.server_store import ServerStore
from hushbell.ports.transport import Route, Transport
from hushbell.runtime.server.decider import Count, Decider
from hushbell.runtime.server.outbox import Outbox
from hushbell.runtime.server.query_keys import QueryKeys
from hushbell.runtime.server.sealer import EnvelopeSealer, InProcessSealer
from hushbell.runtime.server.server import PushServer
from hushbell.runtime.server.topic_index import TopicIndex
from hushbell.runtime.server.worker_pool import WorkerPool
from hushbell.types import DEFAULT_PUBSUB_TOPIC, MILLIS_PER_DAY, KeyPair, Millis, PubsubTopic, Random, TokenType

FORGET_INTERVAL = 3600.0  # seconds
GRACE = 6.0  # seconds for attempts under way at a stop, of the 10 promised; what is left goes out after the next start

log = logging.getLogger(__name__)


class ServerService:
    """Made by ``start``; ``run`` returns after ``stop``."""

    def __init__(
        self,
        *,
        server: PushServer,
        topic_index: TopicIndex,
        outbox: Outbox,
        store: ServerStore,
        transport: Transport,
        gateway: Gateway,
        sealer: EnvelopeSealer,
        clock: Clock,
        limits: Limits,
    ) -> None:
        self._server = server
        self._topic_index = topic_index
        self._outbox = outbox
        self._store = store
        self._transport = transport
        self._gateway = gateway
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
        gateway: Gateway,
        clock: Clock,
        random: Random,
        count: Count,
        limits: Limits | None = None,
        token_types: Collection[int] = (TokenType.APN, TokenType.FIREBASE),
        pubsub_topics: Sequence[PubsubTopic] = (DEFAULT_PUBSUB_TOPIC,),
        workers: int = 1,
        derivations_per_second: float = 25.0,
        backoff: Backoff | None = None,
    ) -> "ServerService":
        """
        Bind the data to the identity and read what must be known before the first envelope.

        Raises:
            StoreMismatch: the data is another identity's.
        """
        limits = limits or Limits()
        await store.pin_identity(identity.private)
        topic_index = TopicIndex(identity.public, await store.owners())
        sealer: EnvelopeSealer = (
            InProcessSealer(identity, limits, random)
            if workers <= 1
            else await WorkerPool.start(workers, identity, limits)
        )
        outbox = Outbox(store=store, gateway=gateway, clock=clock, random=random, count=count, backoff=backoff)
        server = PushServer(
            store=store,
            transport=transport,
            outbox=outbox,
            sealer=sealer,
            decider=Decider(store, clock, limits, token_types, count),
            topic_index=topic_index,
            query_keys=QueryKeys(store, clock, per_second=derivations_per_second),
            clock=clock,
            limits=limits,
            pubsub_topics=pubsub_topics,
            count=count,
        )
        return cls(
            server=server,
            topic_index=topic_index,
            outbox=outbox,
            store=store,
            transport=transport,
            gateway=gateway,
            sealer=sealer,
            clock=clock,
            limits=limits,
        )

    @property
    def in_hand(self) -> int:
        """How much was received or taken from the outbox and is not finished yet; 0 when idle."""
        return self._server.in_hand + self._outbox.in_hand

    def route(self, topic: str) -> Route | None:
        """Return what messages on a content topic are to the server, or None; a look-up, and true as of now."""
        return self._topic_index.route(topic)

    async def run(self) -> None:
        """Serve until stopped; then finish the batches in hand, write the outcomes under way, close everything."""
        loop = asyncio.get_running_loop()
        delivering = loop.create_task(self._outbox.run())
        forgetting = loop.create_task(self._forget())
        try:
            await self._server.run()
        finally:
            forgetting.cancel()
            self._outbox.stop()
            # Side by side: whoever reads no answers must not add its grace to a gateway's that gives none.
            leaving = loop.create_task(self._transport.close())
            await asyncio.wait([delivering], timeout=GRACE)
            await self._gateway.close()
            await asyncio.wait([delivering, forgetting], timeout=1.0)
            await leaving
            await self._sealer.close()
            await self._store.close()

    def stop(self) -> None:
        """Take no more envelopes; ``run`` finishes what was taken and returns."""
        self._server.stop()

    async def _forget(self) -> None:
        """Drop answers and rings that are older than anybody repeats."""
        while True:
            before = Millis(self._clock.now() - self._limits.dedup_days * MILLIS_PER_DAY)
            try:
                await self._store.forget(before)
            except StoreError as error:
                log.error("old answers cannot be dropped: %s", error)  # noqa: TRY400  the text names the cause
            await self._clock.sleep(FORGET_INTERVAL)
