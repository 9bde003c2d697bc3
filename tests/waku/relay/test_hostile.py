"""Mallory at the relay: everything that she tries is counted, bounded, and costs the others nothing."""

import asyncio
from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.errors import TransportError
from hushbell.waku.relay.peer_streams import ConnectionInfo
from hushbell.waku.relay.rpc import varint
from hushbell.waku.relay.settings import PROTOCOL, RelayLimits, RelaySettings


async def attacked(world: Any, settings: RelaySettings | None = None, **more: Any) -> tuple[Any, Any, Any]:
    """A node that listens, with Mallory and Alice in its mesh."""
    node = world.node("1", settings, **more)
    node.relay.subscribe(world.topic)
    mallory, alice = world.mallory("66"), world.mallory("2")
    for peer in (mallory, alice):
        await peer.meet(node)
        await peer.join()
    return node, mallory, alice


def signed(data: bytes, topic: str, field: int) -> bytes:
    """A message with a field that must be absent, though it is empty."""
    inner = bytes((field << 3 | 2, 0)) + b"\x12" + varint(len(data)) + data + b"\x22" + varint(len(topic))
    inner += topic.encode()
    body = b"\x12" + varint(len(inner)) + inner
    return varint(len(body)) + body


@pytest.mark.parametrize("field", [1, 3, 5, 6])
async def test_a_message_with_an_author_is_refused_and_blamed(world: Any, field: int) -> None:
    node, mallory, alice = await attacked(world)

    await mallory.send(signed(world.message(), world.topic, field))

    assert (node.got, alice.got) == ([], [])
    assert node.counts["relay_refused_signed"] == 1
    assert node.relay.score(mallory.peer) == -100
    assert node.relay.score(alice.peer) >= 0


async def test_a_signed_copy_does_not_keep_out_the_honest_message(world: Any) -> None:
    node, mallory, alice = await attacked(world)

    await mallory.send(signed(world.message(), world.topic, 5))
    await alice.send(world.frame(world.message()))

    assert node.got == [(world.topic, world.message())]


async def test_garbage_messages_lead_to_the_graylist_and_coming_back_does_not_help(world: Any) -> None:
    node, mallory, _ = await attacked(world)

    for number in range(12):
        if mallory.out.gone:
            break
        await mallory.send(world.frame(b"\x0a\x05ab" + bytes([number])))
    await mallory.meet(node)
    await mallory.send(world.frame(world.message()))

    assert node.counts["relay_refused_invalid"] == 11
    assert node.counts["relay_cut_graylisted"] == 1
    assert node.counts["relay_graylisted"] == 1
    assert node.host.cut == [mallory.peer]
    assert node.got == []


@pytest.mark.parametrize(
    "name,changes",
    [
        ("future", {"timestamp": 2**62}),
        ("empty", {"payload": b""}),
        ("long_topic", {"content_topic": "/" * 300}),
        ("large", {"payload": bytes(1024 * 1024)}),
    ],
)
async def test_what_honest_peers_may_pass_on_is_dropped_without_blame(
    world: Any, name: str, changes: dict[str, Any]
) -> None:
    node, mallory, alice = await attacked(world)

    await mallory.send(*[world.frame(world.message(number, **changes)) for number in range(20)])

    assert (node.got, alice.got) == ([], [])
    assert node.counts[f"relay_refused_{name}"] == 20
    assert node.relay.score(mallory.peer) >= 0


async def test_a_message_for_another_topic_is_counted_and_dropped(world: Any) -> None:
    node, mallory, _ = await attacked(world)

    await mallory.send(world.frame(world.message(), "/waku/2/rs/16/64"))

    assert node.got == []
    assert node.counts["relay_refused_topic"] == 1


@pytest.mark.parametrize(
    "frame",
    [
        b"\x02\x0b\x0c",  # a group
        b"\x81\x00\x00",  # a length that is not the shortest: go-libp2p would end our stream if we sent it on
        varint(4 * 1024 * 1024 + 1),
        varint(5000 * 2) + b"\x12\x00" * 5000,
        varint(40_000 * 2) + b"\x20\x00" * 40_000,
    ],
)
async def test_what_is_no_rpc_ends_the_stream_and_four_times_the_connection(world: Any, frame: bytes) -> None:
    node, mallory, alice = await attacked(world)

    for _ in range(4):
        await mallory.send(frame)
        if mallory.peer in node.relay._queues:
            mallory.out = await mallory.host.open(node.host.peer_id, (PROTOCOL,))
    await alice.send(world.frame(world.message()))

    assert node.counts["relay_malformed"] == 4
    assert node.counts["relay_cut_graylisted"] == 1
    assert node.got == [(world.topic, world.message())]


async def test_a_flood_of_subscriptions_is_bounded(world: Any) -> None:
    node, mallory, _ = await attacked(world)

    for _ in range(20):
        await mallory.control_for(subscriptions=[(True, f"/{_}/{number}") for number in range(1000)])

    assert len(node.relay._peers.known[mallory.peer].topics) <= 128
    assert node.counts["relay_subscription_floods"] >= 19
    assert node.relay.score(mallory.peer) < -1000
    await world.beat()
    assert node.relay.mesh(world.topic) == 1


async def test_grafts_during_the_back_off_end_on_the_graylist(world: Any) -> None:
    node, mallory, _ = await attacked(world)
    await mallory.control_for(prune=[(world.topic, 60)])

    for _ in range(20):
        await mallory.control_for(graft=[world.topic])
    await world.beat()

    assert 15 < node.counts["relay_grafts_too_early"] <= 20
    assert node.counts["relay_cut_graylisted"] == 1
    assert node.relay.mesh(world.topic) == 1


async def test_asking_again_and_again_is_answered_three_times(world: Any) -> None:
    node, mallory, alice = await attacked(world)
    await alice.send(world.frame(world.message()))
    key = next(iter(node.relay._seen.ids))

    await mallory.control_for(iwant=[key] * 1000)
    for _ in range(100):
        await mallory.control_for(iwant=[key])

    assert mallory.got.count(world.message()) == 1 + 3


async def test_offers_that_are_not_kept_cost(world: Any) -> None:
    node, mallory, _ = await attacked(world)

    for beat in range(12):
        for number in range(20):
            await mallory.control_for(ihave=[(world.topic, [(beat * 100 + number).to_bytes(32, "big")] * 3)])
        await world.beat()
    asked = sum(len(rpc.control.iwant) for rpc in mallory.heard)

    assert asked == node.counts["relay_broken_promises"] == 30  # three heartbeats of ten; then nobody listens to her
    assert node.counts["relay_ihave_refused"] > 0
    assert node.relay.score(mallory.peer) < -1000
    assert node.relay.mesh(world.topic) == 1
    assert not node.relay._gossip.promises


async def test_recommended_peers_are_not_dialled(world: Any) -> None:
    node, mallory, _ = await attacked(world)
    before = set(node.host.dialled)

    inner = b"\x0a" + varint(len(world.topic)) + world.topic.encode() + b"\x12\x04\x0a\x02ab" * 16 + b"\x18\x3c"
    body = b"\x22" + varint(len(inner)) + inner
    rpc = b"\x1a" + varint(len(body)) + body
    await mallory.send(varint(len(rpc)) + rpc)

    assert node.host.dialled == before
    assert node.counts["relay_peers_not_followed"] == 16
    assert node.relay.mesh(world.topic) == 1


async def test_streams_without_end_leave_one_reader(world: Any) -> None:
    node, mallory, _ = await attacked(world)

    for _ in range(300):
        await mallory.host.open(node.host.peer_id, (PROTOCOL,))
    await world.settle(400)

    assert len(node.host.tasks) == 2
    assert len(node.relay._queues) == 2


async def test_a_peer_that_does_not_read_holds_a_bounded_amount_and_is_cut(world: Any) -> None:
    limits = replace(RelayLimits(), in_stream=10_000, forwarded=50_000, stalled=5)
    node = world.node("1", RelaySettings(limits=limits))
    node.relay.subscribe(world.topic)
    node.host.window = 10_000
    mallory, alice = world.mallory("66"), world.mallory("2")
    mallory.reads = False
    await mallory.meet(node)
    await mallory.join()
    node.host.window = 1 << 30
    await alice.meet(node)
    await alice.join()
    source = world.mallory("3")
    await source.meet(node)
    await source.join()

    held = []
    for beat in range(8):
        await source.send(*[world.frame(world.message(beat * 100 + number)) for number in range(2000)])
        held.append(node.relay._peer_streams._total.size)
        await world.beat()

    assert max(held) <= 50_000
    assert len(alice.got) == len(node.got) == 2000 + 7 * 100
    assert node.host.cut == [mallory.peer]
    assert node.relay._peer_streams._total.size == 0


async def test_a_flood_does_not_delay_the_others(world: Any) -> None:
    node, mallory, alice = await attacked(world, RelaySettings(limits=replace(RelayLimits(), tick_messages=50)))
    honest = world.message(1_000_000)
    order: list[bytes] = []
    node.relay.on_message = lambda _, data: order.append(data)
    flood = b"".join(world.frame(world.message(number)) for number in range(5000))

    mallory.out.write(flood)
    await asyncio.sleep(0)
    alice.out.write(world.frame(honest))
    await world.settle(300)

    assert order.index(honest) <= 100
    assert len(order) == 5001


async def test_unfinished_rpcs_of_many_peers_are_bounded(world: Any) -> None:
    limits = replace(RelayLimits(), partial=1_000_000, share=10_000)
    node = world.node("1", RelaySettings(limits=limits))
    node.relay.subscribe(world.topic)
    crowd = [world.mallory(str(number)) for number in range(100, 130)]
    for peer in crowd:
        await peer.meet(node)
    frame = world.frame(world.message(payload=bytes(900_000)))

    for place in range(0, 200_000, 50_000):
        for peer in crowd:
            await peer.send(frame[place : place + 50_000])
    held = node.relay._peer_streams._partial.size
    alice = world.mallory("2")
    await alice.meet(node)
    await alice.send(world.frame(world.message())[:20], world.frame(world.message())[20:])

    assert held <= 1_000_000 + len(crowd) * 10_000
    assert node.got == [(world.topic, world.message())]
    assert node.counts["relay_malformed"] > 0


async def test_many_peers_of_one_address_do_not_get_into_the_mesh(world: Any) -> None:
    node = world.node("1")
    node.relay._peer_streams._connection_info = lambda _: ConnectionInfo("192.0.2.66", outbound=False)
    node.relay.subscribe(world.topic)
    for number in range(100, 108):
        peer = world.mallory(str(number))
        await peer.meet(node)
        await peer.join()

    await world.beat()

    assert node.relay.mesh(world.topic) == 0


async def test_a_host_that_never_opens_a_stream_is_given_up(world: Any) -> None:
    node = world.node("1")
    node.relay.subscribe(world.topic)
    mallory = world.mallory()

    async def refuses(*_: Any) -> Any:
        raise TransportError("no")

    node.host.open = refuses
    world.network.connect(mallory.peer, node.host.peer_id)
    await world.settle()

    assert node.counts["relay_open_failed"] == 1
    assert not node.relay._queues


async def test_a_peer_that_resets_every_stream_is_not_met_for_ever(world: Any) -> None:
    node = world.node("1")
    node.relay.subscribe(world.topic)
    mallory = world.mallory()

    async def resets(stream: Any) -> None:
        stream.reset()

    mallory.host.handlers[PROTOCOL] = resets
    world.network.connect(mallory.peer, node.host.peer_id)
    await world.settle(200)

    assert node.counts["relay_streams_lost"] == 3
    assert not node.relay._queues


steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 4), st.integers(0, 5)),
        st.tuples(st.just("graft"), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("prune"), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("publish"), st.just(0), st.integers(0, 5)),
        st.tuples(st.just("garbage"), st.integers(0, 4), st.just(0)),
    ),
    max_size=25,
)


@given(steps)
def test_an_accepted_message_is_handed_over_once_and_sent_to_the_mesh_but_its_source(
    worlds: Any, history: list[tuple[str, int, int]]
) -> None:
    async def play() -> None:
        world = worlds()
        node = world.node("1")
        node.relay.subscribe(world.topic)
        peers = [world.mallory(str(number)) for number in range(10, 15)]
        for peer in peers:
            await peer.meet(node)
            await peer.join(graft=False)
        accepted: list[bytes] = []
        own: set[bytes] = set()
        expected: dict[Any, list[bytes]] = defaultdict(list)
        for kind, number, which in history:
            peer, data = peers[number], world.message(which)
            mesh = set(node.relay._mesh.members[world.topic])
            if kind == "send" and peer.peer in node.relay._queues:
                await peer.send(world.frame(data))
                if data not in accepted:
                    accepted.append(data)
                    for other in mesh - {peer.peer}:
                        expected[other].append(data)
            elif kind == "publish" and data not in accepted and node.relay.publish(world.topic, data):
                await world.settle()
                accepted.append(data)
                own.add(data)
                for other in node.relay._queues:
                    expected[other].append(data)
            elif kind == "graft":
                await peer.control_for(graft=[world.topic])
            elif kind == "prune":
                await peer.control_for(prune=[(world.topic, 60)])
            elif kind == "garbage":
                await peer.send(world.frame(b"\xff"))
        assert [data for _, data in node.got] == [data for data in accepted if data not in own]
        for peer in peers:
            assert peer.got == expected[peer.peer]
        await node.relay.close()

    asyncio.run(play())
