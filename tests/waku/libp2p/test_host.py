"""Two hosts over loopback: dialling, streams, identify, and how they end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hushbell.errors import TooLarge, TransportError, Undecodable
from hushbell.waku.libp2p import identify, keys, ping
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.stream import Stream

Until = Callable[[Callable[[], object]], Awaitable[None]]
MUXERS = ("/yamux/1.0.0", "/mplex/6.7.0")


async def echo(stream: Stream) -> None:
    while data := await stream.read(65536):
        stream.write(data)
        await stream.drain()


@pytest.fixture(params=MUXERS)
def muxer(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_what_one_side_writes_the_other_reads(node: Any, until: Until, muxer: str) -> None:
    alice, bob = await node(listen=None, muxers=(muxer,)), await node(muxers=(muxer,))
    bob.host.handle("/echo", echo)

    peer = await alice.host.dial(bob.address)
    stream = await alice.host.open(peer, ["/unknown", "/echo"])
    stream.write(b"hello")

    assert peer == bob.host.peer_id
    assert stream.protocol == "/echo"
    assert await stream.read(100) == b"hello"
    stream.close_write()
    assert await stream.read(100) == b""
    await until(lambda: alice.identified and bob.identified)
    assert alice.host.connection(peer).muxer_name == muxer
    await until(lambda: alice.host.connection(peer).streams == 0)


async def test_more_than_any_window_comes_through_in_order(node: Any, muxer: str) -> None:
    alice, bob = await node(listen=None, muxers=(muxer,)), await node(muxers=(muxer,))
    bob.host.handle("/echo", echo)
    stream = await alice.host.open(await alice.host.dial(bob.address), ["/echo"])
    sent = bytes(range(256)) * 12_000

    async def write() -> None:
        for start in range(0, len(sent), 100_000):
            stream.write(sent[start : start + 100_000])
            await stream.drain()
        stream.close_write()

    writing = asyncio.create_task(write())
    came = bytearray()
    while piece := await stream.read(1 << 20):
        came += piece
    await writing

    assert came == sent


async def test_frames_longer_than_the_window_come_whole(node: Any, muxer: str) -> None:
    alice, bob = await node(listen=None, muxers=(muxer,)), await node(muxers=(muxer,))
    frames: list[bytes] = []

    async def collect(stream: Stream) -> None:
        frames.append(await stream.read_frame(1 << 20))
        frames.append(await stream.read_frame(10))
        stream.write_frame(b"thanks")

    bob.host.handle("/frames", collect)
    stream = await alice.host.open(await alice.host.dial(bob.address), ["/frames"])

    stream.write_frame(b"x" * (1 << 20))
    stream.write_frame(b"short")

    assert await stream.read_frame(10) == b"thanks"
    assert frames == [b"x" * (1 << 20), b"short"]


async def test_a_frame_over_the_limit_or_cut_short_is_an_error(node: Any) -> None:
    alice, bob = await node(listen=None), await node()
    errors: list[Exception] = []

    async def collect(stream: Stream) -> None:
        try:
            await stream.read_frame(10)
        except (TooLarge, Undecodable) as error:
            errors.append(error)
        stream.write(b"!")

    bob.host.handle("/frames", collect)
    peer = await alice.host.dial(bob.address)

    for data in (b"\x0bxxxxxxxxxxx", b"\x05xxx"):
        stream = await alice.host.open(peer, ["/frames"])
        stream.write(data)
        stream.close_write()
        assert await stream.read(1) == b"!"

    assert [type(error) for error in errors] == [TooLarge, Undecodable]


async def test_a_receiver_gets_what_waits_and_what_comes(node: Any, until: Until, muxer: str) -> None:
    alice, bob = await node(listen=None, muxers=(muxer,)), await node(muxers=(muxer,))
    came: list[bytes] = []
    closed: list[str] = []

    async def relay(stream: Stream) -> None:
        assert await stream.read(2) == b"wa"
        stream.receiver = came.append
        stream.on_closed = lambda: closed.append("closed")

    bob.host.handle("/relay", relay)
    stream = await alice.host.open(await alice.host.dial(bob.address), ["/relay"])

    stream.write(b"waiting")
    await until(lambda: came)
    stream.write(b"coming")
    await until(lambda: b"".join(came) == b"itingcoming")
    assert not closed
    stream.close_write()
    await until(lambda: closed)


async def test_a_receiver_takes_more_than_any_window(node: Any, until: Until, muxer: str) -> None:
    alice, bob = await node(listen=None, muxers=(muxer,)), await node(muxers=(muxer,))
    came: list[int] = []

    async def relay(stream: Stream) -> None:
        stream.receiver = lambda chunk: came.append(len(chunk))

    bob.host.handle("/relay", relay)
    stream = await alice.host.open(await alice.host.dial(bob.address), ["/relay"])

    for _ in range(60):
        stream.write(bytes(100_000))
        await stream.drain()

    await until(lambda: sum(came) == 6_000_000)


async def test_a_peer_that_speaks_nothing_asked_for_is_told_apart(node: Any) -> None:
    alice, bob = await node(listen=None), await node()
    peer = await alice.host.dial(bob.address)

    with pytest.raises(TransportError, match="none of the protocols"):
        await alice.host.open(peer, ["/one", "/two"])
    with pytest.raises(TransportError, match="not connected"):
        await alice.host.open(alice.host.peer_id, ["/one"])


async def test_a_wrong_peer_id_or_a_closed_port_is_a_transport_error(node: Any) -> None:
    alice, bob = await node(listen=None), await node()
    other = keys.ed25519_identity(b"\5" * 32).peer_id

    with pytest.raises(TransportError, match="another peer"):
        await alice.host.dial(bob.address.with_peer(other))
    with pytest.raises(TransportError, match="no connection"):
        await alice.host.dial(Multiaddr.parse("/ip4/127.0.0.1/tcp/1"))


async def test_watchers_hear_of_protocols_after_identify_and_of_later_ones(node: Any, until: Until) -> None:
    alice, bob = await node(listen=None), await node()
    bob.host.handle("/early", echo)

    peer = await alice.host.dial(bob.address)
    await until(lambda: alice.identified and bob.identified)
    bob.host.handle("/late", echo)
    await until(lambda: len(alice.seen) == 2)
    alice.host.disconnect(peer)
    await until(lambda: len(alice.seen) == 3 and bob.seen[-1][0] == "gone")

    assert [kind for kind, _, _ in alice.seen] == ["connected", "connected", "gone"]
    assert "/late" not in alice.seen[0][2]
    assert {"/early", "/late", identify.PROTOCOL, ping.PROTOCOL} <= set(alice.seen[1][2])
    assert bob.host.peers == ()


async def test_a_known_protocol_costs_no_round_trip(node: Any, until: Until) -> None:
    alice, bob = await node(listen=None), await node()
    bob.host.handle("/echo", echo)
    peer = await alice.host.dial(bob.address)
    await until(lambda: alice.identified)

    opening = alice.host.open(peer, ["/other", "/echo"])
    with pytest.raises(StopIteration) as opened:
        opening.send(None)

    stream = opened.value.value
    stream.write(b"at once")
    assert await stream.read(100) == b"at once"


async def test_a_reset_is_an_error_for_the_other_side(node: Any, until: Until, muxer: str) -> None:
    alice, bob = await node(listen=None, muxers=(muxer,)), await node(muxers=(muxer,))
    accepted: list[Stream] = []
    failed: list[Exception] = []

    async def wait(stream: Stream) -> None:
        accepted.append(stream)
        try:
            await stream.read(1)
        except TransportError as error:
            failed.append(error)
            raise

    bob.host.handle("/wait", wait)
    peer = await alice.host.dial(bob.address)
    stream = await alice.host.open(peer, ["/wait"])
    await until(lambda: accepted)

    stream.reset()

    await until(lambda: failed)
    with pytest.raises(TransportError):
        await stream.read(1)
    await until(lambda: bob.host.connection(alice.host.peer_id).streams == 0)


async def test_a_handler_that_raises_resets_its_stream_only(node: Any, until: Until) -> None:
    alice, bob = await node(listen=None), await node()

    async def fail(stream: Stream) -> None:
        raise TooLarge("more than anybody takes")

    bob.host.handle("/fail", fail)
    bob.host.handle("/echo", echo)
    peer = await alice.host.dial(bob.address)
    good = await alice.host.open(peer, ["/echo"])

    bad = await alice.host.open(peer, ["/fail"])
    with pytest.raises(TransportError):
        await bad.read(1)

    good.write(b"still here")
    assert await good.read(100) == b"still here"
    assert bob.counts["libp2p_streams_failed"] == 1


async def test_ping_comes_back(node: Any) -> None:
    alice, bob = await node(listen=None), await node()
    peer = await alice.host.dial(bob.address)

    stream = await alice.host.open(peer, [ping.PROTOCOL])

    assert await ping.ping(stream, alice.clock, lambda size: b"r" * size) == 0


async def test_a_third_connection_of_a_peer_replaces_its_first(node: Any, until: Until) -> None:
    bob = await node()
    alices = [await node(listen=None, identity=keys.ed25519_identity(b"\6" * 32)) for _ in range(3)]

    for alice in alices:
        await alice.host.dial(bob.address)

    await until(lambda: not alices[0].host.peers)
    assert alices[1].host.peers
    assert alices[2].host.peers
    assert bob.counts["libp2p_closed_connections_per_peer"] == 1
    assert not [seen for seen in bob.seen if seen[0] == "gone"]


async def test_closing_a_host_ends_everything(node: Any, until: Until) -> None:
    alice, bob = await node(listen=None), await node()
    bob.host.handle("/echo", echo)
    stream = await alice.host.open(await alice.host.dial(bob.address), ["/echo"])

    await bob.host.close()

    with pytest.raises(TransportError):
        await stream.read(1)
    await until(lambda: not alice.host.peers)
    with pytest.raises(TransportError):
        await alice.host.dial(bob.address)
