"""What every transport promises (ports/transport.py), on every adapter that carries between several ends."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from hushbell import wire
from hushbell.errors import TransportError
from hushbell.ports.transport import Transport
from hushbell.types import Envelope, PubsubTopic
from hushbell.wire.messages import WakuMessage

Connect = Callable[[], Awaitable[Transport]]
Build = Callable[..., Envelope]


async def collect(transport: Transport, count: int) -> list[Envelope]:
    """Receive until so many envelopes came, or the transport ended."""
    came: list[Envelope] = []
    async with asyncio.timeout(10):
        while len(came) < count:
            more = await transport.receive(count - len(came))
            if not more:
                break
            came += [Envelope(each.pubsub_topic, each.waku_message) for each in more]
    return came


async def test_what_one_end_publishes_reaches_every_other_in_order(connect: Connect, envelope: Build) -> None:
    server, alice, bob = await connect(), await connect(), await connect()
    sent = [envelope(number) for number in range(200)]

    await alice.publish(sent)

    assert await collect(server, 200) == sent
    assert await collect(bob, 200) == sent


async def test_what_a_transport_decoded_is_the_message_that_it_hands_over(connect: Connect, envelope: Build) -> None:
    server, alice = await connect(), await connect()

    await alice.publish([envelope(1)])
    async with asyncio.timeout(10):
        (received,) = await server.receive(1)

    assert received.decoded in (None, wire.decode(WakuMessage, received.waku_message))
    assert received.route is None, "no route was asked for"


async def test_nothing_comes_back_to_its_writer(connect: Connect, envelope: Build) -> None:
    server, alice = await connect(), await connect()

    await alice.publish([envelope(1)])
    await collect(server, 1)
    await server.publish([envelope(2)])

    assert await collect(alice, 1) == [envelope(2)]
    await alice.publish([envelope(3)])
    assert await collect(server, 1) == [envelope(3)]


async def test_the_pubsub_topic_and_every_byte_arrive_unchanged(connect: Connect) -> None:
    server, alice = await connect(), await connect()
    message = WakuMessage(
        payload=bytes(range(256)) * 4000, content_topic="/t", version=1, timestamp=2**60, meta=b"m", ephemeral=True
    )
    sent = Envelope(PubsubTopic("/waku/2/rs/16/64"), wire.encode(message))

    await server.publish([sent])

    assert await collect(alice, 1) == [sent]


async def test_what_was_sent_before_a_connection_is_not_repeated(connect: Connect, envelope: Build) -> None:
    server, alice = await connect(), await connect()
    await alice.publish([envelope(1)])
    await collect(server, 1)

    bob = await connect()
    await server.publish([envelope(2)])

    assert await collect(bob, 1) == [envelope(2)]


async def test_receive_returns_no_more_than_its_limit(connect: Connect, envelope: Build) -> None:
    server, alice = await connect(), await connect()

    await alice.publish([envelope(number) for number in range(5)])

    assert len(await server.receive(1)) == 1
    assert len(await collect(server, 4)) == 4


async def test_closing_ends_a_waiting_receive_with_nothing(connect: Connect) -> None:
    await connect()
    alice = await connect()
    waiting = asyncio.create_task(alice.receive(10))
    await asyncio.sleep(0)

    await alice.close()

    assert list(await asyncio.wait_for(waiting, 10)) == []
    assert list(await alice.receive(10)) == []


async def test_a_closed_end_refuses_to_publish(connect: Connect, envelope: Build) -> None:
    alice = await connect()

    await alice.close()

    with pytest.raises(TransportError):
        await alice.publish([envelope(1)])


async def test_closing_twice_is_harmless_and_the_others_go_on(connect: Connect, envelope: Build) -> None:
    server, alice, bob = await connect(), await connect(), await connect()

    await alice.close()
    await alice.close()
    await bob.publish([envelope(1)])

    assert await collect(server, 1) == [envelope(1)]


async def test_what_was_published_before_closing_still_leaves(connect: Connect, envelope: Build) -> None:
    server, alice = await connect(), await connect()

    await alice.publish([envelope(number) for number in range(100)])
    await alice.close()

    assert len(await collect(server, 100)) == 100


async def test_an_end_that_does_not_read_slows_the_writer_down_and_loses_nothing(
    connect_to_bus: Connect, envelope: Build
) -> None:
    server, alice = await connect_to_bus(), await connect_to_bus()
    size = 64 * 1024
    writing = asyncio.create_task(alice.publish([envelope(n, size) for n in range(1000)]))
    done, _ = await asyncio.wait({writing}, timeout=0.3)

    assert not done
    came = await collect(server, 1000)

    await writing
    assert came == [envelope(n, size) for n in range(1000)]


async def test_publishing_nothing_is_harmless(connect: Connect) -> None:
    alice = await connect()

    await alice.publish([])
