"""
Bad input to a whole service: a clear answer where the protocol has one, silence elsewhere, never the end of it.

Over 400 lines because the table of envelopes is long, and everything in it is built by the one sender beside it.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from hushbell import wire
from hushbell.config.limits import Limits
from hushbell.core import envelope
from hushbell.core.delivery.changes import Changes
from hushbell.crypto import ciphers, ecies, grants, hashes, secp256k1, signatures, topics
from hushbell.errors import StoreUnavailable
from hushbell.ports.outbox import Committed
from hushbell.runtime.clock import system_random
from hushbell.stores.memory.server import MemoryServerStore
from hushbell.types import (
    DEFAULT_PUBSUB_TOPIC,
    AccessToken,
    ContentTopic,
    Envelope,
    KeyPair,
    Nanos,
    PubsubTopic,
    SymmetricKey,
)
from hushbell.wire.messages import (
    ApplicationMessage,
    ApplicationType,
    NotificationRequest,
    NotificationResponse,
    ProtocolMessage,
    PushNotification,
    Query,
    QueryResponse,
    Registration,
    RegistrationError,
    RegistrationResponse,
    ReportError,
    Segment,
    WakuMessage,
)

REGISTRATION = ApplicationType.PUSH_NOTIFICATION_REGISTRATION
QUERY = ApplicationType.PUSH_NOTIFICATION_QUERY
REQUEST = ApplicationType.PUSH_NOTIFICATION_REQUEST
KINDS = {17: RegistrationResponse, 19: QueryResponse, 21: NotificationResponse}
MIB = 1024 * 1024
ALICE, MALLORY = secp256k1.key_pair_from(b"\1" * 32), secp256k1.key_pair_from(b"\2" * 32)
PHONE = "c6ae4fde-bb65-11ea-b3de-0242ac130004"
TOKEN = AccessToken("b6ae4fde-bb65-11ea-b3de-0242ac130004")
OWNER = hashes.hash_public_key(ALICE.public)
QUERY_KEY = SymmetricKey(b"\7" * 32)  # kept by the store, so that no test derives one
OTHER_SHARD = PubsubTopic("/waku/2/rs/16/33")


class FailingStore(MemoryServerStore):
    """A store whose disk is full, or gone, while a test says so."""

    full = gone = vanishes = False

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self._commit = self.outbox.commit
        self.outbox.commit = self._commit_or_fail  # type: ignore[method-assign]

    def _commit_or_fail(self, changes: Changes, done: Committed) -> None:
        if self.full:
            asyncio.get_running_loop().call_soon(done, StoreUnavailable("disk full"))
            return
        self._commit(changes, done)
        self.gone = self.gone or self.vanishes

    async def load(self, *arguments: Any, **named: Any) -> Any:
        if self.gone:
            raise StoreUnavailable("no disk")
        return await super().load(*arguments, **named)

    async def query_key(self, key_hash: Any) -> Any:
        if self.gone:
            raise StoreUnavailable("no disk")
        return await super().query_key(key_hash)


class World:
    """A service on which Alice is registered, and everything Mallory can reach of it."""

    def __init__(self, running: Any, store: FailingStore, provider: Any) -> None:
        self.running, self.store, self.provider = running, store, provider
        self.server: KeyPair = running.identity
        self.counters = running.counters
        self._bus = running.bus.connect()
        self._sent = 0

    async def send(self, *messages: bytes, shard: PubsubTopic = DEFAULT_PUBSUB_TOPIC) -> list[Any]:
        """Publish envelopes and return what the service answers to Mallory, decoded."""
        responses = self.counters["answers"]
        await self._bus.publish([Envelope(shard, message) for message in messages])
        self._sent += len(messages)
        await self.running.settled(self._sent)
        answers: list[Any] = []
        while self.counters["answers"] > responses + len(answers):
            for received in await self._bus.receive(1):
                opened = envelope.open_with_private(
                    wire.decode(WakuMessage, received.waku_message).payload, MALLORY.private
                )
                answers.append(wire.decode(KINDS[opened.type], opened.payload))
        return answers

    def registration(self, **changes: Any) -> bytes:
        """Mallory's registration, complete but for changes."""
        return self.sealed_registration(wire.encode(self.complete(**changes)))

    def complete(self, **changes: Any) -> Registration:
        fields: dict[str, Any] = {
            "token_type": 1,
            "device_token": "device-token",
            "installation_id": PHONE,
            "access_token": TOKEN,
            "enabled": True,
            "version": 1,
            "grant": grants.make_grant(MALLORY, self.server.public, TOKEN),
        }
        return Registration(**(fields | changes))

    def sealed_registration(self, plaintext: bytes, key: SymmetricKey | None = None) -> bytes:
        shared = key or envelope.registration_key(MALLORY.private, self.server.public)
        return self.message(ciphers.seal_gcm(shared, system_random(12), plaintext), REGISTRATION)

    def request(self, *items: PushNotification, message_id: bytes = b"m" * 32) -> bytes:
        return self.message(wire.encode(NotificationRequest(requests=items, message_id=message_id)), REQUEST)

    def query(self, *key_hashes: bytes) -> bytes:
        application = envelope.sign_application(wire.encode(Query(public_keys=key_hashes)), QUERY, MALLORY)
        return envelope.seal_with_key(
            application,
            key=QUERY_KEY,
            signer=MALLORY,
            content_topic=topics.query_topic(OWNER),
            timestamp=Nanos(1),
            random=system_random,
        )

    def message(self, payload: bytes, type_: int) -> bytes:
        return self.application(envelope.sign_application(payload, type_, MALLORY))

    def application(self, application: bytes, recipient: KeyPair | None = None) -> bytes:
        return envelope.seal_to_key(
            application,
            recipient=(recipient or self.server).public,
            signer=MALLORY,
            content_topic=self.topic,
            timestamp=Nanos(1),
            random=system_random,
        )

    def frame(self, frame: bytes) -> bytes:
        """Any bytes where a frame belongs."""
        return self.payload(
            ecies.encrypt(self.server.public, frame, secp256k1.key_pair(system_random), system_random(16))
        )

    def payload(self, payload: bytes, **changes: Any) -> bytes:
        """Any bytes where something encrypted belongs."""
        fields: dict[str, Any] = {"payload": payload, "content_topic": self.topic, "version": 1, "timestamp": 1}
        return wire.encode(WakuMessage(**(fields | changes)))

    def with_waku(self, message: bytes, **changes: Any) -> bytes:
        return wire.encode(replace(wire.decode(WakuMessage, message), **changes))

    @property
    def topic(self) -> ContentTopic:
        return topics.partitioned_topic(self.server.public)

    async def still_works(self) -> None:
        """Somebody new registers, is found and rung, as if nothing had happened."""
        phone, notified = str(uuid.uuid4()), len(self.provider.attempts)
        (registered,) = await self.send(self.registration(installation_id=phone))
        assert registered.success
        (found,) = await self.send(self.query(OWNER))
        assert found.success
        item = PushNotification(
            access_token=TOKEN, public_key=hashes.hash_public_key(MALLORY.public), installation_id=phone, type=1
        )
        (rang,) = await self.send(self.request(item, message_id=phone.encode()))
        assert [report.success for report in rang.reports] == [True]
        assert len(self.provider.attempts) == notified + 1


def item(**changes: Any) -> PushNotification:
    fields: dict[str, Any] = {"access_token": TOKEN, "public_key": OWNER, "installation_id": PHONE, "type": 1}
    return PushNotification(**(fields | changes))


def signed_frame(data: bytes) -> bytes:
    padding = bytes(wire.padding_length(len(data), signed=True))
    signed_part = wire.encode_frame(data, padding, signed=True)
    return signed_part + signatures.sign_frame(signed_part, MALLORY.private)


@pytest.fixture
async def world(start_service: Any, provider: Any) -> AsyncIterator[World]:
    store = FailingStore(random=os.urandom)
    await store.keep_query_key(OWNER, QUERY_KEY)
    running = await start_service(store=store, limits=Limits(installations=4, ring_burst=1000))
    world = World(running, store, provider)
    alices = world.complete(grant=grants.make_grant(ALICE, world.server.public, TOKEN))
    shared = envelope.registration_key(ALICE.private, world.server.public)
    sealed = ciphers.seal_gcm(shared, bytes(12), wire.encode(alices))
    await running.bus.connect().publish(
        [Envelope(DEFAULT_PUBSUB_TOPIC, world.application(envelope.sign_application(sealed, REGISTRATION, ALICE)))]
    )
    world._sent = 1
    await running.settled(1)
    await world._bus.receive(2)  # Alice's registration and its answer
    assert running.counters["answers"] == 1
    yield world
    await world.still_works()


@dataclass(frozen=True)
class Silent:
    """An envelope that is met with silence, and the counter that says so."""

    name: str
    counter: str
    make: Callable[[World], bytes]


SILENT = [
    Silent("a truncated envelope", "envelopes_undecodable", lambda w: w.request(item())[:200]),
    Silent("an envelope of noise", "envelopes_undecodable", lambda w: b"\xff" * 300),
    Silent("an empty envelope", "envelopes_of_other_topics", lambda w: b""),
    Silent("noise over the cap", "envelopes_too_large", lambda w: b"\xff" * (MIB + 1)),
    Silent("an envelope over the cap", "envelopes_too_large", lambda w: w.payload(bytes(MIB))),
    Silent(
        "an unknown topic", "envelopes_of_other_topics", lambda w: w.with_waku(w.request(item()), content_topic="x")
    ),
    Silent("no Waku version", "envelopes_undecodable", lambda w: w.with_waku(w.request(item()), version=None)),
    Silent("Waku version 0", "envelopes_undecodable", lambda w: w.with_waku(w.request(item()), version=0)),
    Silent("Waku version 2", "envelopes_undecodable", lambda w: w.with_waku(w.request(item()), version=2)),
    Silent("no payload", "envelopes_unauthentic", lambda w: w.payload(b"")),
    Silent("garbage for a ciphertext", "envelopes_unauthentic", lambda w: w.payload(b"\4" + b"\xab" * 400)),
    Silent("garbage that begins with a key", "envelopes_unauthentic", lambda w: w.payload(ALICE.public + bytes(400))),
    Silent(
        "garbage on a query topic",
        "envelopes_unauthentic",
        lambda w: w.payload(bytes(400), content_topic=topics.query_topic(OWNER)),
    ),
    Silent(
        "less than a nonce on a query topic",
        "envelopes_unauthentic",
        lambda w: w.payload(b"12345", content_topic=topics.query_topic(OWNER)),
    ),
    Silent(
        "encrypted to somebody else",
        "envelopes_unauthentic",
        lambda w: w.application(envelope.sign_application(b"x", REQUEST, MALLORY), ALICE),
    ),
    Silent("an empty frame", "envelopes_undecodable", lambda w: w.frame(b"")),
    Silent("a frame of one byte", "envelopes_undecodable", lambda w: w.frame(b"\7")),
    Silent("a frame shorter than its data", "envelopes_undecodable", lambda w: w.frame(b"\7\xff\xff\xff" + bytes(99))),
    Silent(
        "an unsigned frame", "envelopes_unauthentic", lambda w: w.frame(wire.encode_frame(b"x", b"p", signed=False))
    ),
    Silent("garbage for a message", "envelopes_undecodable", lambda w: w.frame(signed_frame(b"\xff" * 90))),
    Silent("a message of nothing", "envelopes_undecodable", lambda w: w.frame(signed_frame(b""))),
    Silent(
        "a signature nobody can have made",
        "envelopes_unauthentic",
        lambda w: w.application(wire.encode(ApplicationMessage(signature=b"\xff" * 65, payload=b"x", type=REQUEST))),
    ),
    Silent(
        "a signature of three bytes",
        "envelopes_unauthentic",
        lambda w: w.application(wire.encode(ApplicationMessage(signature=b"abc", payload=b"x", type=REQUEST))),
    ),
    Silent(
        "a segment of a larger message",
        "envelopes_undecodable",
        lambda w: w.application(
            wire.encode(Segment(entire_message_hash=b"h" * 32, index=1, segments_count=3, payload=b"part"))
        ),
    ),
    Silent(
        "a wrapper around garbage",
        "envelopes_undecodable",
        lambda w: w.application(wire.encode(ProtocolMessage(public_message=b"\xff" * 80))),
    ),
    Silent(
        "a wrapper around something encrypted",
        "envelopes_undecodable",
        lambda w: w.application(wire.encode(ProtocolMessage(encrypted_message={"phone": b"\xff" * 80}))),
    ),
    Silent("a type of nobody", "envelopes_of_other_types", lambda w: w.message(b"x", 9999)),
    Silent("an answer instead of a question", "envelopes_of_other_types", lambda w: w.message(b"x", 17)),
    Silent("garbage for a registration", "envelopes_unauthentic", lambda w: w.message(b"\xff" * 90, REGISTRATION)),
    Silent(
        "a registration with another key",
        "envelopes_unauthentic",
        lambda w: w.sealed_registration(wire.encode(w.complete()), SymmetricKey(b"\3" * 32)),
    ),
    Silent("garbage for a query", "envelopes_undecodable", lambda w: w.message(b"\xff" * 90, QUERY)),
    Silent("garbage for a request", "envelopes_undecodable", lambda w: w.message(b"\xff" * 90, REQUEST)),
    Silent("a query for nobody", "envelopes_undecodable", lambda w: w.query()),
    Silent("a query for a stranger", "events", lambda w: w.query(b"s" * 64)),
    Silent("a query for half a hash", "events", lambda w: w.query(OWNER[:32])),
    Silent("a query for 257 keys", "query_keys", lambda w: w.query(OWNER, *[b"k" * 64] * 256)),
    Silent("a query for a quarter of a million nothings", "query_keys", lambda w: w.query(*[b""] * 250_000)),
    Silent("a request without a message id", "events", lambda w: w.request(item(), message_id=b"")),
    Silent("a request of 2049 items", "request_items", lambda w: w.request(*[item()] * 2049)),
    Silent(
        "a request of 10,000 items", "envelopes_too_large", lambda w: w.request(*[PushNotification(type=1)] * 10_000)
    ),
    Silent(
        "a request of half a million nothings",
        "envelopes_too_large",
        lambda w: w.message(b"\x0a\x00" * 390_000, REQUEST),
    ),
    Silent("100 KiB of unknown fields", "envelopes_too_large", lambda w: w.message(b"\xf8\x07\1" * 34_000, REQUEST)),
]


@pytest.mark.parametrize("case", SILENT, ids=lambda case: case.name)
async def test_what_is_not_for_us_is_met_with_silence_and_counted(world: World, case: Silent) -> None:
    before = world.counters[case.counter]

    answers = await world.send(case.make(world))

    assert answers == []
    assert world.counters[case.counter] == before + 1
    assert world.provider.attempts == []


async def test_another_shard_is_not_looked_at(world: World) -> None:
    assert await world.send(world.request(item()), shard=OTHER_SHARD) == []

    assert world.counters["envelopes_of_other_shards"] == 1


async def test_256_keys_are_a_query(world: World) -> None:
    (answer,) = await world.send(world.query(OWNER, *[b"k" * 64] * 255))

    assert len(answer.info) == 1


MALFORMED, MISMATCH = RegistrationError.MALFORMED_MESSAGE, RegistrationError.VERSION_MISMATCH


@pytest.mark.parametrize(
    "changes, error",
    [
        pytest.param({"version": 0}, MISMATCH, id="version 0"),
        pytest.param({"version": 2**63}, RegistrationError.INTERNAL_ERROR, id="a version nobody can store"),
        pytest.param({"installation_id": "phone"}, MALFORMED, id="an installation that is no UUID"),
        pytest.param({"installation_id": ""}, MALFORMED, id="no installation"),
        pytest.param({"installation_id": "\0" * 36}, MALFORMED, id="an installation of zeros"),
        pytest.param({"access_token": "token"}, MALFORMED, id="a token that is no UUID"),
        pytest.param({"grant": b""}, MALFORMED, id="no grant"),
        pytest.param({"grant": b"\xff" * 65}, MALFORMED, id="a grant nobody can have made"),
        pytest.param({"grant": bytes(3)}, MALFORMED, id="a short grant"),
        pytest.param(
            {"grant": grants.make_grant(MALLORY, ALICE.public, TOKEN)}, MALFORMED, id="another server's grant"
        ),
        pytest.param({"device_token": ""}, MALFORMED, id="no device token"),
        pytest.param({"token_type": 0}, MALFORMED, id="token type 0"),
        pytest.param({"token_type": 7}, RegistrationError.UNSUPPORTED_TOKEN_TYPE, id="token type 7"),
        pytest.param({"token_type": -1}, RegistrationError.UNSUPPORTED_TOKEN_TYPE, id="token type -1"),
        pytest.param({"muted_chat_list": (b"m",) * 10_000}, MALFORMED, id="10,000 muted chats"),
        pytest.param({"allowed_key_list": (b"",) * 10_000}, MALFORMED, id="10,000 allowed keys"),
        pytest.param({"blocked_chat_list": (b"b",) * 4097}, MALFORMED, id="4,097 blocked chats"),
        pytest.param({"allowed_mentions_chat_list": (b"",) * 200_000}, MALFORMED, id="200,000 empty chats"),
        pytest.param({"device_token": "t" * (512 * 1024)}, MALFORMED, id="over 512 KiB"),
    ],
)
async def test_a_registration_against_the_rules_is_refused_and_not_kept(
    world: World, changes: dict[str, Any], error: RegistrationError
) -> None:
    (answer,) = await world.send(world.registration(**changes))

    assert (answer.success, answer.error) == (False, error)
    assert hashes.hash_public_key(MALLORY.public) not in await world.store.key_hashes()


async def test_a_registration_that_decrypts_to_garbage_is_malformed(world: World) -> None:
    (answer,) = await world.send(world.sealed_registration(b"\xff" * 80))

    assert answer.error == MALFORMED


@pytest.mark.parametrize(
    "again, error",
    [
        pytest.param({"version": 5}, RegistrationError.NONE, id="the same version with the same content"),
        pytest.param({"version": 5, "device_token": "other"}, MISMATCH, id="the same version with other content"),
        pytest.param({"version": 4}, MISMATCH, id="an older version"),
        pytest.param({"version": 4, "unregister": True}, MISMATCH, id="an older version that unregisters"),
        pytest.param({"version": 6}, RegistrationError.NONE, id="a newer version"),
    ],
)
async def test_only_newer_registrations_replace_one(
    world: World, again: dict[str, Any], error: RegistrationError
) -> None:
    (first,) = await world.send(world.registration(version=5))

    (answer,) = await world.send(world.registration(**again))

    assert first.success
    assert answer.error == error


async def test_a_replayed_registration_does_not_undo_unregistering(world: World) -> None:
    old = world.registration(version=1)
    await world.send(old)
    await world.send(world.registration(version=2, unregister=True))

    (answer,) = await world.send(old)

    assert answer.error == MISMATCH
    assert hashes.hash_public_key(MALLORY.public) not in await world.store.key_hashes()


async def test_one_installation_more_than_a_person_has_is_refused(world: World) -> None:
    for number in range(4):
        (answer,) = await world.send(world.registration(installation_id=str(uuid.UUID(int=number + 1))))
        assert answer.success

    (refused,) = await world.send(world.registration(installation_id=str(uuid.UUID(int=9))))

    assert refused.error == MALFORMED
    assert world.counters["installations"] == 1
    gone = world.registration(installation_id=str(uuid.UUID(int=1)), version=2, unregister=True)
    assert [answer.success for answer in await world.send(gone)] == [True]


@pytest.mark.parametrize(
    "changes, reports",
    [
        pytest.param({"type": 0}, [], id="type 0"),
        pytest.param({"type": 4}, [], id="type 4"),
        pytest.param({"type": -1}, [], id="type -1"),
        pytest.param({"access_token": "wrong"}, [ReportError.WRONG_TOKEN], id="a wrong token"),
        pytest.param({"access_token": ""}, [ReportError.WRONG_TOKEN], id="no token"),
        pytest.param({"public_key": b"x"}, [ReportError.NOT_REGISTERED], id="one byte of a hash"),
        pytest.param({"public_key": b"x" * 64}, [ReportError.NOT_REGISTERED], id="a stranger"),
        pytest.param({"installation_id": "\0"}, [ReportError.NOT_REGISTERED], id="a zero for an installation"),
        pytest.param({"installation_id": "x" * 9000}, [ReportError.NOT_REGISTERED], id="a long installation"),
    ],
)
async def test_an_item_that_cannot_ring_rings_nobody(
    world: World, changes: dict[str, Any], reports: list[ReportError]
) -> None:
    (answer,) = await world.send(world.request(item(**changes)))

    assert [report.error for report in answer.reports] == reports
    assert world.provider.attempts == []


async def test_a_duplicate_request_is_answered_again_and_rings_once(world: World) -> None:
    request = world.request(item())

    answers = await world.send(request, request)
    answers += await world.send(request)

    assert [answer.reports[0].success for answer in answers] == [True, True, True]
    assert len(world.provider.attempts) == 1


async def test_good_messages_among_bad_ones_of_a_batch_are_served(world: World) -> None:
    bad = [case.make(world) for case in SILENT if not case.name.startswith(("noise over", "an envelope over"))]

    answers = await world.send(*bad, world.request(item()), *bad)

    assert [answer.reports[0].success for answer in answers] == [True]


@pytest.mark.parametrize("state", ["full", "gone"])
async def test_a_failing_store_is_told_to_those_who_wait_and_promises_nothing(world: World, state: str) -> None:
    setattr(world.store, state, True)

    (registered,) = await world.send(world.registration())
    (requested,) = await world.send(world.request(item(), item(type=9)))

    assert registered.error == RegistrationError.INTERNAL_ERROR
    assert [report.error for report in requested.reports] == [ReportError.INTERNAL_ERROR]
    assert world.provider.attempts == []
    setattr(world.store, state, False)
    assert hashes.hash_public_key(MALLORY.public) not in await world.store.key_hashes()
    (again,) = await world.send(world.request(item()))
    assert again.reports[0].success


async def test_a_query_to_a_failing_store_is_met_with_silence(world: World) -> None:
    world.store.gone = True

    answers = await world.send(world.query(OWNER))

    world.store.gone = False
    assert answers == []


async def test_the_last_device_can_leave_while_the_store_fails_to_say_who_is_left(world: World) -> None:
    await world.send(world.registration())
    leaving = world.registration(version=2, unregister=True)
    world.store.vanishes = True

    (answer,) = await world.send(leaving)

    world.store.vanishes = world.store.gone = False

    assert answer.success
    assert world.counters["batches_failed"] == 0
