"""The bus inside one process."""

import asyncio
from collections.abc import Callable

from hushbell.ports.transport import ReceivedMessage
from hushbell.transports.bus import Bus
from hushbell.types import Envelope

Build = Callable[..., Envelope]


def received(sent: Envelope) -> ReceivedMessage:
    return ReceivedMessage(sent.pubsub_topic, sent.waku_message)


async def test_a_full_member_holds_the_publisher_until_it_reads(envelope: Build) -> None:
    bus = Bus(count=4)
    alice, bob = bus.connect(), bus.connect()
    writing = asyncio.create_task(alice.publish([envelope(number) for number in range(6)]))
    await asyncio.sleep(0)

    assert not writing.done()
    assert len(await bob.receive(10)) == 4

    await writing
    assert len(await bob.receive(10)) == 2


async def test_a_member_that_leaves_lets_the_publishers_go_on(envelope: Build) -> None:
    bus = Bus(count=1)
    alice, bob, mallory = bus.connect(), bus.connect(), bus.connect()
    writing = asyncio.create_task(alice.publish([envelope(1), envelope(2)]))
    await asyncio.sleep(0)
    reading = asyncio.create_task(bob.receive(1))
    await reading

    await mallory.close()

    await asyncio.wait_for(writing, 10)
    assert await bob.receive(1) == [received(envelope(2))]


async def test_bytes_count_against_the_bound_as_well_as_envelopes(envelope: Build) -> None:
    bus = Bus(size=1000)
    alice, bob = bus.connect(), bus.connect()
    writing = asyncio.create_task(alice.publish([envelope(1, 1200), envelope(2)]))
    await asyncio.sleep(0)

    assert not writing.done()
    await bob.receive(1)

    await writing
