"""
The network of Waku behind the transport port, through an operator's nwaku or go-waku and its REST API.

The node hands each message out once, from a small cache that strangers can push honest messages out of, so its
stores are asked as well. That it took a message says nothing about anybody else: only lightpush tells, and else a store
that has the message.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from hushbell import wire
from hushbell.errors import TransportError, Undecodable, WireError
from hushbell.http.client import fetch
from hushbell.ports.clock import Clock
from hushbell.ports.http import HttpClient, HttpFailure, HttpRequest, HttpResponse
from hushbell.ports.metrics import Count
from hushbell.ports.transport import ReceivedMessage
from hushbell.transports.waku import rest_dialects as rest
from hushbell.types import ContentTopic, Envelope, Millis, PubsubTopic, Random
from hushbell.waku.history import MAX_PAGE, HistoryPage
from hushbell.waku.inbox.message_queue import MessageQueue
from hushbell.waku.inbox.missing_messages import MissingMessages
from hushbell.waku.message import message_hash
from hushbell.wire.messages import WakuMessage

SOONEST = 0.05  # seconds between two looks while messages come
LATEST = 0.5  # seconds between two looks while none do
PATIENCE = 10.0  # seconds for an answer; nodes give up after 5 themselves
BROKEN = 5.0  # seconds at most between two attempts while the node does not answer
BLIND = 2_500  # ms without a look after which the cache may have overflowed: 50 messages at 20 a second
CACHE = 50  # messages that nwaku keeps unless told otherwise
CONFIRM = (0.3, 0.7, 2.0)  # seconds before each look whether a store has what was published
ANSWER = 96 * 1024 * 1024  # bytes; what nwaku keeps unless told otherwise, if all of it is large
SUSPECT = 10_000  # ms between two questions to the store because the cache was full

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RestHealth:
    """What the node says of itself."""

    ready: bool
    says: str  # a word of its own, such as READY


class RestNode:
    """
    Requests to one node.

    Args:
        http: sends them; should read answers up to :data:`ANSWER`.
        url: of the node, without a path.
        dialect: what it speaks.
    """

    def __init__(self, http: HttpClient, url: str, dialect: Literal["nwaku", "go-waku"]) -> None:
        self.name = "rest"
        self.dialect = rest.DIALECTS[dialect]
        self.is_own = False
        self.has_whole_shards = self.dialect.has_whole_shards
        self._http = http
        self._url = url.rstrip("/")

    async def ask(self, path: str, body: bytes | None = None) -> HttpResponse:
        """
        Return the node's answer to a GET, or to a POST of JSON.

        Raises:
            TransportError: none came.
        """
        headers = (("accept", "application/json"), ("content-type", "application/json"))
        request = HttpRequest(
            self._url + path, headers, body or b"", timeout=PATIENCE, method="GET" if body is None else "POST"
        )
        result = await fetch(self._http, request)
        if isinstance(result, HttpFailure):
            raise TransportError(f"the node does not answer: {result.kind.value}")
        return result

    async def page(
        self,
        pubsub_topic: PubsubTopic | None,
        content_topics: Sequence[ContentTopic],
        since: Millis,
        cursor: bytes | None,
    ) -> HistoryPage:
        """Return a page of what its store, or a store it asks, keeps. Raises TransportError, Undecodable."""
        size = MAX_PAGE
        while True:
            path = rest.store_path(self.dialect, pubsub_topic, content_topics, since, cursor, size=size)
            answer = await self.ask(path)
            if answer.status != rest.PUBLISHED:
                raise TransportError(f"the node's store answered {answer.status}")
            try:
                return self.dialect.page(answer.body)
            except Undecodable:
                # A page of large messages is longer than what is read of an answer.
                size //= 10
                if not size:
                    raise

    async def health(self) -> RestHealth:
        """Return what the node says of itself; one that says nothing we know counts as ready if it answers."""
        try:
            answer = await self.ask("/health")
        except TransportError:
            return RestHealth(ready=False, says="no answer")
        try:
            says = orjson.loads(answer.body)
        except ValueError:
            says = None
        word = says.get("nodeHealth") if isinstance(says, dict) else says
        if answer.status == rest.PUBLISHED and isinstance(word, str):
            return RestHealth(ready=word in ("READY", "Node is healthy"), says=word[:100])
        return RestHealth(ready=answer.status == 501, says=f"status {answer.status}")  # go-waku without RLN

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.close()


class RestTransport:
    """
    A ``Transport``. Made whole; tasks begin with ``start``.

    Args:
        node: where messages are read and published.
        receiving: where they arrive.
        catching_up: asks the node's store for what its cache lost.
        pubsub_topics: shards to listen to.
    """

    def __init__(
        self,
        *,
        node: RestNode,
        receiving: MessageQueue,
        catching_up: MissingMessages,
        clock: Clock,
        random: Random,
        count: Count,
        pubsub_topics: Sequence[PubsubTopic],
    ) -> None:
        self._node = node
        self._receiving = receiving
        self._catching_up = catching_up
        self._clock = clock
        self._random = random
        self._count = count
        self._pubsub_topics = tuple(pubsub_topics)
        self._tasks: list[asyncio.Task[None]] = []
        self._suspected = Millis(0)
        self._publishing = asyncio.Lock()
        receiving.on_gap = catching_up.soon

    async def start(self) -> None:
        """
        Subscribe and begin to listen.

        Raises:
            TransportError: the node does not answer or will not subscribe.
        """
        await self._subscribe()
        coroutines = (self._receiving.flush(), self._catching_up.run(), self._listen())
        self._tasks += [asyncio.create_task(coroutine) for coroutine in coroutines]

    def listen_only(self, wanted: Callable[[str], bool]) -> None:
        """Receive nothing but messages on content topics for which ``wanted`` says so."""
        self._receiving.wanted = wanted

    async def receive(self, limit: int) -> Sequence[ReceivedMessage]:
        """Wait for at least one envelope and return up to ``limit``; nothing once closed."""
        return [ReceivedMessage(one.pubsub_topic, one.waku_message) for one in await self._receiving.take(limit)]

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """
        Publish the envelopes, one after the other.

        Raises:
            TransportError: of one at least nobody said that it got it.
        """
        async with self._publishing:
            self._receiving.sent(envelopes)
            unheard = 0
            for envelope in envelopes:
                if self._receiving.closed:
                    raise TransportError("this end is closed")
                unheard += not await self._published(envelope)
        if unheard:
            self._count("rest_unconfirmed", unheard)
            raise TransportError(f"nobody confirmed {unheard} of {len(envelopes)} messages")
        if self._receiving.closed:
            raise TransportError("this end is closed")

    async def close(self) -> None:
        """Stop listening. Nothing more is received."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._receiving.close()
        await self._node.close()

    async def _published(self, envelope: Envelope) -> bool:
        try:
            body = rest.lightpush_body(envelope)
            answer = await self._node.ask(self._node.dialect.lightpush, body)
            if self._node.dialect.took(answer.status, answer.body):
                return True
            # Without a service node there is no lightpush; then the relay may still reach somebody.
            return answer.status in (404, 503) and await self._relayed(envelope)
        except (TransportError, WireError) as error:
            log.warning("a message was not published: %s", error)
            return False

    async def _relayed(self, envelope: Envelope) -> bool:
        """Publish on the relay, whose 200 says nothing, and return whether a store has the message now."""
        answer = await self._node.ask(rest.messages_path(envelope.pubsub_topic), rest.relay_body(envelope))
        if answer.status != rest.PUBLISHED:
            return False
        hashed = message_hash(envelope.pubsub_topic, wire.decode(WakuMessage, envelope.waku_message))
        for wait in CONFIRM:
            await self._clock.sleep(wait)
            answer = await self._node.ask(rest.presence_path(self._node.dialect, hashed))
            if answer.status == rest.PUBLISHED and rest.stored(answer.body):
                return True
        return False

    async def _subscribe(self) -> None:
        answer = await self._node.ask("/relay/v1/subscriptions", orjson.dumps(self._pubsub_topics))
        if answer.status != rest.PUBLISHED:
            raise TransportError(f"the node refuses to subscribe: {answer.status}")

    async def _listen(self) -> None:
        """Look for messages, sooner while some come; one request at a time."""
        wait, looked = SOONEST, self._clock.now()
        while True:
            try:
                came = await self._look()
            except (TransportError, Undecodable) as error:
                self._count("rest_failures", 1)
                log.warning("the node cannot be read: %s", error)
                wait = min(max(2 * wait, LATEST), BROKEN)
            except Exception:
                # A bug of ours with one answer must not silence the server.
                self._count("rest_failures", 1)
                log.exception("the node could not be read")
                wait = BROKEN
            else:
                now = self._clock.now()
                if now - looked > BLIND:
                    self._catching_up.soon()
                looked = now
                wait = SOONEST if came else min(2 * wait, LATEST)
            # The jitter keeps several servers on one node from looking in step.
            await self._clock.sleep(wait * (0.75 + self._random(1)[0] / 512))

    async def _look(self) -> int:
        """Hand on what the node keeps for us; return how many messages that were."""
        came = 0
        for pubsub_topic in self._pubsub_topics:
            answer = await self._node.ask(rest.messages_path(pubsub_topic))
            if answer.status in (400, 404):
                # It was started anew: what came meanwhile is in its store at best.
                await self._subscribe()
                self._catching_up.soon()
                continue
            if answer.status != rest.PUBLISHED:
                raise TransportError(f"the node answered {answer.status}")
            came += self._take(pubsub_topic, answer.body)
        return came

    def _take(self, pubsub_topic: PubsubTopic, body: bytes) -> int:
        try:
            messages, wrong = rest.read_messages(body)
        except Undecodable:
            self._catching_up.soon()  # the node has forgotten what it answered
            raise
        if wrong:
            self._count("rest_undecodable", wrong)
        for message in messages:
            self._receiving.arrived(pubsub_topic, message)
        if len(messages) >= CACHE and self._clock.now() - self._suspected > SUSPECT:
            self._suspected = self._clock.now()
            self._count("rest_cache_full", 1)
            self._catching_up.soon()
        return len(messages)
