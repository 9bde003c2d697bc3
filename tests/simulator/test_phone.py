"""A phone against a server made of the pure rules, on a bus."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from itertools import count

import pytest

from hushbell import wire
from hushbell.core import envelope
from hushbell.core.server.facts import Reply
from hushbell.crypto import ids, topics
from hushbell.crypto.ciphers import open_gcm
from hushbell.crypto.hashes import hash_public_key
from hushbell.crypto.secp256k1 import key_pair_from
from hushbell.simulator.phone import NoAnswer, Phone
from hushbell.transports.bus import Bus, BusTransport
from hushbell.types import DEFAULT_PUBSUB_TOPIC, DeviceToken, Envelope, InstallationId, KeyPair, Nanos
from hushbell.wire import ApplicationType

SERVER, ALICE, BOB = (key_pair_from(bytes([n]) * 32) for n in range(1, 4))
NOW = Nanos(1_600_000_000_000_000_000)
_draws = count()


def drawn(size: int) -> bytes:
    return hashlib.shake_256(next(_draws).to_bytes(8)).digest(size)


class Rules:
    """Answers like a server that knows one registration; deaf to the first ``deaf`` messages."""

    def __init__(self, transport: BusTransport) -> None:
        self.transport = transport
        self.deaf = 0
        self.came: list[bytes] = []
        self.known: tuple[wire.Registration, ...] = ()
        self.query_key = topics.topic_key(topics.query_topic_name(hash_public_key(ALICE.public)))

    async def run(self) -> None:
        while came := await self.transport.receive(1):
            self.came.append(came[0].waku_message)
            if len(self.came) > self.deaf:
                reply = self.reply(envelope.open_waku(came[0].waku_message))
                message = envelope.seal_reply(reply, SERVER, NOW, drawn)
                await self.transport.publish([Envelope(DEFAULT_PUBSUB_TOPIC, message)])

    def reply(self, waku: wire.WakuMessage) -> Reply:
        if waku.content_topic == topics.query_topic(hash_public_key(ALICE.public)):
            opened = envelope.open_with_symmetric(waku, self.query_key)
            return self.infos(opened)
        opened = envelope.open_with_private(waku, SERVER.private)
        if opened.type == ApplicationType.PUSH_NOTIFICATION_REGISTRATION:
            return self.register(opened)
        asked = wire.decode(wire.NotificationRequest, opened.payload)
        reports = tuple(wire.Report(success=True, installation_id=item.installation_id) for item in asked.requests)
        response = wire.NotificationResponse(message_id=asked.message_id, reports=reports)
        return Reply(opened.sender, ApplicationType.PUSH_NOTIFICATION_RESPONSE, wire.encode(response))

    def register(self, opened: envelope.Opened) -> Reply:
        plaintext = open_gcm(envelope.registration_key(SERVER.private, opened.sender), opened.payload)
        self.known = (*self.known, wire.decode(wire.Registration, plaintext))
        response = wire.RegistrationResponse(success=True, request_id=ids.request_id(opened.payload))
        return Reply(opened.sender, ApplicationType.PUSH_NOTIFICATION_REGISTRATION_RESPONSE, wire.encode(response))

    def infos(self, opened: envelope.Opened) -> Reply:
        last = self.known[-1]
        info = wire.QueryInfo(
            access_token=last.access_token,
            installation_id=last.installation_id,
            public_key=hash_public_key(ALICE.public),
            grant=last.grant,
            version=last.version,
        )
        response = wire.QueryResponse(info=(info,), message_id=opened.message_id, success=True)
        return Reply(opened.sender, ApplicationType.PUSH_NOTIFICATION_QUERY_RESPONSE, wire.encode(response))


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
async def rules(bus: Bus) -> AsyncIterator[Rules]:
    made = Rules(bus.connect())
    running = asyncio.create_task(made.run())
    yield made
    await made.transport.close()
    await running


@pytest.fixture
def phone(bus: Bus) -> Callable[..., Phone]:
    def build(identity: KeyPair, patience: float = 5.0, resend: float = 3.0) -> Phone:
        return Phone(
            bus.connect(),
            identity=identity,
            installation_id=InstallationId("c6ae4fde-bb65-11ea-b3de-0242ac130004"),
            clock=lambda: NOW,
            random=drawn,
            patience=patience,
            resend=resend,
        )

    return build


async def test_a_phone_registers_and_another_rings_it(rules: Rules, phone: Callable[..., Phone]) -> None:
    async with phone(ALICE) as alice, phone(BOB) as bob:
        answer = await alice.register(SERVER.public, DeviceToken("device"))

        [info] = await bob.query(ALICE.public)
        [report] = await bob.notify([info], b"m" * 32, "chat")

    assert answer.success
    assert info.access_token == rules.known[0].access_token
    assert report.success


async def test_unregistering_takes_the_next_version(rules: Rules, phone: Callable[..., Phone]) -> None:
    async with phone(ALICE) as alice:
        await alice.register(SERVER.public, DeviceToken("device"))
        await alice.unregister(SERVER.public)

    assert [(known.version, known.unregister) for known in rules.known] == [(1, False), (2, True)]


async def test_without_an_answer_the_message_is_sent_again_in_a_new_envelope(
    rules: Rules, phone: Callable[..., Phone]
) -> None:
    rules.deaf = 2

    async with phone(ALICE, resend=0.01) as alice:
        answer = await alice.register(SERVER.public, DeviceToken("device"))

    assert answer.success
    assert rules.came[0] != rules.came[1]
    assert alice.resent == 2


async def test_nobody_answering_is_a_timeout(phone: Callable[..., Phone]) -> None:
    async with phone(BOB, patience=0.01) as bob:
        with pytest.raises(NoAnswer):
            await bob.query(ALICE.public)
