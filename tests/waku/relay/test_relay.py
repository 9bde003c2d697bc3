"""The relay as its neighbours and its node meet it, on a host in memory."""

import asyncio
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from typing import Any

import pytest

from hushbell.errors import TooLarge, TransportError, Undecodable
from hushbell.waku.relay.settings import RelayLimits, RelaySettings


async def meshed(world: Any, names: str, settings: RelaySettings | None = None) -> list[Any]:
    """Nodes that all listen and are connected in a line."""
    nodes = [world.node(name, settings) for name in names]
    for node in nodes:
        node.relay.subscribe(world.topic)
    for one, other in pairwise(nodes):
        await world.connect(one, other)
    return nodes


async def test_a_message_travels_a_line_of_three_at_once(world: Any) -> None:
    one, two, three = await meshed(world, "123")

    sent = one.relay.publish(world.topic, world.message())
    await world.settle()

    assert sent == 1
    assert [node.got for node in (one, two, three)] == [[], *[[(world.topic, world.message())]] * 2]


async def test_a_burst_arrives_whole_and_in_order(world: Any) -> None:
    one, two, three = await meshed(world, "123")
    messages = [world.message(number) for number in range(2000)]

    for data in messages:
        one.relay.publish(world.topic, data)
    await world.settle(200)

    assert [data for _, data in two.got] == messages
    assert [data for _, data in three.got] == messages
    assert not two.counts["relay_forward_dropped"]


async def test_in_a_ring_everybody_hears_a_message_once(world: Any) -> None:
    nodes = await meshed(world, "1234")
    await world.connect(nodes[3], nodes[0])

    nodes[0].relay.publish(world.topic, world.message())
    await world.settle()
    await world.beat()

    assert [len(node.got) for node in nodes] == [0, 1, 1, 1]
    assert sum(node.counts["relay_duplicates"] for node in nodes) >= 1


async def test_a_message_is_forwarded_as_it_came_and_not_to_its_source(world: Any) -> None:
    node = world.node("1")
    node.relay.subscribe(world.topic)
    source, other = world.mallory("2"), world.mallory("3")
    for peer in (source, other):
        await peer.meet(node)
        await peer.join()

    await source.send(world.frame(world.message()))

    assert other.got == [world.message()]
    assert source.got == []


async def test_a_peer_hears_first_what_we_listen_to(world: Any) -> None:
    node = world.node("1")
    node.relay.subscribe(world.topic)
    peer = world.mallory()

    await peer.meet(node)
    node.relay.subscribe("/waku/2/rs/16/64")
    node.relay.unsubscribe(world.topic)
    await world.settle()

    said = [change for rpc in peer.heard for change in rpc.control.subscriptions]
    assert said == [(True, world.topic), (True, "/waku/2/rs/16/64"), (False, world.topic)]


async def test_publishing_to_nobody_says_so_and_can_be_repeated(world: Any) -> None:
    one, two = world.node("1"), world.node("2")
    one.relay.subscribe(world.topic)
    two.relay.subscribe(world.topic)

    assert one.relay.publish(world.topic, world.message()) == 0
    await world.connect(one, two)
    assert one.relay.publish(world.topic, world.message()) == 1
    await world.settle()

    assert two.got == [(world.topic, world.message())]


async def test_a_node_publishes_to_a_topic_that_it_does_not_listen_to(world: Any) -> None:
    for flood, name in ((True, "1"), (False, "2")):
        one = world.node(name, RelaySettings(flood_publish=flood))
        two = world.node(f"3{name}")
        two.relay.subscribe(world.topic)
        await world.connect(one, two)

        assert one.relay.publish(world.topic, world.message()) == 1
        await world.settle()

        assert two.got == [(world.topic, world.message())]


async def test_who_is_outside_the_mesh_gets_messages_by_gossip(world: Any) -> None:
    node = world.node("1")
    node.relay.subscribe(world.topic)
    source, outside = world.mallory("2"), world.mallory("3")
    await source.meet(node)
    await source.join()
    await outside.meet(node)
    await outside.join(graft=False)
    await outside.control_for(prune=[(world.topic, 60)])

    await source.send(world.frame(world.message()))
    assert outside.got == []
    await world.beat()
    offered = [key for rpc in outside.heard for _, ids in rpc.control.ihave for key in ids]
    await outside.control_for(iwant=offered)

    assert outside.got == [world.message()]


async def test_a_node_asks_for_what_it_was_offered_and_missed(world: Any) -> None:
    one, two = world.node("1", RelaySettings(flood_publish=False)), world.node("2")
    one.relay.subscribe(world.topic)
    await world.connect(one, two)
    for node in (one, two):
        node.relay._mesh._backoffs.set(world.topic, two.host.peer_id, world.clock.time + 60_000)
        node.relay._mesh._backoffs.set(world.topic, one.host.peer_id, world.clock.time + 60_000)
    two.relay.subscribe(world.topic)
    source = world.mallory("3")
    await source.meet(one)
    await source.join()

    await source.send(world.frame(world.message()))
    assert (one.relay.mesh(world.topic), len(two.got)) == (1, 0)
    await world.beat()

    assert two.got == [(world.topic, world.message())]


@pytest.mark.parametrize(
    "changes,error",
    [
        ({"payload": b""}, Undecodable),
        ({"content_topic": ""}, Undecodable),
        ({"content_topic": "/" + "x" * 256}, Undecodable),
        ({"meta": bytes(65)}, Undecodable),
        ({"payload": bytes(1024 * 1024)}, TooLarge),
    ],
)
async def test_what_others_would_refuse_is_not_published(world: Any, changes: dict[str, Any], error: type) -> None:
    node = world.node("1")

    with pytest.raises(error):
        node.relay.publish(world.topic, world.message(**changes))


async def test_topics_are_bounded(world: Any) -> None:
    node = world.node("1", RelaySettings(limits=RelayLimits(topics=2)))
    node.relay.subscribe("a")
    node.relay.publish("b", world.message())

    with pytest.raises(TransportError):
        node.relay.subscribe("c")
    with pytest.raises(TransportError):
        node.relay.publish("x" * 300, world.message())


async def test_the_nodes_own_rule_stops_a_message_without_blame(world: Any) -> None:
    node = world.node("1", validator=lambda _, data: b"secret" not in data)
    node.relay.subscribe(world.topic)
    peer = world.mallory()
    await peer.meet(node)
    await peer.join()

    await peer.send(world.frame(world.message(payload=b"secret")))

    assert node.got == []
    assert node.counts["relay_refused_refused"] == 1
    assert node.relay.score(peer.peer) >= 0


async def test_a_peer_that_lost_its_stream_is_met_anew(world: Any) -> None:
    node = world.node("1")
    node.relay.subscribe(world.topic)
    peer = world.mallory()
    await peer.meet(node)
    peer.heard.clear()

    peer.inbound.reset()
    await world.settle()

    assert node.counts["relay_streams_lost"] == 1
    assert [rpc.control.subscriptions for rpc in peer.heard] == [[(True, world.topic)]]


async def test_a_peer_that_half_closes_its_reading_stream_is_still_written_to(world: Any) -> None:
    node = world.node("1")
    node.relay.subscribe(world.topic)
    peer = world.mallory()
    await peer.meet(node)
    await peer.join()

    peer.inbound.other.on_closed()
    await world.settle()
    node.relay.publish(world.topic, world.message())
    await world.settle()

    assert peer.got == [world.message()]


async def test_nothing_is_left_of_a_peer_that_goes(world: Any) -> None:
    node = world.node("1")
    node.relay.subscribe(world.topic)
    peer = world.mallory()
    await peer.meet(node)
    await peer.join()
    await peer.send(world.frame(world.message())[:10])

    world.network.disconnect(node.host.peer_id, peer.peer)
    await world.settle()

    assert (node.relay.mesh(world.topic), node.relay.subscribers(world.topic)) == (0, 0)
    assert not node.relay._queues
    assert node.relay._peer_streams._partial.size == 0
    assert not node.host.tasks
    assert len(node.relay._scores) == 0


async def test_a_peer_without_the_protocol_is_left_alone(world: Any) -> None:
    node = world.node("1")
    other = world.network.host("2")

    world.network.connect(node.host.peer_id, other.peer_id)
    await world.settle()

    assert not node.relay._queues


async def test_the_heart_beats_until_the_relay_is_closed(world: Any) -> None:
    node = world.node("1")
    node.relay.start()
    await world.settle()

    await node.relay.close()

    assert node.relay._heartbeat_task.done()
    assert node.relay._mesh._beats > 1


async def test_a_relay_that_closes_says_so_first(world: Any) -> None:
    node = world.node("1")
    node.relay.subscribe(world.topic)
    peer = world.mallory()
    await peer.meet(node)
    await peer.join()
    peer.heard.clear()

    await node.relay.close()
    await world.settle()

    [said] = [rpc.control for rpc in peer.heard]
    assert (said.subscriptions, said.prune) == ([(False, world.topic)], [(world.topic, 5)])


async def test_a_kept_promise_costs_nothing(world: Any) -> None:
    node = world.node("1")
    node.relay.subscribe(world.topic)
    peer = world.mallory()
    await peer.meet(node)
    await peer.join()

    await peer.control_for(ihave=[(world.topic, [sha256(world.message()).digest()])])
    asked = [key for rpc in peer.heard for key in rpc.control.iwant]
    await peer.send(world.frame(world.message()))
    await world.beat(4)

    assert asked == [sha256(world.message()).digest()]
    assert node.counts["relay_broken_promises"] == 0


async def test_a_publisher_can_wait_for_slow_peers(world: Any) -> None:
    settings = RelaySettings(limits=replace(RelayLimits(), in_stream=1000))
    node = world.node("1", settings)
    node.host.window = 5000
    peer = world.mallory()
    await peer.meet(node)
    await peer.join()
    for number in range(100):
        node.relay.publish(world.topic, world.message(number, payload=bytes(1000)))
    stream = next(iter(node.relay._queues.values()))._stream

    async def reads() -> None:
        for _ in range(50):
            stream.flow(65_536)
            await world.settle(5)

    reading = asyncio.ensure_future(reads())
    await node.relay.wait_for_room()

    assert next(iter(node.relay._queues.values())).size == 0
    await reading
