"""Lightpush, both versions, both ends."""

from typing import Any

import pytest

from hushbell import wire
from hushbell.errors import TransportError, Unauthentic
from hushbell.waku.protocols.lightpush import PROTOCOL_V2, PROTOCOL_V3, LightpushService
from hushbell.waku.protocols.lightpush_client import LightpushClient, LightpushRefused
from hushbell.waku.protocols.rate_limit import RateLimit
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import LightpushRequest, LightpushResponse, PushRpc

LIMIT = 4096


class Relay:
    def __init__(self) -> None:
        self.published: list[tuple[str, bytes]] = []
        self.answer: int | Exception = 3

    def publish(self, topic: str, data: bytes) -> int:
        if isinstance(self.answer, Exception):
            raise self.answer
        self.published.append((topic, data))
        return self.answer


@pytest.fixture
def relay() -> Relay:
    return Relay()


@pytest.fixture
def pair(net: Any, relay: Relay) -> tuple[LightpushClient, Any]:
    server = net.host("server")
    phone = net.host("phone", server)
    LightpushService(
        host=server,
        clock=net.clock,
        publish=relay.publish,
        topics=lambda: {net.shard},
        count=net.count,
        message_limit=LIMIT,
        rate=RateLimit(per_minute=60, burst=4),
        seconds=1,
    )
    return LightpushClient(host=phone, random=net.random, count=net.count, seconds=1), server.peer_id


async def test_a_message_is_published_as_it_came_and_the_peers_are_reported(net: Any, relay: Relay, pair: Any) -> None:
    client, server = pair
    message = net.message(1) + bytes.fromhex("9a0601ff")  # and a field that nobody knows

    peers = await client.publish(server, net.shard, message)
    await client.publish_v2(server, net.shard, message)

    assert peers == 3
    assert relay.published == [(net.shard, message)] * 2


@pytest.mark.parametrize(
    "change,status",
    [
        ({"topic": ""}, 420),
        ({"topic": "/waku/2/rs/1/0"}, 421),
        ({"message": b"\xff"}, 420),
        ({"message": b""}, 420),
        ({"message": wire.encode(wire.WakuMessage(content_topic="a"))}, 420),
        ({"message": wire.encode(wire.WakuMessage(payload=b"a"))}, 420),
        ({"message": wire.encode(wire.WakuMessage(payload=b"a", content_topic="a", meta=bytes(65)))}, 420),
        ({"message": wire.encode(wire.WakuMessage(payload=bytes(LIMIT), content_topic="a"))}, 413),
        ({"answer": 0}, 505),
        ({"answer": Unauthentic("relay says no")}, 420),
        ({"answer": TransportError("not now")}, 503),
    ],
)
async def test_a_message_that_is_not_published_has_the_status_of_its_fault(
    net: Any, relay: Relay, pair: Any, change: dict[str, Any], status: int
) -> None:
    client, server = pair
    relay.answer = change.get("answer", 3)
    topic, message = change.get("topic", net.shard), change.get("message", net.message())

    with pytest.raises(LightpushRefused) as refused:
        await client.publish(server, topic, message)
    with pytest.raises(LightpushRefused):
        await client.publish_v2(server, topic, message)

    assert refused.value.status == status
    if "answer" not in change:
        assert not relay.published


async def test_who_pushes_too_much_is_told_so_and_may_again_later(net: Any, relay: Relay, pair: Any) -> None:
    client, server = pair
    for _ in range(4):
        await client.publish(server, net.shard, net.message())

    with pytest.raises(LightpushRefused) as refused:
        await client.publish(server, net.shard, net.message())
    net.clock.advance(1)
    await client.publish(server, net.shard, net.message())

    assert refused.value.status == 429
    assert len(relay.published) == 5
    assert net.counts["lightpush_rate_limited"] == 1


async def test_a_request_that_nobody_understands_is_answered(net: Any, pair: Any) -> None:
    _, server = pair
    phone = net.hosts[b"phone"]
    answers = []
    for protocol in (PROTOCOL_V2, PROTOCOL_V3):
        stream = await phone.open(server, [protocol])
        stream.write_frame(b"\xff\xff")
        answers.append(await stream.read_frame(1000))

    v2 = codecs.decode(PushRpc, answers[0], limit=1000)
    v3 = codecs.decode(LightpushResponse, answers[1], limit=1000)
    assert v2.response is not None
    assert not v2.response.is_success
    assert (v3.request_id, v3.status_code) == ("N/A", 400)


async def test_a_frame_beyond_every_bound_resets_the_stream(net: Any, pair: Any) -> None:
    _, server = pair

    stream = await net.hosts[b"phone"].open(server, [PROTOCOL_V3])
    stream.write(b"\xff\xff\xff\xff\x7f")
    with pytest.raises(TransportError):
        await stream.read(1)

    assert net.counts["lightpush_requests_failed"] == 1


async def test_a_service_that_answers_something_else_published_nothing(net: Any) -> None:
    server = net.host("server")
    phone = net.host("phone", server)
    client = LightpushClient(host=phone, random=net.random, count=net.count, seconds=0.05)
    answers = [
        b"\xff",
        codecs.encode(LightpushResponse("another", 200, None, 3)),
        codecs.encode(LightpushResponse("another", 0)),
        bytes(20_000),
    ]

    async def answer(stream: Any) -> None:
        codecs.decode(LightpushRequest, await stream.read_frame(10_000), limit=10_000)
        if answers:
            stream.write_frame(answers.pop(0))

    server.handle(PROTOCOL_V3, answer)
    for _ in range(5):  # the last is not answered at all
        with pytest.raises(TransportError):
            await client.publish(server.peer_id, net.shard, net.message())
    with pytest.raises(TransportError, match="not spoken"):
        await client.publish_v2(server.peer_id, net.shard, net.message())

    assert all(stream.is_reset for stream in phone.opened)
