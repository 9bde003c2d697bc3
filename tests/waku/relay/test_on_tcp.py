"""The relay on the real host: TCP on loopback, Noise and a muxer below it."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from random import Random as Seeded
from typing import Any

import pytest

from hushbell.types import Millis
from hushbell.waku.libp2p import keys, mplex, yamux
from hushbell.waku.libp2p.host import Host
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.relay.peer_streams import ConnectionInfo
from hushbell.waku.relay.relay import Relay
from hushbell.waku.relay.settings import RelaySettings

LOOPBACK = Multiaddr.parse("/ip4/127.0.0.1/tcp/0")
TOPIC = "/waku/2/rs/16/32"


class Standing:
    """Time stands still; who sleeps is not woken."""

    def now(self) -> Millis:
        return Millis(1_700_000_000_000)

    async def sleep(self, seconds: float) -> None:
        await asyncio.get_running_loop().create_future()


@dataclass
class Node:
    host: Host
    relay: Relay
    counts: Counter[str]
    got: list[bytes] = field(default_factory=list)

    def take(self, topic: str, data: bytes) -> None:
        assert topic == TOPIC
        self.got.append(data)


MakeNode = Callable[..., Awaitable[Node]]


@pytest.fixture
async def node() -> AsyncIterator[MakeNode]:
    made: list[Node] = []
    seeds = itertools.count(1)

    async def make(**settings: Any) -> Node:
        random = Seeded(next(seeds)).randbytes
        counts: Counter[str] = Counter()

        def count(name: str, number: int) -> None:
            counts[name] += number

        clock = Standing()
        host = Host(keys.new_identity(random), clock=clock, random=random, count=count, **settings)

        def origin(peer: PeerId) -> ConnectionInfo:
            connection = host.connection(peer)
            assert connection is not None
            return ConnectionInfo(connection.raw.remote, connection.outbound)

        relay = Relay(host, RelaySettings(), clock=clock, random=random, count=count, connection_info=origin)
        one = Node(host, relay, counts)
        relay.on_message = one.take
        relay.subscribe(TOPIC)
        await host.listen(LOOPBACK)
        made.append(one)
        return one

    yield make
    for one in made:
        await one.relay.close()
        await one.host.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the condition is made true by other tasks of this loop
            await asyncio.sleep(0.001)


async def line(node: MakeNode, number: int, **settings: Any) -> list[Node]:
    nodes = [await node(**settings) for _ in range(number)]
    for one, other in itertools.pairwise(nodes):
        await one.host.dial(other.host.addresses[0])
    neighbours = [1, *[2] * (number - 2), 1]
    await until(lambda: [one.relay.mesh(TOPIC) for one in nodes] == neighbours)
    return nodes


async def burst(world: Any, source: Node, numbers: range) -> list[bytes]:
    messages = [world.message(number, payload=number.to_bytes(4, "big") + bytes(1020)) for number in numbers]
    for place, data in enumerate(messages):
        assert source.relay.publish(TOPIC, data) == 1
        if place % 500 == 499:
            await source.relay.wait_for_room()
    return messages


@pytest.mark.parametrize("muxer", [yamux.PROTOCOL, mplex.PROTOCOL])
async def test_a_burst_of_5000_crosses_a_line_of_three_whole(world: Any, node: MakeNode, muxer: str) -> None:
    one, two, three = await line(node, 3, muxers=(muxer,))

    sent = await burst(world, one, range(5000))
    await until(lambda: len(three.got) == 5000)

    assert two.got == sent
    assert three.got == sent
    assert not two.counts["relay_forward_dropped"]


async def test_bursts_cross_each_other(world: Any, node: MakeNode) -> None:
    one, two = await line(node, 2)

    there, back = await asyncio.gather(burst(world, one, range(3000)), burst(world, two, range(3000, 6000)))
    await until(lambda: len(one.got) == len(two.got) == 3000)

    assert (two.got, one.got) == (there, back)


async def test_the_largest_message_passes(world: Any, node: MakeNode) -> None:
    one, two = await line(node, 2)
    data = world.message(payload=bytes(1024 * 1024 - 600))

    one.relay.publish(TOPIC, data)
    await until(lambda: two.got)

    assert two.got == [data]


async def test_a_peer_that_goes_and_comes_again_hears_what_follows(world: Any, node: MakeNode) -> None:
    one, two = await line(node, 2)

    one.host.disconnect(two.host.peer_id)
    await until(lambda: not one.relay.subscribers(TOPIC) and not two.relay.subscribers(TOPIC))
    assert one.relay.publish(TOPIC, world.message()) == 0
    await one.host.dial(two.host.addresses[0])
    await until(lambda: one.relay.subscribers(TOPIC))
    one.relay.publish(TOPIC, world.message())
    await until(lambda: two.got)

    assert two.got == [world.message()]


async def test_who_dialled_is_known_to_the_mesh(node: MakeNode) -> None:
    one, two = await line(node, 2)

    assert one.relay._peers.known[two.host.peer_id].outbound
    assert not two.relay._peers.known[one.host.peer_id].outbound


async def test_a_relay_that_closes_says_so_to_its_neighbours(node: MakeNode) -> None:
    one, two = await line(node, 2)

    await one.relay.close()
    await until(lambda: not two.relay.subscribers(TOPIC))

    assert two.relay.mesh(TOPIC) == 0
    assert one.host.peer_id in two.host.peers
