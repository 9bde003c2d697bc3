"""Store, both ends: queries, pages and what is refused (RFC 13)."""

from typing import Any

import pytest

from hushbell.errors import TransportError
from hushbell.waku.history import History
from hushbell.waku.message import RawMessage
from hushbell.waku.protocols.archive import Archive
from hushbell.waku.protocols.rate_limit import RateLimit
from hushbell.waku.protocols.store import MAX_HASHES, PROTOCOL, StoreService
from hushbell.waku.protocols.store_client import QueryRefused, StoreClient
from hushbell.waku.protocols.store_history import StoreHistory
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import StoreEntry, StoreRequest, StoreResponse

LIMIT = 1 << 20
OTHER = "/waku/1/0x00000001/rfc26"


@pytest.fixture
def server(net: Any, archive: Archive) -> Any:
    host = net.host("server")
    StoreService(host=host, clock=net.clock, archive=archive, count=net.count, seconds=5)
    return host


@pytest.fixture
def client(net: Any, server: Any) -> StoreClient:
    phone = net.host("phone", server)
    return StoreClient(host=phone, random=net.random, count=net.count, message_limit=LIMIT, seconds=5)


def fill(net: Any, archive: Archive, number: int = 25) -> list[bytes]:
    messages = [net.message(place, topic=net.topic if place % 2 else OTHER) for place in range(number)]
    for message in reversed(messages):
        archive.put(RawMessage(net.shard, message))
    return messages


async def raw(client: StoreClient, server: Any, **fields: Any) -> StoreResponse:
    return await client.query(server.peer_id, StoreRequest(**fields))


@pytest.mark.parametrize("page", [1, 3, 7, 100])
async def test_paging_brings_every_message_in_order(
    net: Any, archive: Archive, client: StoreClient, server: Any, page: int
) -> None:
    messages = fill(net, archive)

    pages = [
        [one.waku_message for one in found]
        async for found in client.pages(server.peer_id, net.shard, [net.topic, OTHER], since=0, page=page)
    ]

    assert [message for found in pages for message in found] == messages
    assert max(map(len, pages)) <= page


async def test_a_page_backwards_is_in_forward_order_and_its_cursor_is_the_first(
    net: Any, archive: Archive, client: StoreClient, server: Any
) -> None:
    messages = fill(net, archive)

    last = await raw(client, server, include_data=True, limit=10)
    before = await raw(client, server, include_data=True, limit=10, cursor=last.cursor)
    rest = await raw(client, server, include_data=True, limit=10, cursor=before.cursor)

    assert [[entry.waku_message for entry in one.entries] for one in (rest, before, last)] == [
        messages[:5],
        messages[5:15],
        messages[15:],
    ]
    assert last.cursor == last.entries[0].message_hash
    assert rest.cursor is None


async def test_an_exactly_full_last_page_has_no_cursor(
    net: Any, archive: Archive, client: StoreClient, server: Any
) -> None:
    fill(net, archive, 10)

    page = await raw(client, server, forward=True, limit=10)

    assert (len(page.entries), page.cursor) == (10, None)


@pytest.mark.parametrize("limit,given", [(None, 20), (0, 20), (5, 5), (100, 100), (101, 100), (2**64 - 1, 100)])
async def test_the_service_says_how_long_a_page_is(
    net: Any, archive: Archive, client: StoreClient, limit: int | None, given: int
) -> None:
    fill(net, archive, 110)

    assert len((await raw(client, net.hosts[b"server"], limit=limit)).entries) == given


async def test_data_comes_only_if_asked_for(net: Any, archive: Archive, client: StoreClient, server: Any) -> None:
    (message,) = fill(net, archive, 1)

    without = await raw(client, server)
    with_data = await raw(client, server, include_data=True)

    name = without.entries[0].message_hash
    assert without.entries == (StoreEntry(name),)
    assert with_data.entries == (StoreEntry(name, message, net.shard),)


async def test_the_start_is_inclusive_and_the_end_is_not(
    net: Any, archive: Archive, client: StoreClient, server: Any
) -> None:
    messages = fill(net, archive)
    start = net.clock.now() * 1_000_000

    found = await raw(
        client, server, include_data=True, time_start=start + 3_000_000, time_end=start + 6_000_000, forward=True
    )
    empty = await raw(client, server, time_end=-(2**63))

    assert [entry.waku_message for entry in found.entries] == messages[3:6]
    assert empty.entries == ()


async def test_presence_is_asked_by_hash(net: Any, archive: Archive, client: StoreClient, server: Any) -> None:
    fill(net, archive, 5)
    names = [entry.message_hash or b"" for entry in (await raw(client, server)).entries]

    present = await client.present(server.peer_id, [names[1], bytes(32), names[3]])
    of_js_waku = await raw(client, server, message_hashes=(names[0],), pubsub_topic=net.shard)
    elsewhere = await raw(client, server, message_hashes=(names[0],), pubsub_topic="/waku/2/rs/1/0")

    assert present == {names[1], names[3]}
    assert len(of_js_waku.entries) == 1
    assert elsewhere.entries == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"pubsub_topic": "/waku/2/rs/16/32"},
        {"content_topics": ("/a",)},
        {"message_hashes": (bytes(32),), "content_topics": ("/a",), "pubsub_topic": "/waku/2/rs/16/32"},
        {"message_hashes": (bytes(32),), "time_start": 0},
        {"message_hashes": (bytes(31),)},
        {"message_hashes": (bytes(32),) * (MAX_HASHES + 1)},
        {"pubsub_topic": "/waku/2/rs/16/32", "content_topics": ("/a",) * 11},
        {"cursor": bytes(31)},
        {"cursor": b"\1" * 32},
    ],
    ids=",".join,
)
async def test_a_query_against_the_rules_is_refused(
    net: Any, client: StoreClient, server: Any, fields: dict[str, Any]
) -> None:
    with pytest.raises(QueryRefused) as refused:
        await raw(client, server, **fields)

    assert refused.value.status == 400


async def test_a_page_is_cut_by_its_bytes_and_nothing_is_lost(
    net: Any, archive: Archive, client: StoreClient, server: Any
) -> None:
    messages = [net.message(number, payload=bytes([number]) * 400_000) for number in range(7)]
    for message in messages:
        archive.put(RawMessage(net.shard, message))

    found = [
        [one.waku_message for one in page]
        async for page in client.pages(server.peer_id, net.shard, [net.topic], since=0)
    ]

    assert [len(page) for page in found] == [3, 3, 1]
    assert [message for page in found for message in page] == messages


async def test_a_peer_that_asks_too_often_is_told_so(net: Any, archive: Archive) -> None:
    host = net.host("server")
    StoreService(host=host, clock=net.clock, archive=archive, count=net.count, rate=RateLimit(per_minute=60, burst=2))
    client = StoreClient(
        host=net.host("phone", host), random=net.random, count=net.count, message_limit=LIMIT, seconds=5
    )
    for _ in range(2):
        await raw(client, host)

    with pytest.raises(QueryRefused) as refused:
        await raw(client, host)

    assert refused.value.status == 429


async def test_an_archive_that_fails_is_reported_as_unavailable(
    net: Any, archive: Archive, client: StoreClient, server: Any
) -> None:
    await archive.close()

    with pytest.raises(QueryRefused) as refused:
        await raw(client, server)

    assert refused.value.status == 503


class Liar:
    """A store that answers what it was told to."""

    def __init__(self, net: Any) -> None:
        self.host = net.host("liar")
        self.answers: list[StoreResponse] = []
        self.asked: list[StoreRequest] = []
        self.host.handle(PROTOCOL, self._answer)
        self.client = StoreClient(
            host=net.host("phone", self.host), random=net.random, count=net.count, message_limit=LIMIT, seconds=1
        )

    async def _answer(self, stream: Any) -> None:
        asked = codecs.decode(StoreRequest, await stream.read_frame(10_000), limit=10_000)
        self.asked.append(asked)
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        name = asked.request_id if answer.request_id == "" else answer.request_id
        stream.write_frame(
            codecs.encode(StoreResponse(name, answer.status_code, answer.status_desc, answer.entries, answer.cursor))
        )
        stream.close_write()


async def read(net: Any, liar: Liar, **window: Any) -> list[bytes]:
    since = window.pop("since", 0)
    pages = liar.client.pages(liar.host.peer_id, net.shard, [net.topic], since=since, **window)
    return [one.waku_message async for page in pages for one in page]


async def test_a_store_that_adds_what_was_not_asked_for_is_not_believed(net: Any) -> None:
    liar, now = Liar(net), net.clock.now() * 1_000_000
    good = net.message(1)
    entries = (
        StoreEntry(None, good, net.shard),
        StoreEntry(bytes(32), net.message(2), net.shard),
        StoreEntry(None, net.message(3, topic="/other"), net.shard),
        StoreEntry(None, net.message(4), "/waku/2/rs/1/0"),
        StoreEntry(None, net.message(-1), net.shard),
        StoreEntry(None, net.message(10), net.shard),
        StoreEntry(None, b"\xff", net.shard),
        StoreEntry(bytes(32)),
    )
    liar.answers = [StoreResponse("", 200, None, entries)]

    found = await read(net, liar, since=now, until=now + 10_000_000)

    assert found == [good]
    assert net.counts["store_client_unwanted"] == 7


@pytest.mark.parametrize(
    "answers",
    [
        [StoreResponse("another", 200)],
        [StoreResponse("", None)],
        [StoreResponse("", 500)],
        [StoreResponse("", 200, None, (StoreEntry(bytes(32)),), b"1" * 32)],  # for ever
    ],
)
async def test_a_store_that_makes_no_sense_is_an_error(net: Any, answers: list[StoreResponse]) -> None:
    liar = Liar(net)
    liar.answers = answers

    with pytest.raises(TransportError):
        await read(net, liar)

    assert len(liar.asked) <= 2


async def test_a_page_that_is_too_large_is_asked_for_in_halves(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hushbell.waku.protocols.store_client.MAX_RESPONSE", 1_000)
    liar = Liar(net)
    large = StoreEntry(None, net.message(payload=bytes(2_000)), net.shard)
    good = StoreEntry(None, net.message(1), net.shard)
    liar.answers = [StoreResponse("", 200, None, (large,)), StoreResponse("", 200, None, (good,))]

    found = await read(net, liar, page=40)

    assert [asked.limit for asked in liar.asked] == [40, 20]
    assert found == [net.message(1)]


async def test_what_was_missed_is_fetched_by_topic_or_of_whole_shards(
    net: Any, archive: Archive, client: StoreClient, server: Any
) -> None:
    messages = fill(net, archive, 130)
    store: History = StoreHistory(client, server.peer_id)

    first = await store.page(None, (), net.clock.now(), None)
    rest = await store.page(None, (), net.clock.now(), first.cursor)
    some = await store.page(net.shard, [net.topic], net.clock.now() + 100, None)

    assert [one.data for page in (first, rest) for one in page.messages] == messages
    assert (rest.cursor, some.cursor) == (None, None)
    assert [one.data for one in some.messages] == messages[101::2]
    assert {one.pubsub_topic for one in first.messages} == {net.shard}
