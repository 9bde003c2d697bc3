"""Opening and sealing in other processes is the same as in this one."""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

from hushbell.config.limits import Limits
from hushbell.core import envelope
from hushbell.core.client import registration
from hushbell.core.client.registration import Device, Options
from hushbell.core.server.events import Event, RegistrationReceived
from hushbell.core.server.facts import Reply
from hushbell.crypto import secp256k1, topics
from hushbell.runtime.clock import system_random
from hushbell.runtime.server.sealer import DiscardedEnvelope, InProcessSealer, SealedEnvelope
from hushbell.runtime.server.worker_pool import WorkerPool
from hushbell.types import DeviceToken, InstallationId, KeyPair, Nanos, TokenType
from hushbell.wire.messages import ApplicationType

SERVER = secp256k1.key_pair_from(b"\x11" * 32)
NOW = Nanos(1_700_000_000_000_000_000)


def sealed_registration(alice: KeyPair) -> SealedEnvelope:
    device = Device(
        installation_id=InstallationId(str(uuid4())),
        device_token=DeviceToken("ab" * 32),
        token_type=TokenType.APN,
        apn_topic="",
    )
    last = registration.next_registration(Options(), device, None, alice, system_random)
    sent = registration.seal_registration(last.registration, alice, SERVER.public, system_random)
    message = envelope.seal_to_key(
        sent.application,
        recipient=SERVER.public,
        signer=alice,
        content_topic=topics.personal_topic(SERVER.public),
        timestamp=NOW,
        random=system_random,
    )
    return SealedEnvelope(envelope.open_waku(message).payload)


def senders(events: Sequence[Event | DiscardedEnvelope]) -> list[bytes]:
    return [event.sender for event in events if isinstance(event, RegistrationReceived)]


async def test_workers_open_a_batch_in_order_and_say_what_was_dropped() -> None:
    phones = [secp256k1.key_pair(system_random) for _ in range(40)]
    batch = [sealed_registration(phone) for phone in phones]
    batch.insert(20, SealedEnvelope(b"abc"))
    pool = await WorkerPool.start(2, SERVER, Limits())

    opened = await pool.open(batch)

    assert opened == await InProcessSealer(SERVER, Limits(), system_random).open(batch)
    assert isinstance(opened[20], DiscardedEnvelope)
    assert senders(opened) == [phone.public for phone in phones]
    await pool.close()


async def test_workers_seal_replies_that_only_the_recipient_opens() -> None:
    phones = [secp256k1.key_pair(system_random) for _ in range(20)]
    replies = [
        Reply(phone.public, ApplicationType.PUSH_NOTIFICATION_RESPONSE, b"answer %d" % number)
        for number, phone in enumerate(phones)
    ]
    pool = await WorkerPool.start(2, SERVER, Limits())

    messages = await pool.seal(replies, NOW)

    for number, (phone, message) in enumerate(zip(phones, messages, strict=True)):
        opened = envelope.open_with_private(envelope.open_waku(message).payload, phone.private)
        assert opened.payload == b"answer %d" % number
        assert opened.sender == SERVER.public
    await pool.close()


async def test_many_batches_at_once_do_not_mix() -> None:
    phones = [secp256k1.key_pair(system_random) for _ in range(30)]
    pool = await WorkerPool.start(2, SERVER, Limits())

    answers = await asyncio.gather(*(pool.open([sealed_registration(phone)]) for phone in phones))

    assert [senders(answer) for answer in answers] == [[phone.public] for phone in phones]
    await pool.close()
