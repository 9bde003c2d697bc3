"""
Waku's services, fuzzed: requests that strangers send, and answers of services that we ask.

The law is that of ``targets``: hostile bytes end in a value or an error of ours.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from hushbell.errors import WireError
from hushbell.types import Millis
from hushbell.waku.discovery import enr
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.message import message_hash
from hushbell.waku.protocols import store
from hushbell.waku.protocols.filter_table import FilterLimits, FilterTable
from hushbell.waku.protocols.lightpush import refusal
from hushbell.waku.protocols.store_client import checked
from hushbell.waku.protocols.store_db import ArchiveDatabase, ArchivedMessage
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import FilterRequest, Status, StoreRequest, StoreResponse
from hushbell.wire import decode, encode
from hushbell.wire.messages import WakuMessage

LIMIT = 64 * 1024
SHARD, TOPIC = "/waku/2/rs/16/32", "/waku/1/0x69bc8983/rfc26"
LIMITS = FilterLimits(peers=3, criteria=8, topics=4, ttl=1_000, away=100, topic=32)


def _archive() -> ArchiveDatabase:
    database = ArchiveDatabase.open(Path(tempfile.mkdtemp()) / "archive.db")
    messages = []
    for number in range(40):
        message = WakuMessage(payload=bytes([number]), content_topic=TOPIC[: 4 + number % 3], timestamp=number // 3)
        hash_ = message_hash(SHARD, message)
        messages.append(ArchivedMessage(hash_, number // 3, SHARD, message.content_topic, encode(message)))
    database.insert(messages)
    return database


DATABASE = _archive()


def messages(data: bytes) -> None:
    """Every request and answer; what decodes is encoded, and decodes to the same."""
    for kind in codecs.KINDS:
        with suppress(WireError):
            value: object = codecs.decode(kind, data, limit=LIMIT)
            assert codecs.decode(kind, codecs.encode(value), limit=2 * LIMIT + 64) == value


def queries(data: bytes) -> None:
    """A store query, answered from an archive; every page is within its bounds, in order, and goes on."""
    with suppress(WireError):
        request = codecs.decode(StoreRequest, data, limit=LIMIT)
        if store.refusal(request):
            return
        wanted = store.archive_query(request)
        place = DATABASE.place(request.cursor or b"")
        if place is not None:
            wanted = store.archive_query(request, after=place)
        limit = min(request.limit or store.DEFAULT_PAGE, store.MAX_PAGE)
        page = DATABASE.page(wanted, limit=limit, size=100)
        places = [(one.timestamp, one.hash) for one in page.messages]
        assert len(places) <= limit
        assert places == sorted(set(places))
        assert all(wanted.since <= time <= wanted.until for time, _ in places) or request.message_hashes
        answer = store.response(request, page)
        assert (answer.cursor is not None) == page.has_more
        codecs.encode(answer)


def answers(data: bytes) -> None:
    """What a store answered; what is believed is what was asked for."""
    asked = StoreRequest(pubsub_topic=SHARD, content_topics=(TOPIC,), time_start=10, time_end=2**62)
    with suppress(WireError):
        for entry in codecs.decode(StoreResponse, data, limit=LIMIT).entries:
            found = checked(entry, asked, LIMIT)
            assert found is None or (found.content_topic == TOPIC and 10 <= found.timestamp < 2**62)


def filters(data: bytes) -> None:
    """Requests of several peers, cut from the bytes; the table stays within its limits."""
    table, now = FilterTable(LIMITS), 0
    for piece in _pieces(data):
        now += piece[0]
        peer = PeerId(bytes([piece[0] % 5]))
        with suppress(WireError):
            request = codecs.decode(FilterRequest, piece[1:], limit=LIMIT)
            status, _ = table.answer(peer, request, Millis(now), (SHARD,))
            assert status in set(Status)
        other = PeerId(bytes([piece[0] % 7]))
        if piece[0] % 2:
            table.on_connected(other)
        else:
            table.on_disconnected(other, Millis(now))
        assert len(table) <= LIMITS.peers
        assert all(len(table.criteria(PeerId(bytes([number])))) <= LIMITS.criteria for number in range(5))
    table.expire(Millis(now + LIMITS.ttl))
    assert len(table) == 0
    assert not table.wants(SHARD, TOPIC)


def pushes(data: bytes) -> None:
    """A message that somebody wants published; what is not refused can be relayed."""
    if refusal(SHARD, data, served={SHARD}, limit=LIMIT) is None:
        message = decode(WakuMessage, data, limit=LIMIT)
        assert message.payload
        assert message.content_topic


def records(data: bytes) -> None:
    """A node's record."""
    with suppress(WireError):
        assert len(enr.read(data).addresses) <= enr.MAX_ADDRESSES
    with suppress(WireError):
        enr.read_text(data.decode("latin-1"))


def _pieces(data: bytes) -> Iterator[bytes]:
    """Cut at lengths that the bytes give, at most 32 pieces, none empty."""
    for _ in range(32):
        if not data:
            return
        size = 1 + data[0]
        yield data[:size]
        data = data[size:]


TARGETS: dict[str, Callable[[bytes], None]] = {
    "messages": messages,
    "queries": queries,
    "answers": answers,
    "filters": filters,
    "pushes": pushes,
    "records": records,
}
