"""The letter box that all keys of a device share."""

import asyncio
from collections.abc import Callable

from hushbell.core import envelope
from hushbell.core.envelope import OpenedEnvelope
from hushbell.crypto import secp256k1, topics
from hushbell.runtime.client.exchange import EnvelopeExchange
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.transports.bus import Bus
from hushbell.types import DEFAULT_PUBSUB_TOPIC, Envelope, KeyPair, Nanos, PublicKey


class Hearing:
    """Notes whom each message was for, and of what type it is."""

    def __init__(self) -> None:
        self.came: list[tuple[PublicKey, int]] = []

    def on_envelope(self, opened: OpenedEnvelope, to: PublicKey) -> None:
        self.came.append((to, opened.type))


def colliding() -> tuple[KeyPair, KeyPair]:
    """Return two keys that are answered on the same topic; among a few hundred there are some."""
    known: dict[str, KeyPair] = {}
    for number in range(1, 5_001):
        key = secp256k1.key_pair_from(number.to_bytes(32))
        topic = topics.partitioned_topic(key.public)
        if topic in known:
            return known[topic], key
        known[topic] = key
    raise AssertionError("5,000 partitions have no room for 5,001 keys")


def sealed(recipient: KeyPair, kind: int, signer: KeyPair) -> Envelope:
    message = envelope.seal_to_key(
        envelope.sign_application(b"payload", kind, signer),
        recipient=recipient.public,
        signer=signer,
        content_topic=topics.partitioned_topic(recipient.public),
        timestamp=Nanos(1),
        random=system_random,
    )
    return Envelope(DEFAULT_PUBSUB_TOPIC, message)


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came")


async def test_two_keys_on_one_topic_are_both_answered(bus: Bus) -> None:  # reference/status-go.md 10.22
    one, two = colliding()
    server = secp256k1.key_pair(system_random)
    hearing, mine, theirs = Hearing(), bus.connect(), bus.connect()
    exchange = EnvelopeExchange(
        mine,
        clock=SystemClock(),
        random=system_random,
        count=lambda _name, _times: None,
        pubsub_topic=DEFAULT_PUBSUB_TOPIC,
    )
    reading = asyncio.create_task(exchange.run())
    exchange.listen(one, hearing)
    exchange.listen(two, hearing)

    await theirs.publish([sealed(one, 17, server), sealed(two, 19, server)])
    await until(lambda: len(hearing.came) == 2)
    exchange.ignore(one.public)
    await theirs.publish([sealed(one, 21, server), sealed(two, 21, server)])
    await until(lambda: len(hearing.came) == 3)

    assert hearing.came == [(one.public, 17), (two.public, 19), (two.public, 21)]
    await mine.close()
    await theirs.close()
    await reading
