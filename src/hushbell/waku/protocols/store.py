"""Store v3 as a service: answers queries with pages of the archive (RFC 13)."""

from hushbell.errors import StoreError, WireError
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.waku.libp2p.stream import PeerId, StreamHost
from hushbell.waku.protocols.archive import Archive
from hushbell.waku.protocols.rate_limit import RateLimit, RateLimiter
from hushbell.waku.protocols.request_response import RESPONSE_TIMEOUT, Service
from hushbell.waku.protocols.store_db import FIRST, LAST, ArchivePage, ArchivePosition, ArchiveQuery
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import Status, StoreEntry, StoreRequest, StoreResponse

PROTOCOL = "/vac/waku/store-query/3.0.0"
MAX_REQUEST = 64 * 1024  # bytes; 1,000 hashes are 34 KiB
DEFAULT_PAGE, MAX_PAGE = 20, 100  # messages, by default and at most; as nwaku's
PAGE_BYTES = 1024 * 1024  # of messages; the one that crosses it is the page's last. js-waku reads at most 4 MiB
MAX_TOPICS = 10  # content topics of one query; as nwaku's
MAX_HASHES = 1_000  # of one query
MAX_RESPONSES = 32  # answers being given, two MiB each at worst
MAX_RESPONSES_PER_PEER = 4
RATE = RateLimit(per_minute=1_800, burst=300)  # queries of one peer


def refusal(request: StoreRequest) -> str:
    """
    Return the first rule of RFC 13 that a query breaks, or an empty text.

    One is relaxed: hashes may come with a pubsub topic, because js-waku always sends it.
    """
    if not request.request_id:
        return "no request id"
    has_times = request.time_start is not None or request.time_end is not None
    if request.message_hashes:
        if request.content_topics or has_times:
            return "hashes and other criteria exclude each other"
        if len(request.message_hashes) > MAX_HASHES:
            return f"more than {MAX_HASHES} hashes"
        if any(len(one) != 32 for one in request.message_hashes):
            return "a hash is 32 bytes"
    elif bool(request.pubsub_topic) != bool(request.content_topics):
        return "a pubsub topic and content topics go together"
    if len(request.content_topics) > MAX_TOPICS:
        return f"more than {MAX_TOPICS} content topics"
    if request.cursor and len(request.cursor) != 32:
        return "a cursor is 32 bytes"
    return ""


def archive_query(request: StoreRequest, after: ArchivePosition | None = None) -> ArchiveQuery:
    """
    Return a valid request as a query of the archive.

    Its start is inclusive, its end exclusive. ``after`` is its cursor.
    """
    end = request.time_end
    return ArchiveQuery(
        pubsub_topic=request.pubsub_topic or None,
        content_topics=request.content_topics,
        hashes=request.message_hashes,
        since=FIRST if request.time_start is None else request.time_start,
        until=LAST if end is None else max(FIRST, end - 1),
        after=after,
        forward=request.forward,
    )


def response(request: StoreRequest, page: ArchivePage) -> StoreResponse:
    """
    Return the response with a page.

    Its cursor, the message next to the following page, is set only if there is one.
    """
    entries = tuple(
        [
            StoreEntry(one.hash, one.message, one.pubsub_topic) if request.include_data else StoreEntry(one.hash)
            for one in page.messages
        ]
    )
    cursor = None
    if page.has_more and page.messages:
        cursor = page.messages[-1 if request.forward else 0].hash
    return StoreResponse(request.request_id, Status.OK, "OK", entries, cursor)


class StoreService:
    """
    Answers queries.

    Args:
        host: the node's.
        clock: time.
        archive: the messages.
        count: ``store_*`` counters.
        rate: queries of one peer.
        seconds: for an answer.
    """

    def __init__(
        self,
        *,
        host: StreamHost,
        clock: Clock,
        archive: Archive,
        count: Count,
        rate: RateLimit = RATE,
        seconds: float = RESPONSE_TIMEOUT,
    ) -> None:
        self._clock = clock
        self._archive = archive
        self._count = count
        self._rate_limiter = RateLimiter(rate)
        Service(
            host=host,
            protocol=PROTOCOL,
            answer=self._answer,
            name="store",
            limit=MAX_REQUEST,
            count=count,
            max_responses=MAX_RESPONSES,
            max_per_peer=MAX_RESPONSES_PER_PEER,
            seconds=seconds,
        )

    async def _answer(self, peer: PeerId, request: bytes, is_busy: bool) -> bytes:  # noqa: FBT001
        try:
            asked = codecs.decode(StoreRequest, request, limit=MAX_REQUEST)
        except WireError:
            self._count("store_refused", 1)
            return codecs.encode(StoreResponse("", Status.BAD_REQUEST, "not a store query"))
        if is_busy or not self._rate_limiter.allows(peer, self._clock.now()):
            self._count("store_rate_limited", 1)
            return _refused(asked, Status.TOO_MANY_REQUESTS, "too many requests")
        if broken := refusal(asked):
            self._count("store_refused", 1)
            return _refused(asked, Status.BAD_REQUEST, broken)
        limit = min(asked.limit or DEFAULT_PAGE, MAX_PAGE)
        size = PAGE_BYTES if asked.include_data else LAST
        try:
            page = await self._archive.page(archive_query(asked), cursor=asked.cursor or None, limit=limit, size=size)
        except StoreError:
            self._count("store_failed", 1)
            return _refused(asked, Status.UNAVAILABLE, "the archive does not answer")
        if page is None:
            self._count("store_refused", 1)
            return _refused(asked, Status.BAD_REQUEST, "invalid cursor")
        self._count("store_answered", len(page.messages))
        return codecs.encode(response(asked, page))


def _refused(request: StoreRequest, status: Status, description: str) -> bytes:
    return codecs.encode(StoreResponse(request.request_id, status, description))
