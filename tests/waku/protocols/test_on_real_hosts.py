"""Every service between two hosts on loopback, over either muxer."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hushbell.runtime.clock import SystemClock
from hushbell.waku.libp2p import keys, mplex, yamux
from hushbell.waku.libp2p.host import Host
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.message import RawMessage
from hushbell.waku.protocols.archive import Archive
from hushbell.waku.protocols.filter import FilterService
from hushbell.waku.protocols.filter_client import FilterClient
from hushbell.waku.protocols.filter_push import PROTOCOL as PUSH
from hushbell.waku.protocols.lightpush import LightpushService
from hushbell.waku.protocols.lightpush_client import LightpushClient
from hushbell.waku.protocols.metadata import RELAY, MetadataService
from hushbell.waku.protocols.store import StoreService
from hushbell.waku.protocols.store_client import StoreClient
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import FilterPush

LIMIT = 1 << 20
CLOCK = SystemClock()


class Server:
    """A node with every service; what is pushed to it goes to its archive and its subscribers."""

    def __init__(self, net: Any, host: Host, archive: Archive) -> None:
        self.net, self.host, self.archive = net, host, archive
        common: Any = {"host": host, "clock": CLOCK, "count": net.count}
        self.metadata = MetadataService(cluster=16, shards=lambda: (32,), **common)
        self.filter = FilterService(topics=lambda: {net.shard}, **common)
        LightpushService(publish=self.publish, topics=lambda: {net.shard}, message_limit=LIMIT, **common)
        StoreService(archive=archive, **common)

    def publish(self, shard: Any, data: bytes) -> int:
        self.archive.put(RawMessage(shard, data))
        self.filter.deliver(shard, self.net.topic, data)
        return 1


@pytest.fixture(params=[yamux.PROTOCOL, mplex.PROTOCOL], ids=["yamux", "mplex"])
async def made(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., Awaitable[Host]]]:
    """Makes hosts; one that is given another dials it."""
    hosts: list[Host] = []

    async def make(server: Host | None = None) -> Host:
        identity = keys.new_identity(os.urandom)
        host = Host(identity, clock=CLOCK, random=os.urandom, count=lambda *_: None, muxers=[str(request.param)])
        hosts.append(host)
        if server is None:
            await host.listen(Multiaddr.parse("/ip4/127.0.0.1/tcp/0"))
        else:
            await host.dial(server.addresses[0])
        return host

    yield make
    for host in hosts:
        await host.close()


@pytest.fixture
async def server(net: Any, made: Any, tmp_path: Path) -> AsyncIterator[Server]:
    host = await made()
    archive = Archive.open(
        tmp_path / "real.db", clock=CLOCK, count=net.count, age=3_600, size=1 << 30, message_limit=LIMIT
    )
    net.clock = CLOCK  # messages are of today
    node = Server(net, host, archive)
    yield node
    await node.filter.close()
    await node.metadata.close()
    await archive.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def filter_client(net: Any, host: Host, received: list[bytes]) -> FilterClient:
    return FilterClient(
        host=host,
        clock=CLOCK,
        random=os.urandom,
        on_message=lambda message: received.append(message.data),
        count=net.count,
        message_limit=LIMIT,
    )


async def test_three_hundred_messages_pushed_published_and_found_again(net: Any, made: Any, server: Server) -> None:
    phone = await made(server.host)
    received: list[bytes] = []
    client = filter_client(net, phone, received)
    push = LightpushClient(host=phone, random=os.urandom, count=net.count)
    store = StoreClient(host=phone, random=os.urandom, count=net.count, message_limit=LIMIT)
    messages = [net.message(number, payload=os.urandom(1024)) for number in range(300)]

    await client.subscribe(server.host.peer_id, net.shard, [net.topic])
    for message in messages[:150]:
        assert await push.publish(server.host.peer_id, net.shard, message) == 1
    for message in messages[150:]:
        server.publish(net.shard, message)  # all at once
    await until(lambda: len(received) >= 300)
    found = [
        one.waku_message
        async for page in store.pages(server.host.peer_id, net.shard, [net.topic], since=0, page=20)
        for one in page
    ]

    assert sorted(received) == sorted(messages)
    assert sorted(found) == sorted(messages)


async def test_large_messages_pass_everywhere(net: Any, made: Any, server: Server) -> None:
    phone = await made(server.host)
    received: list[bytes] = []
    client = filter_client(net, phone, received)
    push = LightpushClient(host=phone, random=os.urandom, count=net.count)
    store = StoreClient(host=phone, random=os.urandom, count=net.count, message_limit=LIMIT)
    messages = [net.message(number, payload=os.urandom(LIMIT - 200)) for number in range(3)]

    await client.subscribe(server.host.peer_id, net.shard, [net.topic])
    for message in messages:
        await push.publish(server.host.peer_id, net.shard, message)
    await until(lambda: len(received) >= 3)
    pages = [page async for page in store.pages(server.host.peer_id, net.shard, [net.topic], since=0)]

    assert sorted(received) == sorted(messages)
    assert [len(page) for page in pages] == [2, 1]


async def test_a_client_that_reads_as_js_waku_gets_a_burst_and_few_streams_stay_open(
    net: Any, made: Any, server: Server
) -> None:
    phone = await made(server.host)
    received: list[bytes] = []
    client = filter_client(net, phone, [])

    async def as_js_waku(stream: Any) -> None:
        frame = await stream.read_frame(LIMIT)
        received.append(codecs.decode(FilterPush, frame, limit=LIMIT).waku_message)
        while not stream.gone:  # noqa: ASYNC110  # its half is never closed
            await asyncio.sleep(0.01)

    phone.handle(PUSH, as_js_waku)
    await client.subscribe(server.host.peer_id, net.shard, [net.topic])
    messages = [net.message(number, payload=os.urandom(200)) for number in range(300)]
    for message in messages:
        server.publish(net.shard, message)
    await until(lambda: len(received) >= 300)

    assert sorted(received) == sorted(messages)
    connection = server.host.connection(phone.peer_id)
    assert connection is not None
    await until(lambda: connection.streams <= 40)


async def test_peers_learn_each_others_cluster_and_strangers_go(net: Any, made: Any, server: Server) -> None:
    friend, stranger = await made(), await made()
    common: Any = {"clock": CLOCK, "count": net.count}
    friends = MetadataService(host=friend, cluster=16, shards=lambda: (32, 64), **common)
    strangers = MetadataService(host=stranger, cluster=1, shards=lambda: (0,), **common)

    async def relay(stream: Any) -> None:
        await stream.read(1)

    for host in (friend, stranger, server.host):
        host.handle(RELAY, relay)
    for host in (friend, stranger):
        await host.dial(server.host.addresses[0])
    known: Callable[[PeerId], Any] = server.metadata.of
    await until(lambda: known(friend.peer_id) and friends.of(server.host.peer_id))
    await until(lambda: not stranger.peers)

    assert friend.peers
    assert known(stranger.peer_id) is None
    assert known(friend.peer_id).shards == (32, 64)
    await friends.close()
    await strangers.close()
