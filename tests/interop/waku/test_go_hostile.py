"""What breaks the rules of libp2p, sent by go-libp2p's own handshake: we hang up, and go on serving everybody else."""

from collections.abc import Awaitable, Callable

import pytest
from tests.interop.waku.peers import Peer, link, transfer

pytestmark = pytest.mark.interop

# A frame of yamux: version, type (0 data, 1 window, 2 ping), flags (1 opens a stream), stream, length.
UNKNOWN_VERSION = "01" + "00" * 11
UNKNOWN_TYPE = "0009" + "00" * 10
MORE_THAN_THE_WINDOW = "0000" + "0001" + "00000001" + "00100000" + "00" * 64
A_STREAM_OF_OURS = "0000" + "0001" + "00000002" + "00000000"
PING = "0002" + "0001" + "00000000" + "00000001"
EMPTY_DATA = "0000" + "0000" + "00000001" + "00000000"
OPENED = "0001" + "0001" + "00000001" + "00000000"

Start = Callable[..., Awaitable[Peer]]


@pytest.mark.parametrize(
    "frames,times",
    [
        (UNKNOWN_VERSION, 1),
        (UNKNOWN_TYPE, 1),
        (MORE_THAN_THE_WINDOW, 1),
        (A_STREAM_OF_OURS, 1),
        (PING, 200_000),
        (OPENED + EMPTY_DATA * 1000, 200),
    ],
    ids=["version", "type", "window", "parity", "pings", "empty-frames"],
)
async def test_a_broken_session_ends_and_the_others_go_on(go_waku: Start, ours: Start, frames: str, times: int) -> None:
    mallory, alice, we = await go_waku("--ip", "127.0.0.2"), await go_waku("--ip", "127.0.0.3"), await ours()
    await link(alice, we)

    attack = await mallory.do("yamux_attack", addr=we.address(), hex=frames, repeat=times, timeout=5)
    [here] = await transfer(alice, we, n=100, rate=100)

    assert attack["closed"]
    assert here.whole


@pytest.mark.parametrize("protocol", ["filter-subscribe/2.0.0-beta1", "lightpush/3.0.0", "store-query/3.0.0"])
async def test_a_service_resets_what_is_no_request(go_waku: Start, ours: Start, protocol: str) -> None:
    mallory, we = await go_waku("--ip", "127.0.0.2", "-relay=false"), await ours()
    await mallory.do("connect", addr=we.address())

    huge = await mallory.do(
        "raw", peer=we.id, proto=f"/vac/waku/{protocol}", hex="ffffffff0f", raw=True, read=64, timeout=5
    )
    junk = await mallory.do("raw", peer=we.id, proto=f"/vac/waku/{protocol}", hex="ff" * 64, read=4096, timeout=5)

    assert "reset" in huge["read_error"]
    assert junk.get("read_error") or junk["reply"]  # a refusal, or a reset
    assert (await mallory.do("peers"))["peers"]
