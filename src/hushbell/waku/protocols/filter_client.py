"""Filter v2 as a client: subscribes to topics at service nodes (RFC 12)."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice

from hushbell import wire
from hushbell.errors import TransportError, WireError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.types import PubsubTopic, Random
from hushbell.waku.libp2p.stream import PeerId, Stream, StreamHost
from hushbell.waku.message import RawMessage
from hushbell.waku.protocols.filter import PROTOCOL
from hushbell.waku.protocols.filter_push import PROTOCOL as PUSH
from hushbell.waku.protocols.filter_table import Criterion
from hushbell.waku.protocols.request_ids import request_id
from hushbell.waku.protocols.request_response import RESPONSE_TIMEOUT, ask
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import FilterKind, FilterPush, FilterRequest, FilterResponse, Status
from hushbell.wire.messages import WakuMessage

MAX_RESPONSE = 16 * 1024  # bytes
MAX_OVERHEAD = 1024  # bytes of a push besides the message
MAX_TOPICS = 100  # content topics of one request; nwaku takes no more
PING_INTERVAL = 60.0  # seconds; services forget a subscription after five minutes
MAX_PING_FAILURES = 2  # pings without an answer after which a service is given up


class FilterClient:
    """
    Subscribes at service nodes and passes on the messages that they push.

    A push from a peer without a subscription, or of another topic, is counted and dropped.

    Args:
        host: the node's.
        clock: time.
        random: for request ids.
        on_message: called with each message, duplicates included.
        count: ``filter_client_*`` counters.
        message_limit: bytes of a message.
        on_lost: called with a service that no longer answers; its subscriptions are forgotten.
        seconds: for an answer.
    """

    def __init__(
        self,
        *,
        host: StreamHost,
        clock: Clock,
        random: Random,
        on_message: Callable[[RawMessage], None],
        count: Count,
        message_limit: int,
        on_lost: Callable[[PeerId], None] | None = None,
        seconds: float = RESPONSE_TIMEOUT,
    ) -> None:
        self._host = host
        self._clock = clock
        self._random = random
        self._on_message = on_message
        self._count = count
        self._message_limit = message_limit
        self._on_lost = on_lost
        self._seconds = seconds
        self._criteria_by_peer: dict[PeerId, set[Criterion]] = {}
        self._failures: dict[PeerId, int] = {}
        host.handle(PUSH, self._on_push_stream)

    def subscribed(self, peer: PeerId) -> Collection[Criterion]:
        """Return the subscriptions at a service."""
        return frozenset(self._criteria_by_peer.get(peer, ()))

    async def subscribe(self, peer: PeerId, pubsub_topic: str, content_topics: Collection[str]) -> None:
        """
        Ask a service to push messages of these topics from now on, until :meth:`unsubscribe`.

        Raises:
            TransportError: it refused, or did not answer; batches that it accepted before stay subscribed.
        """
        for some in _batches(content_topics):
            # Noted before the response arrives: the first push may overtake it.
            new = {(pubsub_topic, topic) for topic in some} - self._criteria_by_peer.get(peer, set())
            self._criteria_by_peer.setdefault(peer, set()).update(new)
            try:
                await self._request_checked(peer, FilterKind.SUBSCRIBE, pubsub_topic, some)
            except BaseException:
                self._forget(peer, new)
                raise

    async def unsubscribe(self, peer: PeerId, pubsub_topic: str, content_topics: Collection[str]) -> None:
        """
        Ask a service to stop pushing messages of these topics. They are dropped from now on, also if it refuses.

        Raises:
            TransportError: it refused, or did not answer.
        """
        self._forget(peer, {(pubsub_topic, topic) for topic in content_topics})
        for some in _batches(content_topics):
            await self._request_checked(peer, FilterKind.UNSUBSCRIBE, pubsub_topic, some)

    async def unsubscribe_all(self, peer: PeerId) -> None:
        """
        Ask a service to push nothing more. Its pushes are dropped from now on, also if it refuses.

        Raises:
            TransportError: it refused, or did not answer.
        """
        self._forget(peer, self._criteria_by_peer.get(peer, set()).copy())
        await self._request_checked(peer, FilterKind.UNSUBSCRIBE_ALL)

    async def ping(self, peer: PeerId) -> bool:
        """
        Keep the subscription alive and return whether the service has one.

        Raises:
            TransportError: it did not answer, or refused.
        """
        response = await self._ask(peer, FilterKind.PING)
        if response.status_code == Status.NOT_FOUND:
            return False
        _check(response)
        return True

    async def run(self) -> None:
        """Ping every service until cancelled, and subscribe again where the subscription was lost."""
        while True:
            await self._clock.sleep(PING_INTERVAL)
            await asyncio.gather(*(self._keep(peer) for peer in list(self._criteria_by_peer)))

    async def _keep(self, peer: PeerId) -> None:
        try:
            if not await self.ping(peer):
                self._count("filter_client_resubscribed", 1)
                await self._subscribe_again(peer)
        except TransportError:
            self._failures[peer] = self._failures.get(peer, 0) + 1
            self._count("filter_client_ping_failed", 1)
            if self._failures[peer] >= MAX_PING_FAILURES:
                self._forget(peer, self._criteria_by_peer.get(peer, set()).copy())
                if self._on_lost is not None:
                    self._on_lost(peer)
        else:
            self._failures.pop(peer, None)

    async def _subscribe_again(self, peer: PeerId) -> None:
        by_shard: dict[str, list[str]] = {}
        for pubsub_topic, content_topic in self._criteria_by_peer.get(peer, ()):
            by_shard.setdefault(pubsub_topic, []).append(content_topic)
        for pubsub_topic, content_topics in by_shard.items():
            for some in _batches(content_topics):
                await self._request_checked(peer, FilterKind.SUBSCRIBE, pubsub_topic, some)

    async def _request_checked(
        self, peer: PeerId, kind: FilterKind, pubsub_topic: str | None = None, content_topics: Sequence[str] = ()
    ) -> None:
        _check(await self._ask(peer, kind, pubsub_topic, content_topics))

    async def _ask(
        self, peer: PeerId, kind: FilterKind, pubsub_topic: str | None = None, content_topics: Sequence[str] = ()
    ) -> FilterResponse:
        request = FilterRequest(request_id(self._random), kind, pubsub_topic, tuple(content_topics))
        try:
            answer = await ask(
                self._host, peer, PROTOCOL, codecs.encode(request), limit=MAX_RESPONSE, seconds=self._seconds
            )
            response = codecs.decode(FilterResponse, answer, limit=MAX_RESPONSE)
        except WireError as error:
            raise TransportError("the filter service's answer is not understood") from error
        if response.request_id != request.request_id and 200 <= response.status_code < 300:
            raise TransportError("the filter service answered another request")
        return response

    async def _on_push_stream(self, stream: Stream) -> None:
        """Read pushes until the stream ends. Some services open a stream for each push, others one for all."""
        if stream.peer not in self._criteria_by_peer:
            self._count("filter_client_unwanted", 1)
            stream.reset()
            return
        try:
            while stream.peer in self._criteria_by_peer:
                self._receive(stream.peer, await stream.read_frame(self._message_limit + MAX_OVERHEAD))
            stream.reset()
        except TransportError:
            return
        except WireError:
            # The end of the stream after the last frame is reported as a missing length, too.
            stream.close_write()

    def _receive(self, peer: PeerId, frame: bytes) -> None:
        push = codecs.decode(FilterPush, frame, limit=self._message_limit + MAX_OVERHEAD)
        message = wire.decode(WakuMessage, push.waku_message, limit=self._message_limit)
        if (push.pubsub_topic or "", message.content_topic) not in self._criteria_by_peer.get(peer, ()):
            self._count("filter_client_unwanted", 1)
            return
        self._count("filter_client_received", 1)
        self._on_message(RawMessage(PubsubTopic(push.pubsub_topic or ""), push.waku_message, message))

    def _forget(self, peer: PeerId, criteria: set[Criterion]) -> None:
        if known := self._criteria_by_peer.get(peer):
            known -= criteria
            if not known:
                del self._criteria_by_peer[peer]
                self._failures.pop(peer, None)


def _check(response: FilterResponse) -> None:
    if not 200 <= response.status_code < 300:
        raise TransportError(f"the filter service refuses with status {response.status_code}")


def _batches(topics: Collection[str]) -> Iterator[tuple[str, ...]]:
    left = iter(topics)
    while some := tuple(islice(left, MAX_TOPICS)):
        yield some
