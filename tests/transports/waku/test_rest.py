"""An operator's nwaku or go-waku over REST: its habits, and what it may do to us."""

import asyncio
import json
from base64 import b64encode
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell import wire
from hushbell.config.gateway import HttpSettings
from hushbell.errors import TransportError, WireError
from hushbell.http.curl import CurlHttp
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.testing.mock.http import Fault, Response
from hushbell.testing.mock_waku_rest import MockRestNode, RestNetwork
from hushbell.transports.waku import rest_dialects
from hushbell.transports.waku.rest import MAX_RESPONSE, RestHealth, RestNode, RestTransport
from hushbell.types import DEFAULT_PUBSUB_TOPIC, ContentTopic, Envelope, Millis
from hushbell.waku.inbox.message_queue import MessageQueue
from hushbell.waku.inbox.missing_messages import MissingMessages
from hushbell.wire.messages import WakuMessage

TOPIC = ContentTopic("/waku/1/0x69bc8983/rfc26")
Dialect = Literal["nwaku", "go-waku"]
MESSAGES = "/relay/v1/messages/"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hushbell.waku.inbox.missing_messages.SETTLE", 0.1)
    monkeypatch.setattr("hushbell.transports.waku.rest.CONFIRM_DELAYS", (0.05,))


@pytest.fixture(params=["nwaku", "go-waku"])
def dialect(request: pytest.FixtureRequest) -> Dialect:
    chosen: Dialect = request.param
    return chosen


@pytest.fixture
def counted() -> Counter[str]:
    return Counter()


@pytest.fixture
def network() -> RestNetwork:
    return RestNetwork()


@pytest.fixture
async def node(network: RestNetwork, dialect: Dialect) -> AsyncIterator[MockRestNode]:
    async with MockRestNode(network, dialect) as made:
        yield made


@pytest.fixture
async def peer(network: RestNetwork, dialect: Dialect) -> AsyncIterator[MockRestNode]:
    """Somebody else's node."""
    async with MockRestNode(network, dialect) as made:
        yield made


@pytest.fixture
async def connect(node: MockRestNode, counted: Counter[str]) -> AsyncIterator[Callable[[], Awaitable[RestTransport]]]:
    made: list[RestTransport] = []

    def count(name: str, number: int) -> None:
        counted[name] += number

    async def connected() -> RestTransport:
        clock = SystemClock()
        place = await MessageQueue.open(
            clock=clock,
            count=count,
            file=None,
            max_seen=1000,
            seen_seconds=3600,
            max_messages=1000,
            message_limit=1024 * 1024,
        )
        rest = RestNode(CurlHttp(HttpSettings(answer=MAX_RESPONSE)), node.url, node.dialect)
        asking = MissingMessages(
            queue=place,
            stores=lambda: [rest],
            topics={DEFAULT_PUBSUB_TOPIC: [TOPIC]},
            clock=clock,
            random=system_random,
            count=count,
            interval=3600,
            max_age=86_400,
        )
        transport = RestTransport(
            node=rest,
            queue=place,
            missing=asking,
            clock=clock,
            random=system_random,
            count=count,
            pubsub_topics=[DEFAULT_PUBSUB_TOPIC],
        )
        made.append(transport)
        await transport.start()
        return transport

    yield connected
    for transport in made:
        await transport.close()


Connect = Callable[[], Awaitable[RestTransport]]


def message(number: int, *, at: Millis | None = None) -> WakuMessage:
    time = SystemClock().now() if at is None else at
    return WakuMessage(payload=b"\xfb\xff%d" % number, content_topic=TOPIC, version=1, timestamp=time * 1_000_000)


def fields(sent: WakuMessage) -> dict[str, Any]:
    payload = b64encode(sent.payload).decode()
    return {"payload": payload, "contentTopic": sent.content_topic, "version": 1, "timestamp": sent.timestamp}


async def received(transport: RestTransport, count: int) -> set[bytes]:
    came: set[bytes] = set()
    async with asyncio.timeout(10):
        while len(came) < count:
            came |= {envelope.waku_message for envelope in await transport.receive(100)}
    return came


async def test_what_a_small_cache_lost_is_fetched_from_the_store(
    network: RestNetwork, connect: Connect, counted: Counter[str]
) -> None:
    transport = await connect()
    await asyncio.sleep(0.15)  # the first question to the store is over
    sent = [message(number) for number in range(70)]

    for one in sent:
        network.relay(DEFAULT_PUBSUB_TOPIC, fields(one))

    assert await received(transport, 70) == {wire.encode(one) for one in sent}
    assert counted["rest_cache_full"] == 1


async def test_what_was_published_before_the_start_is_fetched(network: RestNetwork, connect: Connect) -> None:
    missed = message(1)
    network.relay(DEFAULT_PUBSUB_TOPIC, fields(missed))

    transport = await connect()

    assert await received(transport, 1) == {wire.encode(missed)}


async def test_a_node_that_was_started_anew_is_subscribed_to_again(
    network: RestNetwork, node: MockRestNode, connect: Connect
) -> None:
    transport = await connect()
    await node.refuse()
    node.forget()
    lost = message(1)
    network.relay(DEFAULT_PUBSUB_TOPIC, fields(lost))
    await node.listen()

    assert await received(transport, 1) == {wire.encode(lost)}
    later = message(2)
    network.relay(DEFAULT_PUBSUB_TOPIC, fields(later))
    assert await received(transport, 1) == {wire.encode(later)}


async def test_a_message_that_nobody_else_got_is_no_success(
    node: MockRestNode, connect: Connect, counted: Counter[str]
) -> None:
    transport = await connect()
    node.network.stored.clear()
    node.script[MESSAGES] = deque([Response(500)] * 50)

    with pytest.raises(TransportError, match="nobody confirmed"):
        await transport.publish([Envelope(DEFAULT_PUBSUB_TOPIC, wire.encode(message(1)))])

    assert counted["rest_unconfirmed"] == 1


async def test_without_a_service_node_only_a_store_that_has_it_is_a_receipt(
    node: MockRestNode, peer: MockRestNode, connect: Connect
) -> None:
    node.has_lightpush = False
    transport = await connect()

    await transport.publish([Envelope(DEFAULT_PUBSUB_TOPIC, wire.encode(message(1)))])

    assert any(asked.startswith("GET /store/v3/messages?hashes=") for asked in node.requests)


async def test_a_refusal_to_subscribe_is_reported_at_once(node: MockRestNode, connect: Connect) -> None:
    node.script["/relay/v1/subscriptions"] = deque([Response(400, body=b"bad topic")])

    with pytest.raises(TransportError, match="400"):
        await connect()


@pytest.mark.parametrize(
    "answer",
    [
        Response(200, body=b""),
        Response(200, body=b"[" * 5000),
        Response(200, body=b'{"messages": 1}'),
        Response(200, body=b'[1, null, {"payload": 5}, {"payload": "!!", "contentTopic": "t"}]'),
        Response(200, body=b'[{"payload": "aa==", "contentTopic": "\\ud800"}]'),
        Response(200, body=b'[{"payload": "YQ==", "contentTopic": "t", "timestamp": 1e400}]'),
        Response(200, body=b'[{"payload": "YQ==", "contentTopic": "t", "version": -1}]'),
        Response(500, body=b"x"),
        Response(302, body=b""),
        Response(fault=Fault.CLOSE),
    ],
    ids=repr,
)
async def test_an_answer_that_makes_no_sense_is_counted_and_the_next_is_read(
    network: RestNetwork, node: MockRestNode, connect: Connect, counted: Counter[str], answer: Response
) -> None:
    node.script[MESSAGES] = deque([answer])
    transport = await connect()
    sent = message(1)

    network.relay(DEFAULT_PUBSUB_TOPIC, fields(sent))

    assert await received(transport, 1) == {wire.encode(sent)}
    while not node.script[MESSAGES]:
        if counted["rest_failures"] or counted["rest_undecodable"]:
            break
        await asyncio.sleep(0.02)


async def test_only_one_look_is_under_way_at_a_time(node: MockRestNode, connect: Connect) -> None:
    node.script[MESSAGES] = deque([Response(200, body=b"[]", delay=0.4)])

    await connect()
    await asyncio.sleep(0.3)

    assert len([asked for asked in node.requests if asked.startswith("GET " + MESSAGES)]) == 1


async def test_a_node_without_messages_is_asked_less_and_less(node: MockRestNode, connect: Connect) -> None:
    await connect()

    await asyncio.sleep(1.2)

    assert 3 <= len([asked for asked in node.requests if asked.startswith("GET " + MESSAGES)]) <= 8


async def test_the_health_of_a_node_is_in_its_own_words(node: MockRestNode, dialect: Dialect) -> None:
    http = CurlHttp(HttpSettings())
    rest = RestNode(http, node.url, dialect)

    healthy = await rest.health()
    node.script["/health"] = deque([Response(503, body=b"<html>"), Response(200, body=b'{"nodeHealth": "NOT_READY"}')])
    broken, waking = await rest.health(), await rest.health()
    await node.refuse()
    gone = await rest.health()
    await rest.close()

    assert healthy.ready
    assert broken == RestHealth(ready=False, report="status 503")
    assert waking == RestHealth(ready=False, report="NOT_READY")
    assert gone == RestHealth(ready=False, report="no answer")


async def test_a_page_of_large_messages_is_asked_for_in_smaller_ones(
    network: RestNetwork, node: MockRestNode, dialect: Dialect
) -> None:
    rest = RestNode(CurlHttp(HttpSettings(answer=8 * 1024)), node.url, dialect)
    for number in range(40):
        large = WakuMessage(payload=b"%03d" % number * 100, content_topic=TOPIC, timestamp=number + 1)
        network.relay(DEFAULT_PUBSUB_TOPIC, fields(large))
    came, cursor = 0, None

    while True:
        page = await rest.page(DEFAULT_PUBSUB_TOPIC, [TOPIC], Millis(0), cursor)
        came += len(page.messages)
        cursor = page.cursor
        if cursor is None:
            break
    await rest.close()

    assert came == 40


@given(
    st.binary(min_size=1, max_size=200),
    st.integers(1, 2**63 - 1),
    st.integers(0, 2**32 - 1),
    st.none() | st.binary(min_size=1, max_size=64),
    st.booleans(),
)
def test_a_message_survives_the_way_through_json(
    payload: bytes, timestamp: int, version: int, meta: bytes | None, ephemeral: bool
) -> None:
    sent = WakuMessage(
        payload=payload,
        content_topic=TOPIC,
        version=version or None,
        timestamp=timestamp,
        meta=meta,
        ephemeral=ephemeral or None,
    )

    (read,), undecodable = rest_dialects.read_messages(
        DEFAULT_PUBSUB_TOPIC, b"[" + rest_dialects.relay_body(sent) + b"]"
    )

    assert (read.pubsub_topic, read.data, read.decode(), undecodable) == (
        DEFAULT_PUBSUB_TOPIC,
        wire.encode(sent),
        wire.decode(WakuMessage, wire.encode(sent)),
        0,
    )


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "messages",
                        "payload",
                        "contentTopic",
                        "message",
                        "pubsubTopic",
                        "paginationCursor",
                        "timestamp",
                        "meta",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    )
)
def test_whatever_a_node_answers_a_value_or_an_error_of_ours_comes_out(answer: object) -> None:
    body = json.dumps(answer).encode()

    for read in (
        lambda body: rest_dialects.read_messages(DEFAULT_PUBSUB_TOPIC, body),
        rest_dialects.Nwaku().page,
        rest_dialects.GoWaku().page,
        rest_dialects.is_stored,
        lambda body: rest_dialects.Nwaku().is_published(200, body),
    ):
        with suppress(WireError):
            read(body)
