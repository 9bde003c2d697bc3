"""
The push notification server: receive, open, decide, commit, then answer and push.

Batches are opened while earlier ones are being committed. They are decided strictly in order. Nothing leaves before
what it says is on the disk.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, Literal

from hushbell import wire
from hushbell.config.limits import Limits
from hushbell.core.envelope import WAKU_VERSION
from hushbell.core.server.events import Event
from hushbell.core.server.facts import Decision, FactsNeeded, Reply, SaveRegistration
from hushbell.core.server.failure import internal_errors
from hushbell.errors import StoreError, TransportError, WireError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.ports.server_store import ServerStore
from hushbell.ports.transport import ReceivedMessage, Route, Transport
from hushbell.runtime.clock import nanos
from hushbell.runtime.server.decider import Decider
from hushbell.runtime.server.query_keys import QueryKeys
from hushbell.runtime.server.sealer import DiscardedEnvelope, EnvelopeSealer, SealedEnvelope
from hushbell.runtime.server.topic_index import TopicIndex
from hushbell.types import Envelope, KeyHash, PubsubTopic
from hushbell.wire.messages import WakuMessage

MAX_BATCH = 128  # envelopes decided at once; more gains nothing and delays the first answer
MAX_BATCHES = 6  # between receive and answer
MAX_WAITING_QUERIES = 1024  # for their topic key
PUBLISH_ATTEMPTS = 5  # of one batch of answers; an answer lost after that is recovered when the client asks again

log = logging.getLogger(__name__)


class PushServer:
    """The constructor gets every part; ``run`` returns when the transport is closed."""

    def __init__(
        self,
        *,
        store: ServerStore,
        transport: Transport,
        sealer: EnvelopeSealer,
        decider: Decider,
        topic_index: TopicIndex,
        query_keys: QueryKeys,
        clock: Clock,
        limits: Limits,
        pubsub_topics: Sequence[PubsubTopic],
        count: Count,
    ) -> None:
        self._store = store
        self._transport = transport
        self._sealer = sealer
        self._decider = decider
        self._topic_index = topic_index
        self._query_keys = query_keys
        self._clock = clock
        self._limits = limits
        self._pubsub_topics = frozenset(pubsub_topics)
        self._answers_on = pubsub_topics[0]
        self._count = count
        self._free_batches = asyncio.Semaphore(MAX_BATCHES)
        self._last_batch: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._derivations: set[asyncio.Task[None]] = set()
        self._waiting_queries = 0
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Take no more envelopes; ``run`` finishes and answers what was taken, and returns."""
        self._stopping.set()

    @property
    def in_hand(self) -> int:
        """How many batches and waiting queries are not answered yet."""
        return len(self._tasks)

    async def run(self) -> None:
        """Serve until stopped or until the transport is closed, then finish what was received."""
        stopping = asyncio.create_task(self._stopping.wait())
        while received := await self._receive(stopping):
            self._count("envelopes_received", len(received))
            sealed = [one for each in received if (one := await self._sealed(each)) is not None]
            if sealed:
                await self._start(sealed)
        stopping.cancel()
        # A query that still waits for its topic's key has no right to an answer.
        for task in self._derivations:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _receive(self, stopping: asyncio.Task[Literal[True]]) -> Sequence[ReceivedMessage]:
        receiving = asyncio.ensure_future(self._transport.receive(MAX_BATCH))
        either: list[asyncio.Future[Any]] = [receiving, stopping]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if receiving.done():
            return await receiving
        receiving.cancel()
        return ()

    async def _sealed(self, received: ReceivedMessage) -> SealedEnvelope | None:
        """Return what is to be opened, or None. A query whose key is not known yet comes back through ``_derive``."""
        if received.pubsub_topic not in self._pubsub_topics:
            self._count("envelopes_of_other_shards", 1)
            return None
        waku, route = received.decoded, received.route
        if len(received.waku_message) > self._limits.envelope:
            self._count("envelopes_too_large", 1)
            return None
        try:
            if waku is None:
                waku = wire.decode(WakuMessage, received.waku_message, limit=self._limits.envelope)
        except WireError:
            self._count("envelopes_undecodable", 1)
            return None
        if route is None:
            route = self._topic_index.route(waku.content_topic)
        if route is None:
            self._count("envelopes_of_other_topics", 1)
            return None
        if waku.version != WAKU_VERSION:
            self._count("envelopes_undecodable", 1)
            return None
        return await self._sealed_query(waku.payload, route) if route.key_hashes else SealedEnvelope(waku.payload)

    async def _sealed_query(self, payload: bytes, route: Route) -> SealedEnvelope | None:
        try:
            known = [await self._query_keys.known(key_hash) for key_hash in route.key_hashes]
        except StoreError:
            self._count("queries_without_key", 1)
            return None
        keys = tuple(key for key in known if key is not None)
        if len(keys) == len(known):
            return SealedEnvelope(payload, keys)
        if self._waiting_queries >= MAX_WAITING_QUERIES:
            self._count("queries_beyond_waiting", 1)
            return None
        self._waiting_queries += 1
        task = self._spawn(self._derive(payload, route))
        self._derivations.add(task)
        task.add_done_callback(self._derivations.discard)
        return None

    async def _derive(self, payload: bytes, route: Route) -> None:
        try:
            keys = tuple([await self._query_keys.derive(key_hash) for key_hash in route.key_hashes])
        except StoreError:
            self._count("queries_without_key", 1)
            return
        finally:
            self._waiting_queries -= 1
        await self._start([SealedEnvelope(payload, keys)])

    async def _start(self, sealed: Sequence[SealedEnvelope]) -> None:
        """Start a batch: it is opened beside the others and decided after those before it."""
        await self._free_batches.acquire()
        before, self._last_batch = self._last_batch, asyncio.get_running_loop().create_future()
        self._spawn(self._serve(sealed, before, self._last_batch))

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _serve(
        self, sealed: Sequence[SealedEnvelope], before: asyncio.Future[None] | None, done: asyncio.Future[None]
    ) -> None:
        try:
            events = self._events(await self._sealer.open(sealed))
            if before is not None:
                await before
            replies = await self._decide(events)
        except Exception:
            # A bug of ours in one batch must not stop the server; its senders send again.
            self._count("batches_failed", 1)
            log.exception("a batch failed")
            replies = []
        finally:
            if before is not None and not before.done():
                await before
            done.set_result(None)
        try:
            await self._answer(replies)
        except Exception:
            self._count("batches_failed", 1)
            log.exception("answers were lost")
        finally:
            self._free_batches.release()

    def _events(self, opened: Sequence[Event | DiscardedEnvelope]) -> Sequence[Event]:
        events = []
        for one in opened:
            if isinstance(one, DiscardedEnvelope):
                self._count(one.reason, 1)
            else:
                events.append(one)
        return events

    async def _decide(self, events: Sequence[Event]) -> Sequence[Reply]:
        if not events:
            return []
        self._count("events", len(events))
        try:
            decisions = await self._decider.decide(events)
        except StoreError as error:
            self._count("store_failures", len(events))
            log.error("the store failed: %s", error)  # noqa: TRY400  the text names the cause; a trace adds nothing
            return [reply for event in events for reply in internal_errors(event)]
        await self._update_topics(decisions)
        return [reply for decision in decisions for reply in decision.replies]

    async def _update_topics(self, decisions: Sequence[Decision]) -> None:
        """Route the queries for the key hashes of new registrations, and no more those for unregistered ones."""
        for decision in decisions:
            for write in decision.writes:
                if not isinstance(write, SaveRegistration):
                    continue
                if write.stored.plaintext is not None:
                    self._topic_index.add(write.device.key_hash)
                elif not await self._is_registered(write.device.key_hash):
                    self._topic_index.remove(write.device.key_hash)

    async def _is_registered(self, key_hash: KeyHash) -> bool:
        """Say whether a key hash has a live registration. If that cannot be read, a route too many does no harm."""
        try:
            facts = await self._store.load(FactsNeeded(installations=frozenset((key_hash,))), byte_limit=0)
        except StoreError:
            self._count("store_failures", 1)
            return True
        return any(facts.installations.get(key_hash, {}).values())

    async def _answer(self, replies: Sequence[Reply]) -> None:
        if not replies:
            return
        messages = await self._sealer.seal(replies, nanos(self._clock.now()))
        envelopes = [Envelope(self._answers_on, message) for message in messages]
        for attempt in range(PUBLISH_ATTEMPTS):
            try:
                await self._transport.publish(envelopes)
            except TransportError:
                self._count("answers_delayed", 1)
                await self._clock.sleep(0.1 * 2**attempt)
            else:
                self._count("answers", len(envelopes))
                return
        self._count("answers_lost", len(envelopes))
