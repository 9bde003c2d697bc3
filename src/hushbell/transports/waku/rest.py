"""
The transport port on an operator's nwaku or go-waku and its REST API.

The node returns each message once, from a small cache that strangers can push honest messages out of; so its store is
queried as well. Its 200 for a published message says nothing about other nodes: only lightpush does, or a store that
has the message.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from hushbell import wire
from hushbell.errors import TransportError, Undecodable, WireError
from hushbell.http.client import fetch
from hushbell.ports.clock import Clock
from hushbell.ports.http import HttpClient, HttpFailure, HttpRequest, HttpResponse
from hushbell.ports.metrics import Count
from hushbell.transports.waku import rest_dialects as rest
from hushbell.transports.waku.queue_transport import QueueTransport
from hushbell.types import ContentTopic, Envelope, Millis, PubsubTopic, Random
from hushbell.waku.history import MAX_PAGE, HistoryPage
from hushbell.waku.inbox.message_queue import MessageQueue
from hushbell.waku.inbox.missing_messages import MissingMessages
from hushbell.waku.message import message_hash
from hushbell.wire.messages import WakuMessage

MIN_POLL_INTERVAL = 0.05  # seconds, while messages arrive
MAX_POLL_INTERVAL = 0.5  # seconds, while none do
RESPONSE_TIMEOUT = 10.0  # seconds; nodes give up after 5 themselves
MAX_RETRY_INTERVAL = 5.0  # seconds, while the node does not answer
OVERFLOW_MILLIS = 2_500  # without a poll, after which the cache may have overflowed: 50 messages at 20 a second
CACHE = 50  # messages in nwaku's cache by default
CONFIRM_DELAYS = (0.3, 0.7, 2.0)  # seconds before each query whether a store has a published message
MAX_RESPONSE = 96 * 1024 * 1024  # bytes; nwaku's default cache, if all its messages are large
FULL_CACHE_MILLIS = 10_000  # between two queries to the store because the cache was full

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RestHealth:
    """The node's own report."""

    ready: bool
    report: str  # its own status, such as READY


class RestNode:
    """
    Requests to one node.

    Args:
        http: sends them; should read responses up to :data:`MAX_RESPONSE`.
        url: of the node, without a path.
        dialect: the REST API that it has.
    """

    def __init__(self, http: HttpClient, url: str, dialect: Literal["nwaku", "go-waku"]) -> None:
        self.name = "rest"
        self.dialect = rest.DIALECTS[dialect]
        self.is_own = False
        self.has_whole_shards = self.dialect.has_whole_shards
        self._http = http
        self._url = url.rstrip("/")

    async def request(self, path: str, body: bytes | None = None) -> HttpResponse:
        """
        Return the node's response to a GET, or with a body to a POST of JSON.

        Raises:
            TransportError: none came.
        """
        headers = (("accept", "application/json"), ("content-type", "application/json"))
        request = HttpRequest(
            self._url + path, headers, body or b"", timeout=RESPONSE_TIMEOUT, method="GET" if body is None else "POST"
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
        """Return a page of its store, or of a store that it queries. Raises TransportError, Undecodable."""
        size = MAX_PAGE
        while True:
            path = rest.store_path(self.dialect, pubsub_topic, content_topics, since, cursor, size=size)
            answer = await self.request(path)
            if answer.status != rest.PUBLISHED:
                raise TransportError(f"the node's store answered {answer.status}")
            try:
                return self.dialect.page(answer.body)
            except Undecodable:
                # A page of large messages is longer than the bound of a response.
                size //= 10
                if not size:
                    raise

    async def health(self) -> RestHealth:
        """Return the node's own report. A node without one that is understood is ready if it answers."""
        try:
            answer = await self.request("/health")
        except TransportError:
            return RestHealth(ready=False, report="no answer")
        try:
            body = orjson.loads(answer.body)
        except ValueError:
            body = None
        status = body.get("nodeHealth") if isinstance(body, dict) else body
        if answer.status == rest.PUBLISHED and isinstance(status, str):
            return RestHealth(ready=status in ("READY", "Node is healthy"), report=status[:100])
        return RestHealth(ready=answer.status == 501, report=f"status {answer.status}")  # go-waku without RLN

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


class RestTransport(QueueTransport):
    """
    A ``Transport``. Its tasks begin with ``start``.

    Args:
        node: messages are read from it and published by it.
        queue: the messages that arrived.
        missing: queries the node's store for messages that its cache lost.
        clock: the time.
        random: jitter between two polls.
        count: ``rest_*`` counters.
        pubsub_topics: the shards to subscribe to.
    """

    def __init__(
        self,
        *,
        node: RestNode,
        queue: MessageQueue,
        missing: MissingMessages,
        clock: Clock,
        random: Random,
        count: Count,
        pubsub_topics: Sequence[PubsubTopic],
    ) -> None:
        super().__init__(queue, node.close)
        self._node = node
        self._missing = missing
        self._clock = clock
        self._random = random
        self._count = count
        self._pubsub_topics = tuple(pubsub_topics)
        self._full_at = Millis(0)  # when the cache was found full
        self._publishing = asyncio.Lock()
        queue.on_room = missing.request_round

    async def start(self) -> None:
        """
        Subscribe, poll the node, and query its store.

        Raises:
            TransportError: the node does not answer or refuses.
        """
        await self._subscribe()
        self._run(self._queue.save_regularly(), self._missing.run(), self._poll())

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """
        Publish the envelopes, one after the other.

        Raises:
            TransportError: the publication of at least one was not confirmed.
        """
        async with self._publishing:
            self._queue.mark_published(envelopes)
            unconfirmed = 0
            for envelope in envelopes:
                if self._queue.is_closed:
                    raise TransportError("the transport is closed")
                unconfirmed += not await self._publish(envelope)
        if unconfirmed:
            self._count("rest_unconfirmed", unconfirmed)
            raise TransportError(f"nobody confirmed {unconfirmed} of {len(envelopes)} messages")
        if self._queue.is_closed:
            raise TransportError("the transport is closed")

    async def _publish(self, envelope: Envelope) -> bool:
        try:
            message = wire.decode(WakuMessage, envelope.waku_message)
            body = rest.lightpush_body(envelope.pubsub_topic, message)
            response = await self._node.request(self._node.dialect.lightpush, body)
            if self._node.dialect.is_published(response.status, response.body):
                return True
            # Without a service node there is no lightpush; then the relay may still reach a peer.
            return response.status in (404, 503) and await self._relay(envelope.pubsub_topic, message)
        except (TransportError, WireError) as error:
            log.warning("a message was not published: %s", error)
            return False

    async def _relay(self, pubsub_topic: PubsubTopic, message: WakuMessage) -> bool:
        """Publish on the relay, whose 200 says nothing, and return whether a store has the message now."""
        answer = await self._node.request(rest.messages_path(pubsub_topic), rest.relay_body(message))
        if answer.status != rest.PUBLISHED:
            return False
        hashed = message_hash(pubsub_topic, message)
        for wait in CONFIRM_DELAYS:
            await self._clock.sleep(wait)
            answer = await self._node.request(rest.presence_path(self._node.dialect, hashed))
            if answer.status == rest.PUBLISHED and rest.is_stored(answer.body):
                return True
        return False

    async def _subscribe(self) -> None:
        answer = await self._node.request("/relay/v1/subscriptions", orjson.dumps(self._pubsub_topics))
        if answer.status != rest.PUBLISHED:
            raise TransportError(f"the node refuses to subscribe: {answer.status}")

    async def _poll(self) -> None:
        """Read messages at an interval that is shorter while some arrive; one request at a time."""
        wait, polled_at = MIN_POLL_INTERVAL, self._clock.now()
        while True:
            try:
                number = await self._read_all()
            except (TransportError, Undecodable) as error:
                self._count("rest_failures", 1)
                log.warning("the node cannot be read: %s", error)
                wait = min(max(2 * wait, MAX_POLL_INTERVAL), MAX_RETRY_INTERVAL)
            except Exception:
                # A bug in this program that one response triggers must not end the polling.
                self._count("rest_failures", 1)
                log.exception("the node could not be read")
                wait = MAX_RETRY_INTERVAL
            else:
                now = self._clock.now()
                if now - polled_at > OVERFLOW_MILLIS:
                    self._missing.request_round()
                polled_at = now
                wait = MIN_POLL_INTERVAL if number else min(2 * wait, MAX_POLL_INTERVAL)
            # The jitter keeps several servers on one node from polling in step.
            await self._clock.sleep(wait * (0.75 + self._random(1)[0] / 512))

    async def _read_all(self) -> int:
        """Queue the messages of all shards and return their number."""
        number = 0
        for pubsub_topic in self._pubsub_topics:
            answer = await self._node.request(rest.messages_path(pubsub_topic))
            if answer.status in (400, 404):
                # The node was restarted: what arrived meanwhile is at best in its store.
                await self._subscribe()
                self._missing.request_round()
                continue
            if answer.status != rest.PUBLISHED:
                raise TransportError(f"the node answered {answer.status}")
            number += self._add(pubsub_topic, answer.body)
        return number

    def _add(self, pubsub_topic: PubsubTopic, body: bytes) -> int:
        try:
            messages, undecodable = rest.read_messages(pubsub_topic, body)
        except Undecodable:
            self._missing.request_round()  # the node does not return them again
            raise
        if undecodable:
            self._count("rest_undecodable", undecodable)
        for message in messages:
            self._queue.add(message)
        if len(messages) >= CACHE and self._clock.now() - self._full_at > FULL_CACHE_MILLIS:
            self._full_at = self._clock.now()
            self._count("rest_cache_full", 1)
            self._missing.request_round()
        return len(messages)
