"""Peers that want to starve the others, on real hosts."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hushbell.errors import HushbellError, TransportError
from hushbell.runtime.clock import SystemClock
from hushbell.waku.libp2p import keys
from hushbell.waku.libp2p.host import Host
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.message import RawMessage
from hushbell.waku.protocols import store
from hushbell.waku.protocols.archive import Archive
from hushbell.waku.protocols.filter import FilterService
from hushbell.waku.protocols.filter_client import FilterClient
from hushbell.waku.protocols.filter_push import PROTOCOL as PUSH
from hushbell.waku.protocols.filter_push import PushLimits
from hushbell.waku.protocols.lightpush import PROTOCOL_V3, LightpushService
from hushbell.waku.protocols.lightpush_client import LightpushClient
from hushbell.waku.protocols.store import StoreService
from hushbell.waku.protocols.store_client import StoreClient
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import StoreRequest

LIMIT = 1 << 20
CLOCK = SystemClock()
Made = Callable[..., Awaitable[Host]]


@pytest.fixture
async def made(net: Any) -> AsyncIterator[Made]:
    """Makes hosts; one that is given another dials it."""
    net.clock = CLOCK
    hosts: list[Host] = []

    async def make(server: Host | None = None) -> Host:
        host = Host(keys.new_identity(os.urandom), clock=CLOCK, random=os.urandom, count=net.count)
        hosts.append(host)
        if server is None:
            await host.listen(Multiaddr.parse("/ip4/127.0.0.1/tcp/0"))
        else:
            await host.dial(server.addresses[0])
        return host

    yield make
    for host in hosts:
        await host.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def subscribed(net: Any, host: Host, server: Host, received: list[bytes]) -> FilterClient:
    client = FilterClient(
        host=host,
        clock=CLOCK,
        random=os.urandom,
        on_message=lambda message: received.append(message.data),
        count=net.count,
        message_limit=LIMIT,
    )
    await client.subscribe(server.peer_id, net.shard, [net.topic])
    return client


async def test_a_subscriber_that_reads_nothing_keeps_nobody_else_waiting(net: Any, made: Made) -> None:
    server = await made()
    limits = PushLimits(waiting_bytes=1 << 20, seconds=5)
    filter_ = FilterService(host=server, clock=CLOCK, topics=lambda: {net.shard}, count=net.count, push=limits)
    mallory, phone = await made(server), await made(server)
    received: list[bytes] = []
    await subscribed(net, mallory, server, [])
    mallory.handle(PUSH, lambda _: asyncio.sleep(3600))
    connection = mallory.connection(server.peer_id)
    assert connection is not None
    connection.raw.pause()  # nothing of its socket is read any more
    await subscribed(net, phone, server, received)
    messages = [net.message(number, payload=os.urandom(100_000)) for number in range(60)]

    max_size = 0
    for message in messages:
        filter_.deliver(net.shard, net.topic, message)
        max_size = max(max_size, filter_.waiting_bytes)
        await until(partial(received.__contains__, message))

    assert max_size <= 2 * limits.waiting_bytes
    assert net.counts["filter_slow_dropped"] == 1
    assert filter_.subscribers == 1
    await filter_.close()


async def test_a_thousand_queries_at_once_leave_the_store_to_the_others(net: Any, made: Made, tmp_path: Path) -> None:
    server = await made()
    archive = Archive.open(
        tmp_path / "x.db", clock=CLOCK, count=net.count, age=3_600, size=1 << 30, message_limit=LIMIT
    )
    StoreService(host=server, clock=CLOCK, archive=archive, count=net.count)
    for number in range(50):
        archive.put(RawMessage(net.shard, net.message(number, payload=os.urandom(20_000))))
    mallory, phone = await made(server), await made(server)
    query = codecs.encode(StoreRequest("x", include_data=True, limit=100))

    for _ in range(900):
        stream = await mallory.open(server.peer_id, [store.PROTOCOL])
        stream.write_frame(query)  # and nobody reads the answers
    client = StoreClient(host=phone, random=os.urandom, count=net.count, message_limit=LIMIT)
    found = [one async for page in client.pages(server.peer_id, net.shard, [net.topic], since=0) for one in page]

    assert len(found) == 50
    await until(lambda: net.counts["store_rate_limited"] >= 1)
    await archive.close()


@pytest.mark.parametrize("sent", [b"\x80" * 100, b"\xff\xff\xff\xff\x0f", b"\x10abc", b""])
async def test_nonsense_on_a_thousand_streams_leaves_lightpush_to_the_others(net: Any, made: Made, sent: bytes) -> None:
    server = await made()
    published: list[bytes] = []

    def publish(_: Any, data: bytes) -> int:
        published.append(data)
        return 1

    LightpushService(
        host=server,
        clock=CLOCK,
        publish=publish,
        topics=lambda: {net.shard},
        count=net.count,
        message_limit=LIMIT,
    )
    mallory, phone = await made(server), await made(server)
    push = LightpushClient(host=phone, random=os.urandom, count=net.count)

    for _ in range(1_000):
        try:
            stream = await mallory.open(server.peer_id, [PROTOCOL_V3])
            stream.write(sent)
        except (TransportError, HushbellError):
            break  # cut off
    for number in range(20):
        await push.publish(server.peer_id, net.shard, net.message(number))

    assert len(published) == 20
