"""js-libp2p with gossipsub as js-waku configures it, over both of its transports and muxers."""

from collections.abc import Awaitable, Callable

import pytest
from tests.interop.waku.peers import Peer, link, meshed, transfer

pytestmark = pytest.mark.interop

BURST = 5_000
RATE = 200
PACED = 400
Flags = tuple[str, ...]

TCP_YAMUX: Flags = ()
TCP_MPLEX = ("--muxer", "mplex")
WS_MPLEX = ("--muxer", "mplex", "--ws")

Start = Callable[..., Awaitable[Peer]]


@pytest.mark.parametrize("flags", [TCP_YAMUX, TCP_MPLEX, WS_MPLEX], ids=["tcp-yamux", "tcp-mplex", "ws-mplex"])
async def test_nothing_is_lost_either_way_when_it_dials_us(js_relay: Start, ours: Start, flags: Flags) -> None:
    theirs, we = await js_relay(*flags), await ours()
    connected = await link(theirs, we, websocket="--ws" in flags)

    heard = [
        *await transfer(we, theirs, n=PACED, rate=RATE),
        *await transfer(theirs, we, n=PACED, rate=RATE),
        *await transfer(we, theirs, n=BURST),
        *await transfer(theirs, we, n=BURST),
    ]

    assert connected["muxer"] == ("/mplex/6.7.0" if "mplex" in flags else "/yamux/1.0.0")
    assert [part.unique for part in heard] == [PACED, PACED, BURST, BURST]
    assert all(part.whole for part in heard)


@pytest.mark.parametrize("flags", [TCP_YAMUX, WS_MPLEX], ids=["tcp-yamux", "ws-mplex"])
async def test_nothing_is_lost_either_way_when_we_dial_it(js_relay: Start, ours: Start, flags: Flags) -> None:
    theirs, we = await js_relay(*flags), await ours()
    await link(we, theirs, websocket="--ws" in flags)

    heard = [*await transfer(we, theirs, n=BURST), *await transfer(theirs, we, n=BURST)]

    assert [part.unique for part in heard] == [BURST, BURST]
    assert all(part.whole for part in heard)


async def test_with_nobody_in_its_mesh_our_publishing_reaches_it_at_once(js_relay: Start, ours: Start) -> None:
    theirs, we = await js_relay("--empty-mesh"), await ours()
    await link(theirs, we)

    [there] = await transfer(we, theirs, n=PACED, rate=RATE)
    [here] = await transfer(theirs, we, n=PACED, rate=RATE)

    assert there.whole
    assert here.whole
    assert there.p99_ms < 500  # without waiting for a heartbeat


async def test_with_nobody_in_its_mesh_gossip_alone_carries_what_others_published(
    js_relay: Start, go_libp2p: Start, ours: Start
) -> None:
    theirs, we, far = await js_relay("--empty-mesh", "--no-flood"), await ours(), await go_libp2p("--ip", "127.0.0.2")
    await link(theirs, we)
    await link(far, we)
    await meshed(we, far)

    [there] = await transfer(far, theirs, n=PACED, rate=RATE)
    [here] = await transfer(theirs, we, n=PACED, rate=RATE)

    assert there.whole
    assert here.whole
