# ruff: noqa: ASYNC110
"""Whole nodes on loopback: what a light client finds there, and what a server misses when it was away."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hushbell import wire
from hushbell.config.node import NodeSettings, pubsub_topics
from hushbell.crypto import secp256k1
from hushbell.errors import TransportError
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.transports.waku.opening import open_waku
from hushbell.transports.waku.relay import WakuTransport
from hushbell.types import DEFAULT_PUBSUB_TOPIC, ContentTopic, Envelope, PrivateKey
from hushbell.waku.libp2p.host import Host
from hushbell.waku.libp2p.keys import new_identity
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.node import Node
from hushbell.waku.protocols.filter_client import FilterClient
from hushbell.waku.protocols.lightpush_client import LightpushClient
from hushbell.waku.protocols.store_client import StoreClient
from hushbell.wire.messages import WakuMessage

OWN = ContentTopic("/waku/1/0x69bc8983/rfc26")
OTHER = ContentTopic("/waku/1/0x00000001/rfc26")
SHARD = DEFAULT_PUBSUB_TOPIC
SETTINGS = NodeSettings(listen=("/ip4/127.0.0.1/tcp/0",))
KEY = PrivateKey((7).to_bytes(32))

OpenNode = Callable[..., Awaitable[Node]]
Serve = Callable[..., Awaitable[WakuTransport]]


def message(number: int, topic: ContentTopic = OWN) -> bytes:
    return wire.encode(
        WakuMessage(payload=number.to_bytes(4), content_topic=topic, version=1, timestamp=time.time_ns())
    )


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hushbell.waku.inbox.missing_messages.SETTLE", 0.1)
    monkeypatch.setattr("hushbell.waku.discovery.peer_manager.FIRST_WAIT", 0.05)


def counter(counted: Counter[str]) -> Callable[[str, int], None]:
    return lambda name, number: counted.update({name: number})


@pytest.fixture
async def new_node(tmp_path: Path, counted: Counter[str]) -> AsyncIterator[OpenNode]:
    made: list[Node] = []

    async def opened(settings: NodeSettings = SETTINGS, key: PrivateKey | None = None) -> Node:
        node = await Node.open(
            settings,
            key=key or secp256k1.key_pair(system_random).private,
            folder=tmp_path / f"node{len(made)}",
            pubsub_topics=pubsub_topics(settings),
            clock=SystemClock(),
            random=system_random,
            count=counter(counted),
        )
        await node.start()
        made.append(node)
        return node

    yield opened
    for node in made:
        await node.close()


@pytest.fixture
async def serve(tmp_path: Path, counted: Counter[str]) -> AsyncIterator[Serve]:
    """Starts the server's end of the network, as often as it takes, on the same data."""
    made: list[WakuTransport] = []

    async def started(**changes: Any) -> WakuTransport:
        settings = replace(SETTINGS, **changes)
        (tmp_path / "server").mkdir(exist_ok=True)
        common: dict[str, Any] = {
            "folder": tmp_path / "server",
            "clock": SystemClock(),
            "random": system_random,
            "count": counter(counted),
        }
        node = await Node.open(settings, key=KEY, pubsub_topics=[SHARD], **common)
        transport = await open_waku(node, settings, topics={SHARD: [OWN]}, **common)
        transport.set_route({OWN, OTHER}.__contains__)
        await transport.start()
        made.append(transport)
        if settings.peers:
            await until(lambda: node.health().ready and node.health().stores)
        return transport

    yield started
    for transport in made:
        await transport.close()


async def received(transport: WakuTransport, count: int) -> list[bytes]:
    came: list[bytes] = []
    async with asyncio.timeout(10):
        while len(came) < count:
            came += [envelope.waku_message for envelope in await transport.receive(100)]
    return came


async def test_a_light_client_finds_every_service(new_node: OpenNode, counted: Counter[str]) -> None:
    node = await new_node()
    came: list[bytes] = []
    host = Host(new_identity(system_random), clock=SystemClock(), random=system_random, count=counter(counted))
    common: dict[str, Any] = {"host": host, "random": system_random, "count": counter(counted)}
    filters = FilterClient(
        **common, clock=SystemClock(), on_message=lambda message: came.append(message.data), message_limit=1024 * 1024
    )
    peer = await host.dial(Multiaddr.parse(node.addresses[0]))
    sent = message(1)

    await filters.subscribe(peer, SHARD, [OWN])
    peers = await LightpushClient(**common).publish(peer, SHARD, sent)
    await until(lambda: came)
    pages = StoreClient(**common, message_limit=1024 * 1024).pages(peer, SHARD, [OWN], since=0)
    kept = [found.waku_message for page in [page async for page in pages] for found in page]
    await host.close()

    assert peers
    assert came == kept == [sent]


async def test_messages_travel_through_nodes_in_a_line_and_each_keeps_them(
    new_node: OpenNode, counted: Counter[str]
) -> None:
    first = await new_node()
    middle = await new_node(replace(SETTINGS, peers=tuple(first.addresses)))
    last = await new_node(replace(SETTINGS, peers=tuple(middle.addresses)))
    came: list[bytes] = []
    last.add_reader(lambda raw: came.append(raw.data))
    await until(lambda: all(node.health().shards[0].mesh for node in (first, middle, last)))
    sent = [message(number) for number in range(50)]

    for data in sent:
        assert first.publish(SHARD, data) == 1
    await until(lambda: len(came) == 50)

    assert came == sent
    health = last.health()
    assert health.ready
    assert (health.connections, health.stores) == (1, 1)
    assert health.shards[0].silent_for is not None
    assert not health.dropped


async def test_what_was_published_while_the_server_was_away_is_fetched_once(new_node: OpenNode, serve: Serve) -> None:
    node = await new_node()
    server = await serve(peers=tuple(node.addresses))
    before = message(0)
    node.publish(SHARD, before)
    assert await received(server, 1) == [before]
    await server.close()
    missed = [message(number) for number in range(1, 251)]
    for data in missed:
        node.publish(SHARD, data)
    node.publish(SHARD, old_query := message(999, OTHER))

    server = await serve(peers=tuple(node.addresses))

    came = await received(server, 251)
    assert set(came) == {*missed, old_query}, "queries of the last minute too"
    assert len(came) == 251


async def test_what_found_no_room_comes_from_the_nodes_own_archive(
    new_node: OpenNode, serve: Serve, counted: Counter[str]
) -> None:
    server = await serve(inbox=10)
    [address] = server._node.addresses  # type: ignore[attr-defined]
    phone = await new_node(replace(SETTINGS, peers=(address,), store=False))
    await until(lambda: phone.health().ready)
    sent = [message(number) for number in range(40)]

    for data in sent:
        phone.publish(SHARD, data)
    await until(lambda: counted["waku_inbox_dropped"])

    assert set(await received(server, 40)) == set(sent)


async def test_a_node_whose_peer_is_gone_for_a_while_finds_it_again(new_node: OpenNode, counted: Counter[str]) -> None:
    hub = await new_node(key=KEY)
    [address] = hub.addresses
    node = await new_node(replace(SETTINGS, peers=(address,)))
    await until(lambda: node.health().ready)

    await hub.close()
    await until(lambda: not node.health().ready)
    await new_node(replace(SETTINGS, listen=(address.split("/p2p")[0],)), key=KEY)

    await until(lambda: node.health().ready)
    assert counted["waku_dials_failed"] >= 0


async def test_an_answer_that_nobody_can_hear_is_not_taken_for_sent(serve: Serve) -> None:
    server = await serve()

    with pytest.raises(TransportError, match="no peer"):
        await server.publish([Envelope(SHARD, message(1))])


async def test_the_next_peer_gets_what_could_not_be_sent_before(new_node: OpenNode, serve: Serve) -> None:
    server = await serve()
    answer = Envelope(SHARD, message(1))
    with pytest.raises(TransportError):
        await server.publish([answer])
    came: list[bytes] = []

    phone = await new_node(replace(SETTINGS, peers=tuple(server._node.addresses)))  # type: ignore[attr-defined]
    phone.add_reader(lambda raw: came.append(raw.data))
    await until(lambda: phone.health().ready and server._node.health().ready)  # type: ignore[attr-defined]
    await server.publish([answer])

    await until(lambda: came)
    assert came == [answer.waku_message]
