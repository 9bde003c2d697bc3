"""The light client of @waku/sdk as it ships, against `hushbell node`."""

from collections.abc import Awaitable, Callable

import pytest
from tests.interop.waku.peers import Hushbell, Peer, run_name

pytestmark = pytest.mark.interop

ROW = 300  # light pushes one after the other, each heard again by filter push
OTHER_TOPIC = "/waku/1/0x00000001/rfc26"

Start = Callable[..., Awaitable[Peer]]


@pytest.fixture(params=["ws", "tcp"])
async def light(request: pytest.FixtureRequest, js_light: Start, node: Hushbell, relay: Peer) -> Peer:
    """A light client that has dialled our node."""
    websocket = request.param == "ws"
    client = await js_light(*([] if websocket else ["--tcp"]))
    connected = await client.do("connect", addr=node.address(websocket=websocket))
    assert connected["peer"] == node.id
    return client


@pytest.fixture
async def relay(node: Hushbell, ours: Start) -> Peer:
    """Another relay: a node that knows none says so to who publishes through it."""
    other = await ours()
    await other.do("connect", addr=node.address())
    await other.until("peers", lambda reply: any(peer["subscribed"] for peer in reply["peers"]))
    return other


async def test_it_reads_our_metadata(light: Peer) -> None:
    told = await light.do("metadata")

    assert (told["cluster"], told["shards"]) == (16, [32])


@pytest.mark.parametrize("legacy", [False, True], ids=["v3", "v2"])
async def test_it_publishes_through_us(light: Peer, relay: Peer, legacy: bool) -> None:
    run = run_name()

    sent = await light.do("lightpush", run=run, n=5, legacy=legacy)
    heard = await relay.do("wait", run=run, n=5, timeout=3)

    assert (heard["unique"], heard["digest"]) == (5, sent["digest"])


async def test_it_hears_300_in_a_row_by_filter_push(light: Peer) -> None:
    run = run_name()
    await light.do("filter_subscribe")

    sent = await light.do("lightpush", run=run, n=ROW)
    heard = await light.do("filter_wait", run=run, n=ROW, timeout=5)

    assert (heard["n"], heard["unique"], heard["digest"]) == (ROW, ROW, sent["digest"])


async def test_it_hears_only_what_it_subscribed_to_and_only_until_it_unsubscribes(light: Peer, relay: Peer) -> None:
    run = run_name()
    await light.do("filter_subscribe")

    sent = await relay.do("publish", run=run, n=5, version=0)
    await relay.do("publish", run=run, n=5, version=0, ct=OTHER_TOPIC, offset=100)
    heard = await light.do("filter_wait", run=run, n=10, timeout=1)
    await light.do("filter_unsubscribe")
    await relay.do("publish", run=run, n=5, version=0, offset=200)
    after = await light.do("filter_wait", run=run, n=10, timeout=1)

    assert (heard["n"], heard["digest"]) == (5, sent["digest"])
    assert after["n"] == 5


async def test_it_pages_through_our_store(light: Peer) -> None:
    runs = [run_name(), run_name()]
    topic = "/waku/1/0x" + runs[0][:8] + "/rfc26"
    for run in runs:
        await light.do("lightpush", run=run, n=5, ct=topic)

    answer = await light.until("store_query", lambda reply: len(reply["result"]["hashes"]) == 10, cts=[topic], limit=4)

    assert answer["result"]["pages"] == [4, 4, 2]
    assert len(set(answer["result"]["hashes"])) == 10
