"""Who belongs to our network."""

from typing import Any

import pytest

from hushbell.waku.protocols.metadata import PROTOCOL, RELAY, MetadataService
from hushbell.waku.wire import codecs
from hushbell.waku.wire.services import Metadata


async def relay(stream: Any) -> None:
    await stream.read(1)


def serve(net: Any, host: Any, *, cluster: int = 16, shards: tuple[int, ...] = (32,)) -> MetadataService:
    host.handle(RELAY, relay)
    return MetadataService(
        host=host, clock=net.clock, cluster=cluster, shards=lambda: shards, count=net.count, seconds=1
    )


async def test_both_ends_learn_the_others_cluster_and_shards(net: Any) -> None:
    alice, bob = net.host("alice"), net.host("bob")
    ours, theirs = serve(net, alice), serve(net, bob, shards=(32, 64))

    net.connect(alice, bob)
    await net.settle()

    assert ours.of(bob.peer_id) == Metadata(16, (32, 64))
    assert theirs.of(alice.peer_id) == Metadata(16, (32,))
    asked = len(alice.opened)
    alice.tell(bob, is_connected=True)  # its protocols changed
    assert len(alice.opened) == asked
    assert net.connections


async def test_a_peer_of_another_cluster_is_disconnected(net: Any) -> None:
    alice, bob = net.host("alice"), net.host("bob")
    ours = serve(net, alice)
    serve(net, bob, cluster=1)

    net.connect(alice, bob)
    await net.settle()

    assert not net.connections
    assert ours.of(bob.peer_id) is None
    assert net.counts["metadata_other_cluster"] >= 1


@pytest.mark.parametrize("cluster,stays", [(16, True), (None, False), (1, False)])
async def test_an_answer_without_our_cluster_ends_the_connection(net: Any, cluster: int | None, stays: bool) -> None:
    alice, bob = net.host("alice"), net.host("bob")
    serve(net, alice)

    async def answer(stream: Any) -> None:
        # As js-waku: the answer goes out before the request was read.
        stream.write_frame(codecs.encode(Metadata(cluster)))
        stream.close_write()
        await stream.read_frame(1000)

    bob.handle(PROTOCOL, answer)
    bob.handle(RELAY, relay)
    net.connect(alice, bob)
    await net.settle()

    assert bool(net.connections) == stays


async def test_a_peer_that_does_not_speak_of_it_stays(net: Any) -> None:
    alice, bob, carol = net.host("alice"), net.host("bob"), net.host("carol")
    serve(net, alice)

    async def hang_up(stream: Any) -> None:
        stream.reset()

    carol.handle(PROTOCOL, hang_up)
    carol.handle(RELAY, relay)
    net.connect(alice, bob)
    net.connect(alice, carol)
    await net.settle()

    assert len(net.connections) == 2
    assert net.counts["metadata_unanswered"] == 1


async def test_a_light_client_is_not_asked(net: Any) -> None:
    alice, light = net.host("alice"), net.host("light")
    serve(net, alice)

    async def answer(stream: Any) -> None:
        stream.write_frame(codecs.encode(Metadata(16)))

    light.handle(PROTOCOL, answer)
    net.connect(alice, light)
    await net.settle()

    assert not alice.opened
    assert len(net.connections) == 1


async def test_a_stranger_who_asks_is_told_why_before_it_goes(net: Any) -> None:
    alice, mallory = net.host("alice"), net.host("mallory")
    serve(net, alice)
    net.connect(alice, mallory)

    stream = await mallory.open(alice.peer_id, [PROTOCOL])
    stream.write_frame(codecs.encode(Metadata(1, (0,))))
    stream.close_write()
    answer = await stream.read_frame(1000)
    assert net.connections
    net.clock.advance(1)
    await net.settle()

    assert codecs.decode(Metadata, answer, limit=1000) == Metadata(16, (32,))
    assert not net.connections


@pytest.mark.parametrize("sent", [b"\xff", b"\x05\xff\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x02\x08"])
async def test_what_is_no_request_resets_the_stream(net: Any, sent: bytes) -> None:
    alice, mallory = net.host("alice"), net.host("mallory")
    serve(net, alice)
    net.connect(alice, mallory)

    stream = await mallory.open(alice.peer_id, [PROTOCOL])
    stream.write(sent)
    stream.close_write()
    await net.settle()

    assert alice.served[-1].is_reset
    assert net.counts["metadata_requests_failed"] == 1
