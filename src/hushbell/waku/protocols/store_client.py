"""Store v3 as a client: queries the messages of a store node page by page (RFC 13)."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from hushbell import wire
from hushbell.errors import TooLarge, TransportError, WireError
from hushbell.ports.metrics import Count
from hushbell.types import PubsubTopic, Random
from hushbell.waku.libp2p.stream import PeerId, StreamHost
from hushbell.waku.message import message_hash
from hushbell.waku.protocols.request_ids import request_id
from hushbell.waku.protocols.request_response import RESPONSE_TIMEOUT, ask
from hushbell.waku.protocols.store import MAX_PAGE, MAX_TOPICS, PROTOCOL
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import StoreEntry, StoreRequest, StoreResponse
from hushbell.wire.messages import WakuMessage

MAX_RESPONSE = 7 * 1024 * 1024  # bytes; a host takes frames up to 8 MiB (libp2p.limits), nwaku answers with up to 15
MAX_PAGES = 10_000  # of one query; a store whose pages never end is at fault
CLIENT_PAGE = 50  # messages of one request


class QueryRefused(TransportError):
    """The store refused the query. ``status`` is RFC 13's."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the store refuses the query ({status})")
        self.status = status


@dataclass(frozen=True, slots=True)
class StoreMessage:
    """A message of a store. Its hash was computed here."""

    hash: bytes
    pubsub_topic: PubsubTopic
    content_topic: str
    timestamp: int  # ns
    waku_message: bytes = field(repr=False)


class StoreClient:
    """
    Queries stores. Responses are hostile input: messages that the query does not match are counted and dropped.

    Args:
        host: the node's.
        random: for request ids.
        count: ``store_client_*`` counters.
        message_limit: bytes of a message.
        seconds: for an answer.
    """

    def __init__(
        self, *, host: StreamHost, random: Random, count: Count, message_limit: int, seconds: float = RESPONSE_TIMEOUT
    ) -> None:
        self._host = host
        self._random = random
        self._count = count
        self._message_limit = message_limit
        self._seconds = seconds

    async def query(self, peer: PeerId, request: StoreRequest) -> StoreResponse:
        """
        Request one page, under a new request id.

        Raises:
            QueryRefused: the store refuses.
            TooLarge: the response is over :data:`MAX_RESPONSE`; request a smaller page.
            TransportError: no response, or one that is not understood.
        """
        named = replace(request, request_id=request_id(self._random))
        try:
            answer = await ask(
                self._host, peer, PROTOCOL, codecs.encode(named), limit=MAX_RESPONSE, seconds=self._seconds
            )
            response = codecs.decode(StoreResponse, answer, limit=MAX_RESPONSE)
        except TooLarge:
            raise
        except WireError as error:
            raise TransportError("the store's answer is not understood") from error
        status = response.status_code or 0
        if not 200 <= status < 300:
            raise QueryRefused(status)
        if response.request_id != named.request_id:
            raise TransportError("the store answered another query")
        return response

    async def pages(
        self,
        peer: PeerId,
        pubsub_topic: PubsubTopic,
        content_topics: Sequence[str],
        *,
        since: int,
        until: int | None = None,
        page: int = CLIENT_PAGE,
    ) -> AsyncIterator[Sequence[StoreMessage]]:
        """
        Yield the messages of these content topics, oldest first, page by page.

        Args:
            peer: the store.
            pubsub_topic: what they were published on.
            content_topics: at most 10, which is what nwaku takes.
            since: ns, inclusive.
            until: ns, exclusive; None is without end.
            page: messages of one page; halved while responses are too large.

        Raises:
            TransportError: as :meth:`query`, or a cursor comes twice. The pages yielded before are valid.
        """
        if not 0 < len(content_topics) <= MAX_TOPICS:
            raise ValueError(f"a query has 1 to {MAX_TOPICS} content topics")
        request = StoreRequest(
            include_data=True,
            pubsub_topic=pubsub_topic,
            content_topics=tuple(content_topics),
            time_start=since,
            time_end=until,
            forward=True,
            limit=min(page, MAX_PAGE),
        )
        cursors: set[bytes] = set()
        for _ in range(MAX_PAGES):
            found, cursor, request = await self.page(peer, request)
            if found:
                yield found
            if cursor is None:
                return
            if cursor in cursors:
                raise TransportError("the store repeats itself")
            cursors.add(cursor)
            request = replace(request, cursor=cursor)
        raise TransportError("the store does not come to an end")

    async def page(
        self, peer: PeerId, request: StoreRequest
    ) -> tuple[Sequence[StoreMessage], bytes | None, StoreRequest]:
        """
        Request one page with its messages, and check them.

        Returns:
            The messages that match; the cursor of the next page, None at the end; and the request with the page size
            that worked, for the next page.

        Raises:
            TransportError: as :meth:`query`, or a single message is over :data:`MAX_RESPONSE`.
        """
        while True:
            try:
                response = await self.query(peer, request)
            except TooLarge as error:
                if (request.limit or 1) <= 1:
                    raise TransportError("the store's answers are too large") from error
                request = replace(request, limit=(request.limit or 1) // 2)
                continue
            found = [one for entry in response.entries if (one := self._found(entry, request))]
            return found, (response.cursor or None) if response.entries else None, request

    async def present(self, peer: PeerId, hashes: Sequence[bytes]) -> frozenset[bytes]:
        """
        Return which of these messages, at most 100, the store has.

        Raises:
            TransportError: as :meth:`query`.
        """
        if not 0 < len(hashes) <= MAX_PAGE:
            raise ValueError(f"a query has 1 to {MAX_PAGE} hashes")
        request = StoreRequest(message_hashes=tuple(hashes), limit=len(hashes))
        try:
            response = await self.query(peer, request)
        except TooLarge as error:
            raise TransportError("the store's answer is not understood") from error
        return frozenset(hashes) & {entry.message_hash or b"" for entry in response.entries}

    def _found(self, entry: StoreEntry, request: StoreRequest) -> StoreMessage | None:
        found = checked(entry, request, self._message_limit)
        self._count("store_client_received" if found else "store_client_unwanted", 1)
        return found


def checked(entry: StoreEntry, request: StoreRequest, message_limit: int) -> StoreMessage | None:
    """Return the message of an entry, or None if it does not match ``request``."""
    shard = entry.pubsub_topic or request.pubsub_topic
    if entry.waku_message is None or not shard or request.pubsub_topic not in (None, shard):
        return None
    try:
        message = wire.decode(WakuMessage, entry.waku_message, limit=message_limit)
    except WireError:
        return None
    time = message.timestamp or 0
    if request.content_topics and message.content_topic not in request.content_topics:
        return None
    if time < (request.time_start or 0) or (request.time_end is not None and time >= request.time_end):
        return None
    name = message_hash(shard, message)
    if entry.message_hash not in (None, name):
        return None
    return StoreMessage(name, PubsubTopic(shard), message.content_topic, time, entry.waku_message)
