"""What gets no answer: silence is told from slowness by a good message that was sent after the bad one."""

from collections.abc import Awaitable, Callable
from typing import Any

from hushbell import wire
from hushbell.core.client import registration
from hushbell.core.client.registration import Device, Options, SealedRegistration
from hushbell.core.envelope import open_waku, open_with_private, seal_to_key
from hushbell.crypto import topics
from hushbell.crypto.secp256k1 import key_pair_from
from hushbell.runtime.clock import system_random
from hushbell.types import (
    DEFAULT_PUBSUB_TOPIC,
    DeviceToken,
    Envelope,
    InstallationId,
    KeyPair,
    Nanos,
    PublicKey,
    TokenType,
)

ALICE, MALLORY = (key_pair_from(bytes([n]) * 32) for n in (1, 2))
PHONE = InstallationId("c6ae4fde-bb65-11ea-b3de-0242ac130004")
DEVICE = Device(installation_id=PHONE, device_token=DeviceToken("device"), token_type=TokenType.APN)
NOW = Nanos(1_600_000_000_000_000_000)


def registration_for(server: PublicKey, client: KeyPair) -> SealedRegistration:
    last = registration.next_registration(Options(), DEVICE, None, client, system_random)
    return registration.seal_registration(last.registration, client, server, system_random)


def sent(application: bytes, server: PublicKey, client: KeyPair) -> Envelope:
    message = seal_to_key(
        application,
        recipient=server,
        signer=client,
        content_topic=topics.personal_topic(server),
        timestamp=NOW,
        random=system_random,
    )
    return Envelope(DEFAULT_PUBSUB_TOPIC, message)


async def test_a_registration_that_does_not_decrypt_is_met_with_silence(
    start_service: Callable[..., Awaitable[Any]],
) -> None:
    running = await start_service()
    server = running.identity.public
    phone = running.bus.connect()
    for_another = registration_for(MALLORY.public, ALICE)  # so our server shares no key with it
    good = registration_for(server, ALICE)

    await phone.publish([sent(for_another.application, server, ALICE)])
    await phone.publish([sent(good.application, server, ALICE)])
    await running.settled(received=2)

    answers = [
        wire.decode(
            wire.RegistrationResponse,
            open_with_private(open_waku(came.waku_message).payload, ALICE.private).payload,
        )
        for came in await phone.receive(10)
    ]
    assert [(each.success, each.request_id) for each in answers] == [(True, good.request_id)]
