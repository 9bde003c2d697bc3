"""Filter: subscribers and what is pushed to them, both ends."""

from typing import Any

import pytest

from hushbell.errors import TransportError
from hushbell.types import Millis
from hushbell.waku.protocols import filter as service
from hushbell.waku.protocols.filter import FilterService
from hushbell.waku.protocols.filter_client import FilterClient
from hushbell.waku.protocols.filter_push import PROTOCOL as PUSH
from hushbell.waku.protocols.filter_push import PushLimits
from hushbell.waku.protocols.filter_table import FilterLimits
from hushbell.waku.protocols.rate_limit import RateLimit
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import FilterKind, FilterPush, FilterRequest, FilterResponse

LIMIT = 1 << 20


def serve(net: Any, host: Any, **settings: Any) -> FilterService:
    return FilterService(
        host=host, clock=net.clock, topics=lambda: {net.shard}, count=net.count, **({"seconds": 1} | settings)
    )


class Phone:
    """A filter client and what it received."""

    def __init__(self, net: Any, host: Any) -> None:
        self.host = host
        self.received: list[bytes] = []
        self.lost: list[bytes] = []
        self.client = FilterClient(
            host=host,
            clock=net.clock,
            random=net.random,
            on_message=lambda message: self.received.append(message.data),
            count=net.count,
            message_limit=LIMIT,
            on_lost=self.lost.append,
            seconds=0.2,
        )


async def test_what_was_subscribed_is_pushed_until_unsubscribed(net: Any) -> None:
    server = net.host("server")
    phone = Phone(net, net.host("phone", server))
    filter_ = serve(net, server)
    wanted, other = net.message(1), net.message(2, topic="/other")

    await phone.client.subscribe(server.peer_id, net.shard, [net.topic])
    filter_.deliver(net.shard, net.topic, wanted)
    filter_.deliver(net.shard, "/other", other)
    await net.settle()
    await phone.client.unsubscribe(server.peer_id, net.shard, [net.topic])
    filter_.deliver(net.shard, net.topic, wanted)
    await net.settle()

    assert phone.received == [wanted]
    assert filter_.subscribers == 0


async def test_unsubscribing_from_all_ends_all(net: Any) -> None:
    server = net.host("server")
    phone = Phone(net, net.host("phone", server))
    filter_ = serve(net, server)
    await phone.client.subscribe(server.peer_id, net.shard, [f"/{number}" for number in range(150)])

    assert await phone.client.ping(server.peer_id)
    await phone.client.unsubscribe_all(server.peer_id)

    assert not await phone.client.ping(server.peer_id)
    assert (filter_.subscribers, phone.client.subscribed(server.peer_id)) == (0, frozenset())


async def test_three_hundred_pushes_in_a_row_arrive(net: Any) -> None:
    server = net.host("server")
    phone = Phone(net, net.host("phone", server))
    filter_ = serve(net, server)
    await phone.client.subscribe(server.peer_id, net.shard, [net.topic])
    messages = [net.message(number) for number in range(300)]

    for message in messages:
        filter_.deliver(net.shard, net.topic, message)
    await net.settle(2000)

    assert sorted(phone.received) == sorted(messages)
    assert net.counts["filter_pushed"] == 300
    assert filter_.waiting_bytes == 0


async def test_a_burst_is_pushed_at_a_pace_that_peers_take_for_honest(net: Any) -> None:
    server = net.host("server")
    phone = Phone(net, net.host("phone", server))
    filter_ = serve(net, server, push=PushLimits(per_second=50))
    await phone.client.subscribe(server.peer_id, net.shard, [net.topic])
    messages = [net.message(number) for number in range(120)]

    for message in messages:
        filter_.deliver(net.shard, net.topic, message)
    await net.settle(2000)
    arrived = [len(phone.received)]
    for _ in range(100):
        net.clock.advance(0.02)
        await net.settle(50)
        arrived.append(len(phone.received))

    assert arrived[0] == 50
    assert arrived[25] <= 76
    assert sorted(phone.received) == sorted(messages)


async def test_a_peer_that_closes_no_stream_has_never_more_than_so_many_open(net: Any) -> None:
    server = net.host("server")
    phone = net.host("phone", server)
    filter_ = serve(net, server, push=PushLimits(max_responses=2, open=8))
    received: list[bytes] = []
    most = 0

    async def as_js_waku(stream: Any) -> None:
        nonlocal most
        most = max(most, sum(not (one.other.is_reset or one.is_closed) for one in phone.served))
        while True:
            received.append(codecs.decode(FilterPush, await stream.read_frame(LIMIT), limit=LIMIT).waku_message)

    async def ignoring_the_end(stream: Any) -> None:
        try:
            await as_js_waku(stream)
        except Exception:  # noqa: BLE001
            return  # its half stays open

    phone.handle(PUSH, ignoring_the_end)
    await subscribe_raw(net, phone, server)
    messages = [net.message(number) for number in range(100)]
    for message in messages:
        filter_.deliver(net.shard, net.topic, message)
    await net.settle(2000)

    assert sorted(received) == sorted(messages)
    assert most <= 8 + 2


async def subscribe_raw(net: Any, phone: Any, server: Any, *topics: str) -> int:
    stream = await phone.open(server.peer_id, [service.PROTOCOL])
    request = FilterRequest("id", FilterKind.SUBSCRIBE, net.shard, topics or (net.topic,))
    stream.write_frame(codecs.encode(request))
    stream.close_write()
    response = codecs.decode(FilterResponse, await stream.read_frame(1000), limit=1000)
    assert response.request_id == "id"
    return response.status_code


async def test_a_subscriber_that_does_not_read_costs_no_more_than_its_share_and_then_goes(net: Any) -> None:
    server = net.host("server")
    slow = net.host("slow", server)
    phone = Phone(net, net.host("phone", server))
    limits = PushLimits(waiting=50, waiting_bytes=20_000, seconds=30)
    filter_ = serve(net, server, push=limits)
    slow.handle(PUSH, lambda stream: stream.drain())
    await subscribe_raw(net, slow, server)
    await phone.client.subscribe(server.peer_id, net.shard, [net.topic])
    honest = server.open

    async def stuck_for_the_slow(peer: Any, protocols: Any) -> Any:
        stream = await honest(peer, protocols)
        stream.is_stuck = peer == slow.peer_id
        return stream

    server.open = stuck_for_the_slow
    messages = [net.message(number, payload=bytes(900)) for number in range(60)]
    for message in messages:
        filter_.deliver(net.shard, net.topic, message)
        assert filter_.waiting_bytes <= 2 * limits.waiting_bytes
        await net.settle(30)

    assert sorted(phone.received) == sorted(messages)
    assert net.counts["filter_slow_dropped"] == 1
    assert filter_.subscribers == 1
    assert filter_.waiting_bytes == 0
    await filter_.close()


async def test_all_subscribers_together_are_bounded_too(net: Any) -> None:
    server = net.host("server")
    server.stuck = True
    limits = PushLimits(all_bytes=50_000, seconds=30)
    filter_ = serve(net, server, push=limits)
    for number in range(20):
        phone = net.host(f"phone {number}", server)
        phone.handle(PUSH, lambda stream: stream.drain())
        await subscribe_raw(net, phone, server)

    for number in range(30):
        filter_.deliver(net.shard, net.topic, net.message(number, payload=bytes(1000)))

    # One message of each is let through, whatever the others have waiting.
    assert filter_.waiting_bytes <= limits.all_bytes + 20 * 1100
    await filter_.close()


async def test_an_unreachable_subscriber_is_dropped_after_a_minute(net: Any) -> None:
    server = net.host("server")
    phone = net.host("phone", server)
    filter_ = serve(net, server, limits=FilterLimits(ttl=10**9))
    await subscribe_raw(net, phone, server)

    for _ in range(2):
        filter_.deliver(net.shard, net.topic, net.message())
        await net.settle()
        assert filter_.subscribers == 1
        net.clock.advance(59)
    net.clock.advance(1)
    filter_.deliver(net.shard, net.topic, net.message())
    await net.settle()

    assert filter_.subscribers == 0
    assert net.counts["filter_unreachable_dropped"] == 1


async def test_a_subscription_is_forgotten_after_its_time_and_asked_for_again_by_ping(net: Any) -> None:
    server = net.host("server")
    phone = Phone(net, net.host("phone", server))
    filter_ = serve(net, server, limits=FilterLimits(ttl=30_000))
    await phone.client.subscribe(server.peer_id, net.shard, [net.topic])
    net.start(phone.client.run())
    await net.settle()

    net.clock.advance(61)
    await net.settle()
    message = net.message(1)
    filter_.deliver(net.shard, net.topic, message)
    await net.settle()

    assert phone.received == [message]
    assert net.counts["filter_client_resubscribed"] == 1


async def test_a_service_that_is_gone_is_told_and_nothing_is_expected_from_it(net: Any) -> None:
    server = net.host("server")
    phone = Phone(net, net.host("phone", server))
    serve(net, server)
    await phone.client.subscribe(server.peer_id, net.shard, [net.topic])
    net.start(phone.client.run())
    await net.settle()
    net.disconnect(server, phone.host)

    for _ in range(2):
        net.clock.advance(61)
        await net.settle()

    assert phone.lost == [server.peer_id]
    assert not phone.client.subscribed(server.peer_id)


async def test_requests_are_limited_and_one_too_many_is_reported(net: Any) -> None:
    server = net.host("server")
    phone = net.host("phone", server)
    serve(net, server, rate=RateLimit(per_minute=2, burst=2))

    answers = [await subscribe_raw(net, phone, server) for _ in range(3)]
    net.clock.advance(30)
    answers.append(await subscribe_raw(net, phone, server))

    assert answers == [200, 200, 429, 200]


async def test_a_refused_subscription_is_an_error_and_not_remembered(net: Any) -> None:
    server = net.host("server")
    phone = Phone(net, net.host("phone", server))
    serve(net, server)

    with pytest.raises(TransportError, match="400"):
        await phone.client.subscribe(server.peer_id, "/waku/2/rs/1/0", [net.topic])

    assert not phone.client.subscribed(server.peer_id)


async def test_only_what_was_asked_for_is_handed_on(net: Any) -> None:
    server, mallory = net.host("server"), net.host("mallory")
    phone = Phone(net, net.host("phone", server, mallory))
    serve(net, server)
    await phone.client.subscribe(server.peer_id, net.shard, [net.topic])
    message = net.message()

    async def push(host: Any, *pushes: bytes) -> None:
        stream = await host.open(phone.host.peer_id, [PUSH])
        for one in pushes:
            stream.write_frame(one)
        stream.close_write()
        await net.settle()

    await push(mallory, codecs.encode(FilterPush(message, net.shard)))
    await push(server, codecs.encode(FilterPush(net.message(topic="/other"), net.shard)))
    await push(server, codecs.encode(FilterPush(message, "/waku/2/rs/16/64")))
    await push(server, codecs.encode(FilterPush(message)))
    await push(server, b"\xff\xff")
    await push(server, codecs.encode(FilterPush(b"\xff", net.shard)))
    assert phone.received == []
    await push(server, *[codecs.encode(FilterPush(message, net.shard))] * 3)

    assert phone.received == [message] * 3  # one stream for all, as nwaku does it


async def test_who_comes_back_is_pushed_to_again(net: Any) -> None:
    server = net.host("server")
    phone = Phone(net, net.host("phone", server))
    filter_ = serve(net, server)
    await phone.client.subscribe(server.peer_id, net.shard, [net.topic])

    net.disconnect(server, phone.host)
    filter_.deliver(net.shard, net.topic, net.message(1))
    await net.settle()
    net.connect(server, phone.host)
    last = net.message(2)
    filter_.deliver(net.shard, net.topic, last)
    await net.settle()

    assert phone.received == [last]


async def test_bytes_that_are_no_request_are_answered_or_cut_off(net: Any) -> None:
    server = net.host("server")
    phone = net.host("phone", server)
    serve(net, server)

    stream = await phone.open(server.peer_id, [service.PROTOCOL])
    stream.write_frame(b"\xff")
    response = codecs.decode(FilterResponse, await stream.read_frame(1000), limit=1000)
    huge = await phone.open(server.peer_id, [service.PROTOCOL])
    huge.write(b"\xff\xff\xff\x7f")
    with pytest.raises(TransportError):
        await huge.read(1)

    assert response.status_code == 400
    assert net.clock.now() == Millis(1_700_000_000_000)
