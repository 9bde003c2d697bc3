"""py-libp2p, bent to Waku's rules where it does not keep them: see py/driver.py."""

from collections.abc import Awaitable, Callable

import pytest
from tests.interop.waku.peers import Peer, link, transfer

pytestmark = pytest.mark.interop

MANY = 2_000

Start = Callable[..., Awaitable[Peer]]


@pytest.mark.parametrize("muxer", ["YAMUX", "MPLEX"])
async def test_nothing_is_lost_either_way_when_it_dials_us(py_libp2p: Start, ours: Start, muxer: str) -> None:
    theirs, we = await py_libp2p("--ip", "127.0.0.2", "--muxer", muxer), await ours()
    await link(theirs, we)

    [there] = await transfer(we, theirs, n=MANY, rate=500)
    [here] = await transfer(theirs, we, n=MANY)

    assert (there.unique, here.unique) == (MANY, MANY)
    assert there.whole
    assert here.whole


async def test_nothing_is_lost_either_way_when_we_dial_it(py_libp2p: Start, ours: Start) -> None:
    theirs, we = await py_libp2p("--ip", "127.0.0.2"), await ours()
    await link(we, theirs)

    [there] = await transfer(we, theirs, n=MANY)
    [here] = await transfer(theirs, we, n=MANY)

    assert (there.unique, here.unique) == (MANY, MANY)
    assert there.whole
    assert here.whole


async def test_it_identifies_us_pings_us_and_reads_our_metadata(py_libp2p: Start, ours: Start) -> None:
    theirs, we = await py_libp2p("--ip", "127.0.0.2"), await ours()
    await link(theirs, we)

    [known] = (await theirs.do("peers"))["peers"]
    pinged = await theirs.do("ping", peer=we.id)
    told = await theirs.do("metadata", peer=we.id)

    assert {"/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/vac/waku/relay/2.0.0"} <= set(known["protocols"])
    assert len(pinged["microseconds"]) == 3
    assert (told["cluster"], told["shards"]) == (16, [32])
