"""Hostile peers: none of them takes more memory than a stated bound, and none stops the others."""

import asyncio
import gc
import socket
import tracemalloc
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hushbell.errors import TransportError
from hushbell.waku.libp2p import identify, ping
from hushbell.waku.libp2p.limits import KIB, MIB, HostLimits
from hushbell.waku.libp2p.stream import Stream
from hushbell.waku.libp2p.varint import framed

Until = Callable[[Callable[[], object]], Awaitable[None]]


async def echo(stream: Stream) -> None:
    while data := await stream.read(65536):
        stream.write(data)
        await stream.drain()


async def never_read(stream: Stream) -> None:
    await asyncio.get_running_loop().create_future()


async def read_one(stream: Stream) -> None:
    await stream.read_frame(16 * MIB)


@contextmanager
def memory_below(max_size: int) -> Iterator[None]:
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] - before < max_size
    finally:
        tracemalloc.stop()


async def assert_others_are_served(node: Any, victim: Any) -> None:
    """Somebody else connects and is answered, at once."""
    alice = await node(listen=None)
    async with asyncio.timeout(5):
        stream = await alice.host.open(await alice.host.dial(victim.address), ["/echo"])
        stream.write(b"hello")
        assert await stream.read(5) == b"hello"
    await alice.host.close()


@pytest.fixture
async def victim(node: Any) -> Any:
    """A node with small bounds."""
    limits = HostLimits(unsent_per_stream=1 * MIB, unread_per_connection=256 * KIB, unfinished_per_connection=512 * KIB)
    one = await node(limits=limits)
    one.host.handle("/echo", echo)
    one.host.handle("/never", never_read)
    one.host.handle("/one", read_one)
    return one


async def test_a_stream_whose_peer_does_not_read_is_reset_and_no_other(node: Any, victim: Any, until: Until) -> None:
    bob = await node()
    bob.host.handle("/never", never_read)
    bob.host.handle("/echo", echo)
    peer = await victim.host.dial(bob.address)
    slow, other = await victim.host.open(peer, ["/never"]), await victim.host.open(peer, ["/echo"])

    for _ in range(40):
        slow.write(bytes(64 * KIB))
        await asyncio.sleep(0)

    with pytest.raises(TransportError):
        await slow.drain()
    assert victim.counts["libp2p_reset_unsent_per_stream"] == 1
    other.write(b"still here")
    assert await other.read(10) == b"still here"


async def test_a_socket_that_takes_nothing_is_cut_after_a_while(
    node: Any, victim: Any, mallory: Any, until: Until
) -> None:
    closed: list[str] = []

    async def flood(stream: Stream) -> None:
        stream.on_closed = lambda: closed.append("closed")
        while True:
            stream.write(bytes(64 * KIB))
            await stream.drain()

    victim.host.handle("/flood", flood)
    attacker = await mallory(victim)
    attacker.writer.transport.pause_reading()
    with memory_below(4 * MIB):
        attacker.send(attacker.opening(1, "/flood") + attacker.frame(1, 0, 1, 2**31))
        connection = victim.host.connection(attacker.peer)
        await until(lambda: connection.raw.full)
        await assert_others_are_served(node, victim)

        await victim.clock.pass_by(victim.host.limits.unsent_seconds + 2)

    await until(lambda: closed and attacker.peer not in victim.host.peers)
    assert victim.counts["libp2p_cut_unsent_seconds"] + victim.counts["libp2p_cut_dead_seconds"] == 1


async def test_sending_more_than_the_window_ends_the_connection(victim: Any, mallory: Any) -> None:
    attacker = await mallory(victim)
    attacker.send(attacker.opening(1, "/never"))
    for _ in range(5):
        attacker.send(attacker.frame(0, 0, 1, 64 * KIB, bytes(64 * KIB)))

    assert await attacker.is_cut()
    assert victim.counts["libp2p_faults"] == 1


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "reset at once"])
async def test_a_million_streams_are_not_opened(node: Any, victim: Any, mallory: Any, kept: bool) -> None:
    attacker = await mallory(victim)
    opened = 0
    with memory_below(8 * MIB):
        for first in range(1, 2_000_001, 2000):
            names = range(first, first + 2000, 2)
            data = b""
            for name in names:
                data += attacker.frame(1, 1, name, 0) + (b"" if kept else attacker.frame(1, 8, name, 0))
            attacker.send(data)
            opened += len(names)
            try:
                await attacker.writer.drain()
            except ConnectionError:
                break
            await asyncio.sleep(0)

    assert opened < 1_000_000
    assert victim.counts["libp2p_cut_overhead_per_second"] == 1
    assert attacker.peer not in victim.host.peers
    await assert_others_are_served(node, victim)


async def test_streams_that_name_no_protocol_are_bounded_and_time_out(victim: Any, mallory: Any, until: Until) -> None:
    attacker = await mallory(victim)
    attacker.send(b"".join(attacker.frame(1, 1, name, 0) for name in range(1, 1601, 2)))
    connection = victim.host.connection(attacker.peer)

    await until(lambda: victim.counts["libp2p_refused_streams_unagreed"])
    await until(lambda: connection.inbound == victim.host.limits.streams_unagreed)
    await victim.clock.pass_by(victim.host.limits.handshake_seconds + 1)

    assert connection.inbound == 0
    assert victim.counts["libp2p_streams_timed_out"] >= victim.host.limits.streams_unagreed


async def test_streams_in_one_handler_are_bounded(node: Any, mallory: Any, until: Until) -> None:
    victim = await node(limits=HostLimits(handlers_per_peer=10))
    victim.host.handle("/never", never_read)
    attacker = await mallory(victim)

    attacker.send(b"".join(attacker.opening(name, "/never") for name in range(1, 101, 2)))

    await until(lambda: victim.counts["libp2p_refused_handlers_per_peer"] == 40)
    assert victim.host.connection(attacker.peer).inbound == 10


async def test_whoever_holds_the_most_streams_gives_way(node: Any, mallory: Any, until: Until) -> None:
    victim = await node(limits=HostLimits(streams_in_all=50))
    victim.host.handle("/never", never_read)
    victim.host.handle("/echo", echo)
    alice = await node(listen=None)
    stream = await alice.host.open(await alice.host.dial(victim.address), ["/echo"])
    attacker = await mallory(victim)

    attacker.send(b"".join(attacker.opening(name, "/never") for name in range(1, 201, 2)))

    assert await attacker.is_cut()
    stream.write(b"still here")
    assert await stream.read(10) == b"still here"
    assert victim.counts["libp2p_cut_streams_in_all"] == 1


@pytest.mark.parametrize("kind", [0, 1])
async def test_frames_that_claim_to_be_huge_end_the_connection(victim: Any, mallory: Any, kind: int) -> None:
    attacker = await mallory(victim)

    attacker.send(attacker.frame(kind, 1, 1, 0xFFFFFFFF) + attacker.frame(0, 0, 1, 0xFFFFFFFF))

    assert await attacker.is_cut()


async def test_unread_bytes_stop_the_socket_and_then_cost_the_stream(
    node: Any, victim: Any, mallory: Any, until: Until
) -> None:
    attacker = await mallory(victim)
    with memory_below(4 * MIB):
        for name in range(1, 41, 2):
            attacker.send(attacker.opening(name, "/never") + attacker.frame(0, 0, name, 128 * KIB, bytes(128 * KIB)))
        await until(lambda: victim.counts["libp2p_paused_unread_per_connection"])
        connection = victim.host.connection(attacker.peer)
        assert connection.held < 1 * MIB
        await assert_others_are_served(node, victim)

        for _ in range(20):
            await victim.clock.pass_by(victim.host.limits.unread_seconds + 1)

    assert victim.counts["libp2p_reset_unread_seconds"] >= 2


async def test_unfinished_frames_are_bounded(node: Any, victim: Any, mallory: Any, until: Until) -> None:
    attacker = await mallory(victim)
    claim = b"\xff\xff\xff\x07"
    with memory_below(4 * MIB):
        for name in range(1, 41, 2):
            body = bytes(128 * KIB)
            attacker.send(attacker.opening(name, "/one", claim) + attacker.frame(0, 0, name, len(body), body))

        await until(lambda: victim.counts["libp2p_reset_unfinished_per_connection"] >= 10)
        assert victim.host.connection(attacker.peer).held < 2 * MIB
    await assert_others_are_served(node, victim)


async def test_whoever_holds_the_most_bytes_gives_way(node: Any, mallory: Any) -> None:
    victim = await node(limits=HostLimits(unread_in_all=512 * KIB))
    victim.host.handle("/never", never_read)
    victim.host.handle("/echo", echo)
    alice = await node(listen=None)
    stream = await alice.host.open(await alice.host.dial(victim.address), ["/echo"])
    attacker = await mallory(victim)

    for name in range(1, 41, 2):
        attacker.send(attacker.opening(name, "/never") + attacker.frame(0, 0, name, 128 * KIB, bytes(128 * KIB)))

    assert await attacker.is_cut()
    assert victim.counts["libp2p_cut_unread_in_all"] == 1
    stream.write(b"still here")
    assert await stream.read(10) == b"still here"


@pytest.mark.parametrize("listens", [True, False])
async def test_a_flood_of_pings_ends_the_connection(victim: Any, mallory: Any, listens: bool) -> None:
    attacker = await mallory(victim)
    if not listens:
        attacker.writer.transport.pause_reading()
    with memory_below(4 * MIB):
        for _ in range(100):
            attacker.send(attacker.frame(2, 1, 0, 1) * 1000)
            await asyncio.sleep(0)
            if attacker.peer not in victim.host.peers:
                break

    assert attacker.peer not in victim.host.peers
    assert sum(victim.counts[name] for name in ("libp2p_cut_overhead_per_second", "libp2p_cut_control_most")) == 1


async def test_a_flood_of_the_ping_protocol_resets_its_stream(victim: Any, mallory: Any, until: Until) -> None:
    attacker = await mallory(victim)

    attacker.send(attacker.opening(1, ping.PROTOCOL, bytes(ping.SIZE * 100)))

    await until(lambda: victim.counts["libp2p_refused_pings_per_second"])
    assert attacker.peer in victim.host.peers


async def test_a_long_identify_is_not_read(node: Any, until: Until) -> None:
    alice, bob = await node(listen=None), await node(limits=HostLimits(identify_most=1000))
    for number in range(100):
        alice.host.handle(f"/protocol/of/some/length/{number}", echo)

    await alice.host.dial(bob.address)

    await until(lambda: bob.identified)
    assert bob.seen[0][2] == ()
    assert bob.counts["libp2p_identify_failed"] == 1


async def test_a_push_of_another_peers_key_is_refused(victim: Any, mallory: Any, until: Until) -> None:
    attacker = await mallory(victim)
    about = identify.encode(b"\x08\x02\x12\x01x", identify.Identify(("/fake",)))

    attacker.send(attacker.opening(1, identify.PUSH, framed(about)) + attacker.frame(1, 4, 1, 0))

    await until(lambda: victim.counts["libp2p_streams_failed"])
    assert not [seen for seen in victim.seen if "/fake" in seen[2]]


async def test_half_open_handshakes_make_room_for_others(node: Any, until: Until) -> None:
    victim = await node(limits=HostLimits(handshakes=20))
    victim.host.handle("/echo", echo)
    silent = [
        await asyncio.open_connection("127.0.0.1", victim.address.port, local_addr=("127.0.0.66", 0)) for _ in range(60)
    ]

    await until(lambda: victim.counts["libp2p_cut_handshakes"] == 40)
    assert victim.host.unauthenticated == 20
    await assert_others_are_served(node, victim)
    await victim.clock.pass_by(victim.host.limits.handshake_seconds + 2)

    assert victim.host.unauthenticated == 0
    assert victim.counts["libp2p_cut_handshake_seconds"] >= 19
    for _, writer in silent:
        writer.close()


async def test_a_flood_of_connections_is_refused_before_it_costs_anything(node: Any, until: Until) -> None:
    victim = await node(limits=HostLimits(connections=200, connections_per_address=30))
    victim.host.handle("/echo", echo)
    with memory_below(4 * MIB):
        flood = [
            await asyncio.open_connection("127.0.0.1", victim.address.port, local_addr=("127.0.0.66", 0))
            for _ in range(300)
        ]
        await until(lambda: victim.counts["libp2p_refused_connections_per_address"] == 270)

        await assert_others_are_served(node, victim)

    for _, writer in flood:
        writer.close()
    await until(lambda: victim.host.unauthenticated == 0)
    await assert_others_are_served(node, victim)


async def test_over_the_total_even_new_addresses_are_refused_but_own_dials_are_not(node: Any, until: Until) -> None:
    victim = await node(limits=HostLimits(connections=5))
    bob = await node()
    sockets = [
        await asyncio.open_connection("127.0.0.1", victim.address.port, local_addr=(f"127.0.0.{10 + number}", 0))
        for number in range(8)
    ]

    await until(lambda: victim.counts["libp2p_refused_connections"] == 3)

    assert await victim.host.dial(bob.address) == bob.host.peer_id
    for _, writer in sockets:
        writer.close()


async def test_a_silent_peer_is_asked_and_then_given_up(node: Any, victim: Any, mallory: Any, until: Until) -> None:
    alice = await node(listen=None)
    await alice.host.dial(victim.address)
    await mallory(victim)
    await until(lambda: len(victim.host.peers) == 2 and alice.identified)

    for _ in range(12):
        await victim.clock.pass_by(10)
        await asyncio.sleep(0.001)

    await until(lambda: victim.counts["libp2p_cut_dead_seconds"] == 1)
    assert victim.host.peers == (alice.host.peer_id,)


async def test_bytes_nobody_reads_any_more_are_forgotten(node: Any, victim: Any, until: Until) -> None:
    alice = await node(listen=None)

    async def ignore(stream: Stream) -> None:
        await stream.read(1)

    victim.host.handle("/ignore", ignore)
    stream = await alice.host.open(await alice.host.dial(victim.address), ["/ignore"])
    for _ in range(20):
        stream.write(bytes(64 * KIB))
        await stream.drain()

    assert await stream.read(1) == b""
    connection = victim.host.connection(alice.host.peer_id)
    await until(lambda: connection.held == 0)
    await victim.clock.pass_by(victim.host.limits.linger_seconds + 2)
    await until(lambda: connection.streams == 0)


@pytest.mark.slow
async def test_ten_thousand_connections_cost_nobody_anything(node: Any, until: Until) -> None:
    victim = await node()
    victim.host.handle("/echo", echo)
    flood: deque[socket.socket] = deque()
    with memory_below(32 * MIB):
        for number in range(10_000):
            address = f"127.0.{1 + number // 1000}.{1 + number // 100 % 10}"
            flood.append(socket.create_connection(("127.0.0.1", victim.address.port), source_address=(address, 0)))
            if len(flood) > 300:
                flood.popleft().close()
            if number % 50 == 49:
                await asyncio.sleep(0)
            if number % 1000 == 999:
                await assert_others_are_served(node, victim)

    for one in flood:
        one.close()
    await until(lambda: not victim.host.unauthenticated)
    assert victim.counts["libp2p_connections_inbound"] > 9_000
