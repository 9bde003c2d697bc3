"""Store v3 as a client: ask a node that keeps messages for what we missed, page by page (RFC 13)."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from hushbell import wire
from hushbell.errors import TooLarge, TransportError, WireError
from hushbell.ports.metrics import Count
from hushbell.types import PubsubTopic, Random
from hushbell.waku.libp2p.stream import PeerId, StreamHost
from hushbell.waku.message import message_hash
from hushbell.waku.protocols.request_ids import request_id
from hushbell.waku.protocols.request_response import EXCHANGE, ask
from hushbell.waku.protocols.store import LONGEST_PAGE, PROTOCOL, TOPICS
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import StoreEntry, StoreRequest, StoreResponse
from hushbell.wire.messages import WakuMessage

RESPONSE = 7 * 1024 * 1024  # bytes; a host takes frames up to 8 MiB (libp2p.limits), nwaku answers with up to 15
PAGES = 10_000  # of one query; a store that never ends is not believed
FULL_PAGE = 50  # messages asked for at once


class QueryRefused(TransportError):
    """The store answered that it will not. ``status`` is RFC 13's."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the store refuses the query ({status})")
        self.status = status


@dataclass(frozen=True, slots=True)
class StoreMessage:
    """A message as a store had it; its hash was computed here."""

    hash: bytes
    pubsub_topic: PubsubTopic
    content_topic: str
    timestamp: int  # ns
    waku_message: bytes = field(repr=False)


class StoreClient:
    """
    Asks stores. Every answer is taken for hostile: what was not asked for is counted and dropped.

    Args:
        host: the node's.
        random: names requests.
        count: ``store_client_*`` counters.
        message_limit: bytes of a message.
        seconds: for an answer.
    """

    def __init__(
        self, *, host: StreamHost, random: Random, count: Count, message_limit: int, seconds: float = EXCHANGE
    ) -> None:
        self._host = host
        self._random = random
        self._count = count
        self._message_limit = message_limit
        self._seconds = seconds

    async def query(self, peer: PeerId, request: StoreRequest) -> StoreResponse:
        """
        Ask for one page; the request is given an id.

        Raises:
            QueryRefused: the store will not.
            TooLarge: the answer is over :data:`RESPONSE`; ask for a smaller page.
            TransportError: no answer, or none that is understood.
        """
        named = replace(request, request_id=request_id(self._random))
        try:
            answer = await ask(self._host, peer, PROTOCOL, codecs.encode(named), limit=RESPONSE, seconds=self._seconds)
            response = codecs.decode(StoreResponse, answer, limit=RESPONSE)
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
        page: int = FULL_PAGE,
    ) -> AsyncIterator[Sequence[StoreMessage]]:
        """
        Yield the messages of these content topics, oldest first, page by page.

        Args:
            peer: the store.
            pubsub_topic: what they were published on.
            content_topics: at most 10, which is what nwaku takes.
            since: ns, inclusive.
            until: ns, exclusive; None is without end.
            page: messages of one page; halved while answers are too large.

        Raises:
            TransportError: as :meth:`query`, or the store goes in circles. What was yielded before is good.
        """
        if not 0 < len(content_topics) <= TOPICS:
            raise ValueError(f"a query has 1 to {TOPICS} content topics")
        request = StoreRequest(
            include_data=True,
            pubsub_topic=pubsub_topic,
            content_topics=tuple(content_topics),
            time_start=since,
            time_end=until,
            forward=True,
            limit=min(page, LONGEST_PAGE),
        )
        cursors: set[bytes] = set()
        for _ in range(PAGES):
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
        Ask for one page with its messages, which are checked.

        Returns:
            What was asked for and came; the cursor to go on with, None at the end; and the request with the page size
            that worked, for the next page.

        Raises:
            TransportError: as :meth:`query`, or a single message is over :data:`RESPONSE`.
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
        if not 0 < len(hashes) <= LONGEST_PAGE:
            raise ValueError(f"a query has 1 to {LONGEST_PAGE} hashes")
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
    """Return the message of an entry, or None if it is not what ``request`` asked for."""
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
