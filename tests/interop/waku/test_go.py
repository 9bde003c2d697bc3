"""go-waku and bare go-libp2p beside our node: relay both ways and through us, and what go-waku asks of a service."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.interop.waku.peers import RAISED, Peer, link, meshed, run_name, transfer

pytestmark = pytest.mark.interop

BURST = 5_000  # messages at once
RATE = 500  # messages a second that Go's own queues take without loss
PACED = 1_500  # messages
CONTENT_TOPIC = "/waku/1/0x5f7ca3b1/rfc26"
OTHER_TOPIC = "/waku/1/0x00000001/rfc26"

Start = Callable[..., Awaitable[Peer]]


@pytest.fixture(params=["go_waku", "go_libp2p"])
def go(request: pytest.FixtureRequest) -> Start:
    """Start the one Go peer or the other."""
    started: Start = request.getfixturevalue(request.param)
    return started


async def test_nothing_of_a_burst_is_lost_either_way(go: Start, ours: Start) -> None:
    theirs, we = await go("--ip", "127.0.0.2", *RAISED), await ours()
    await link(we, theirs)

    [there] = await transfer(we, theirs, n=BURST)
    [here] = await transfer(theirs, we, n=BURST)

    assert (there.unique, here.unique) == (BURST, BURST)
    assert there.whole
    assert here.whole


async def test_nothing_is_lost_at_500_a_second_with_their_own_queues(go: Start, ours: Start) -> None:
    theirs, we = await go("--ip", "127.0.0.2"), await ours()
    await link(theirs, we)

    [there] = await transfer(we, theirs, n=PACED, rate=RATE)
    [here] = await transfer(theirs, we, n=PACED, rate=RATE)

    assert (there.unique, here.unique) == (PACED, PACED)
    assert there.whole
    assert here.whole


async def test_nothing_of_a_burst_is_lost_through_us(go: Start, ours: Start) -> None:
    first, we, last = await go("--ip", "127.0.0.2", *RAISED), await ours(), await go("--ip", "127.0.0.3", *RAISED)
    await link(first, we)
    await link(last, we)
    await meshed(we, first, last)

    for sender, receiver in ((first, last), (last, first)):
        here, there = await transfer(sender, we, receiver, n=BURST)

        assert (here.unique, there.unique) == (BURST, BURST)
        assert here.whole
        assert there.whole


async def test_nothing_is_lost_through_us_at_500_a_second_with_their_own_queues(go: Start, ours: Start) -> None:
    first, we, last = await go("--ip", "127.0.0.2"), await ours(), await go("--ip", "127.0.0.3")
    await link(first, we)
    await link(last, we)
    await meshed(we, first, last)

    here, there = await transfer(first, we, last, n=PACED, rate=RATE)

    assert (here.unique, there.unique) == (PACED, PACED)
    assert here.whole
    assert there.whole


async def test_messages_as_large_as_its_limit_come_whole(go_waku: Start, ours: Start) -> None:
    theirs, we = await go_waku("--ip", "127.0.0.2", "--max-msg", "1048576", *RAISED), await ours()
    await link(we, theirs)

    [there] = await transfer(we, theirs, n=20, size=140_000)
    [here] = await transfer(theirs, we, n=20, size=140_000)

    assert there.whole
    assert here.whole


async def test_go_waku_finds_our_metadata_in_order(go_waku: Start, ours: Start) -> None:
    theirs, we = await go_waku("--ip", "127.0.0.2"), await ours()
    await link(theirs, we)

    # go-waku asks a second after the connection, and hangs up at a foreign cluster or at a relay without shards.
    [here] = await transfer(theirs, we, n=15, rate=5)
    told = await we.do("metadata", peer=theirs.id)

    assert here.whole
    assert (told["cluster"], told["shards"]) == (16, [32])


async def test_go_waku_hears_from_our_filter_what_it_asked_for(go_waku: Start, ours: Start) -> None:
    theirs, we = await go_waku("--ip", "127.0.0.2", "-relay=false"), await ours()
    run = run_name()
    await theirs.do("connect", addr=we.address())

    await theirs.do("filter_subscribe", peer=we.id, cts=[CONTENT_TOPIC])
    await theirs.do("filter_ping", peer=we.id)
    sent = await we.do("publish", run=run, n=40, rate=10, ct=CONTENT_TOPIC)  # its client takes 15 pushes a second
    await we.do("publish", run=run, n=5, rate=50, ct=OTHER_TOPIC, offset=100)
    heard = await theirs.do("filter_wait", run=run, n=45, timeout=1)
    await theirs.do("filter_unsubscribe", peer=we.id, cts=[CONTENT_TOPIC])
    refused = await theirs.ask("filter_ping", peer=we.id)
    await we.do("publish", run=run, n=5, rate=50, ct=CONTENT_TOPIC, offset=200)
    after = await theirs.do("filter_wait", run=run, n=45, timeout=1)

    assert (heard["unique"], heard["digest"]) == (40, sent["digest"])
    assert not refused["ok"]
    assert after["n"] == 40


async def test_we_hear_from_its_filter_what_we_asked_for(go_waku: Start, ours: Start) -> None:
    theirs, relay, we = await go_waku("--ip", "127.0.0.2", *RAISED), await go_waku("--ip", "127.0.0.3"), await ours()
    run = run_name()
    await link(relay, theirs)
    await we.do("connect", addr=theirs.address())

    await we.do("filter_subscribe", peer=theirs.id, cts=[CONTENT_TOPIC])
    sent = await relay.do("publish", run=run, n=200, rate=100, ct=CONTENT_TOPIC)
    heard = await we.do("filter_wait", run=run, n=200, timeout=2)

    assert (heard["unique"], heard["digest"]) == (200, sent["digest"])


async def test_go_waku_publishes_through_us(go_waku: Start, ours: Start) -> None:
    relay, light, we = (
        await go_waku("--ip", "127.0.0.2"),
        await go_waku("--ip", "127.0.0.3", "-relay=false"),
        await ours(),
    )
    run = run_name()
    await link(relay, we)
    await light.do("connect", addr=we.address())

    sent = await light.do("lightpush", peer=we.id, run=run, n=20)
    heard = await relay.do("wait", run=run, n=20, timeout=3)

    assert (heard["unique"], heard["digest"]) == (20, sent["digest"])


async def test_we_publish_through_go_waku(go_waku: Start, ours: Start) -> None:
    service, relay, we = await go_waku("--ip", "127.0.0.2"), await go_waku("--ip", "127.0.0.3"), await ours()
    run = run_name()
    await link(relay, service)
    await we.do("connect", addr=service.address())

    sent = await we.do("lightpush", peer=service.id, run=run, n=20)
    heard = await relay.do("wait", run=run, n=20, timeout=3)

    assert (heard["unique"], heard["digest"]) == (20, sent["digest"])


@pytest.mark.parametrize("forward", [True, False])
async def test_go_waku_pages_through_our_store(go_waku: Start, ours: Start, forward: bool) -> None:
    theirs, we = await go_waku("--ip", "127.0.0.2"), await ours()
    await link(theirs, we)
    run, began = run_name(), time.time_ns()
    await theirs.do("publish", run=run, n=50, rate=RATE, ct=CONTENT_TOPIC)
    await we.do("wait", run=run, n=50, timeout=3)
    criteria: dict[str, Any] = {"peer": we.id, "cts": [CONTENT_TOPIC], "start": began, "end": time.time_ns()}

    answer = await theirs.until(
        "store_query",
        lambda reply: len(reply["result"]["hashes"]) == 50,
        **criteria,
        data=True,
        limit=20,
        forward=forward,
    )

    result = answer["result"]
    pages = [result["seqs"][at : at + 20] for at in (0, 20, 40)]
    assert result["pages"] == [20, 20, 10]
    assert [seq for page in (pages if forward else pages[::-1]) for seq in page] == list(range(50))
    assert (result["with_data"], result["bad_hash"]) == (50, 0)


async def test_go_waku_asks_our_store_by_hash(go_waku: Start, ours: Start) -> None:
    theirs, we = await go_waku("--ip", "127.0.0.2"), await ours()
    await link(theirs, we)
    run = run_name()
    sent = await theirs.do("publish", run=run, n=10, rate=RATE, ct=CONTENT_TOPIC)
    await we.do("wait", run=run, n=10, timeout=3)
    wanted = sent["hashes"][3:5]

    answer = await theirs.until(
        "store_query", lambda reply: len(reply["result"]["hashes"]) == 2, peer=we.id, hashes=wanted, data=True, limit=20
    )

    assert sorted(answer["result"]["hashes"]) == sorted(wanted)
    assert answer["result"]["bad_hash"] == 0
