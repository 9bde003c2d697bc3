"""Events, facts and a store in the shape of a dictionary, for tests of the server's rules."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from hushbell.core.server.decide import apply
from hushbell.core.server.events import QueryReceived, RegistrationReceived, RequestReceived
from hushbell.core.server.facts import Decision, Facts, FactsNeeded, SaveRegistration, StoredRegistration
from hushbell.crypto.hashes import hash_public_key
from hushbell.types import DeviceKey, InstallationId, KeyHash, MessageId, Millis, PublicKey, RequestId, TokenType
from hushbell.wire.codec import encode
from hushbell.wire.messages import NotificationRequest, PushNotification, Query, Registration

ALICE = PublicKey(
    bytes.fromhex(
        "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
        "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
    )
)
BOB = PublicKey(
    bytes.fromhex(
        "04c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"
        "1ae168fea63dc339a3c58419466ceaeef7f632653266d0e1236431a950cfe52a"
    )
)
PHONE = InstallationId("c6ae4fde-bb65-11ea-b3de-0242ac130004")
TOKEN = "b6ae4fde-bb65-11ea-b3de-0242ac130004"
NOW = Millis(1_600_000_000_000)


@pytest.fixture
def alice() -> PublicKey:
    return ALICE


@pytest.fixture
def bob() -> PublicKey:
    return BOB


@pytest.fixture
def now() -> Millis:
    return NOW


@pytest.fixture
def phone() -> DeviceKey:
    return DeviceKey(hash_public_key(ALICE), PHONE)


@pytest.fixture
def token() -> str:
    return TOKEN


def complete(**changes: Any) -> Registration:
    """A registration that is accepted, with changes."""
    fields: dict[str, Any] = {
        "token_type": TokenType.APN,
        "device_token": "device-token",
        "installation_id": PHONE,
        "access_token": TOKEN,
        "enabled": True,
        "version": 1,
        "grant": bytes(64) + b"\1",
    }
    return Registration(**(fields | changes))


@pytest.fixture
def registration() -> Callable[..., Registration]:
    return complete


@pytest.fixture
def registers() -> Callable[..., RegistrationReceived]:
    """Alice registers; ``sender`` and ``grant_is_valid`` are the event's, the rest is the registration's."""

    def event(*, sender: PublicKey = ALICE, grant_is_valid: bool = True, **changes: Any) -> RegistrationReceived:
        new = complete(**changes)
        plaintext = encode(new)
        request_id = RequestId(hashlib.shake_256(plaintext).digest(64))
        return RegistrationReceived(sender, request_id, plaintext, new, grant_is_valid)

    return event


@pytest.fixture
def asks() -> Callable[..., QueryReceived]:
    """Bob asks for the owners of key hashes."""

    def event(*public_keys: bytes, message_id: bytes = b"q" * 32) -> QueryReceived:
        return QueryReceived(BOB, MessageId(message_id), Query(public_keys=public_keys))

    return event


@pytest.fixture
def item(phone: DeviceKey) -> Callable[..., PushNotification]:
    """A notification for Alice's phone with the right token, with changes."""

    def made(**changes: Any) -> PushNotification:
        fields: dict[str, Any] = {
            "access_token": TOKEN,
            "public_key": phone.key_hash,
            "installation_id": phone.installation_id,
            "type": 1,
            "chat_id": b"c" * 64,
            "author": b"y" * 64,
        }
        return PushNotification(**(fields | changes))

    return made


@pytest.fixture
def sends() -> Callable[..., RequestReceived]:
    """Bob sends a request."""

    def event(
        *items: PushNotification,
        message_id: bytes = b"m" * 32,
        request_message_id: bytes = b"w" * 32,
        sender: PublicKey = BOB,
    ) -> RequestReceived:
        request = NotificationRequest(requests=items, message_id=message_id)
        return RequestReceived(sender, MessageId(request_message_id), request)

    return event


@pytest.fixture
def knows() -> Callable[..., Facts]:
    """Facts about devices, as a store would load them."""

    def made(stored: dict[DeviceKey, StoredRegistration] | None = None, *, omitted: Sequence[DeviceKey] = ()) -> Facts:
        facts = Facts(devices=dict(stored or {}), omitted=set(omitted))
        for device in [*facts.devices, *omitted]:
            known = facts.devices.get(device)
            is_live = known is None or known.registration is not None
            facts.installations.setdefault(device.key_hash, {})[device.installation_id] = is_live
        return facts

    return made


@pytest.fixture
def keeps() -> Callable[..., StoredRegistration]:
    """What is stored after a complete registration, with changes."""

    def made(
        *, registered_at: int = NOW - 1000, token_dead_since: int | None = None, **changes: Any
    ) -> StoredRegistration:
        new = complete(**changes)
        dead = None if token_dead_since is None else Millis(token_dead_since)
        return StoredRegistration(new.version, Millis(registered_at), encode(new), new, dead)

    return made


@pytest.fixture
def registered(
    phone: DeviceKey, keeps: Callable[..., StoredRegistration], knows: Callable[..., Facts]
) -> Callable[..., Facts]:
    """Facts in which Alice's phone alone is registered, completely but for changes."""
    return lambda **changes: knows({phone: keeps(**changes)})


@dataclass
class ModelStore:
    """What a store must do, in its shortest form."""

    everything: Facts = field(default_factory=Facts)
    committed: list[object] = field(default_factory=list)

    def load(self, needed: FactsNeeded) -> Facts:
        known = self.everything
        key_hashes = needed.installations | needed.queried
        devices = {
            device: stored
            for device, stored in known.devices.items()
            if device in needed.devices or (device.key_hash in needed.queried and stored.registration is not None)
        }
        return Facts(
            devices=devices,
            installations={
                key_hash: dict(known.installations[key_hash]) for key_hash in key_hashes & set(known.installations)
            },
            responses={name: known.responses[name] for name in needed.requests & set(known.responses)},
            notified=set(needed.notification_keys & known.notified),
            buckets=dict(known.buckets),
        )

    def commit(self, decision: Decision) -> None:
        for write in decision.writes:
            if isinstance(write, SaveRegistration):
                before = self.everything.devices.get(write.device)
                assert write.replaces == (before.version if before else 0)
        self.committed.extend(decision.writes)
        apply(self.everything, decision)


@pytest.fixture
def model_store() -> Callable[[], ModelStore]:
    return ModelStore


@pytest.fixture
def key_hash() -> KeyHash:
    return hash_public_key(ALICE)
