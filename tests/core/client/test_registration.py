"""Registering, as the client of status-go does (reference/status-go.md 8.3, C1, C2 and C4)."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from hushbell import wire
from hushbell.core.client.registration import (
    Device,
    LastRegistration,
    Options,
    is_outdated,
    needs_new_token,
    next_registration,
    next_unregistration,
    read_response,
    seal_registration,
)
from hushbell.core.envelope import OpenedEnvelope
from hushbell.crypto.ciphers import open_gcm
from hushbell.crypto.hashes import hash_chat_id
from hushbell.crypto.secp256k1 import ecdh_x, key_pair_from
from hushbell.errors import Unauthentic
from hushbell.types import DeviceToken, InstallationId, KeyPair, MessageId, SymmetricKey, TokenType

ALICE, CONTACT, OTHER, SERVER, MALLORY = (key_pair_from(bytes([n]) * 32) for n in range(1, 6))
DEVICE = Device(
    installation_id=InstallationId("c6ae4fde-bb65-11ea-b3de-0242ac130004"),
    device_token=DeviceToken("device"),
    token_type=TokenType.APN,
)


def counting() -> Callable[[int], bytes]:
    drawn = 0

    def draw(size: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return hashlib.shake_256(drawn.to_bytes(8)).digest(size)

    return draw


def hashed(*chats: str) -> tuple[bytes, ...]:
    return tuple(hash_chat_id(chat) for chat in chats)


def test_c1_a_first_registration_has_version_1_a_fresh_token_and_hashed_lists() -> None:
    options = Options(muted=("a", "b"), blocked=("c", "d"), contacts=(CONTACT.public,))

    first = next_registration(options, DEVICE, None, ALICE, counting()).registration

    assert (first.version, first.enabled, len(first.access_token)) == (1, True, 36)
    assert (first.muted_chat_list, first.blocked_chat_list) == (hashed("a", "b"), hashed("c", "d"))
    assert first.allowed_key_list == ()
    assert not first.allow_from_contacts_only


def test_c2_contacts_only_seals_the_token_for_each_contact() -> None:
    options = Options(mentions_in=("c", "d"), contacts=(CONTACT.public,), contacts_only=True)

    first = next_registration(options, DEVICE, None, ALICE, counting()).registration

    [entry] = first.allowed_key_list
    shared = SymmetricKey(ecdh_x(CONTACT.private, ALICE.public))
    assert open_gcm(shared, entry).decode() == first.access_token
    assert first.allow_from_contacts_only
    assert first.allowed_mentions_chat_list == hashed("c", "d")


@pytest.mark.parametrize(
    "was_only, is_only, before, after, fresh",
    [
        (False, False, (CONTACT,), (CONTACT, OTHER), False),
        (False, False, (CONTACT, OTHER), (OTHER, CONTACT), False),
        (False, False, (CONTACT, OTHER), (OTHER,), True),
        (True, False, (CONTACT,), (CONTACT,), False),
        (False, True, (CONTACT,), (CONTACT,), True),
    ],
    ids=["contact added", "reordered", "contact removed", "contacts-only off", "contacts-only on"],
)
def test_c4_the_token_changes_when_somebody_must_no_longer_ring(
    was_only: bool, is_only: bool, before: tuple[KeyPair, ...], after: tuple[KeyPair, ...], fresh: bool
) -> None:
    last = LastRegistration(
        wire.Registration(access_token="known", allow_from_contacts_only=was_only), tuple(k.public for k in before)
    )

    options = Options(contacts_only=is_only, contacts=tuple(k.public for k in after))

    assert needs_new_token(last, options) == fresh


def test_only_the_server_that_was_asked_can_answer() -> None:
    sent = seal_registration(
        next_registration(Options(), DEVICE, None, ALICE, counting()).registration, ALICE, SERVER.public, counting()
    )
    payload = wire.encode(wire.RegistrationResponse(success=True, request_id=sent.request_id))
    pending = {sent.request_id: SERVER.public}

    assert read_response(OpenedEnvelope(SERVER.public, MessageId(b""), 17, payload), pending).success
    with pytest.raises(Unauthentic):
        read_response(OpenedEnvelope(MALLORY.public, MessageId(b""), 17, payload), pending)
    with pytest.raises(Unauthentic):
        read_response(OpenedEnvelope(SERVER.public, MessageId(b""), 17, payload), {})


def test_every_server_is_told_the_same_but_for_its_grant() -> None:
    made = next_registration(Options(muted=("a",)), DEVICE, None, ALICE, counting()).registration

    told = []
    for server in (SERVER, OTHER):
        sent = wire.decode(
            wire.ApplicationMessage, seal_registration(made, ALICE, server.public, counting()).application
        )
        shared = SymmetricKey(ecdh_x(server.private, ALICE.public))
        told.append(wire.decode(wire.Registration, open_gcm(shared, sent.payload)))

    assert told[0].grant != told[1].grant
    assert {replace(each, grant=b"") for each in told} == {made}


@pytest.mark.parametrize(
    "options, device, due",
    [
        (Options(), DEVICE, False),
        (Options(), replace(DEVICE, device_token=DeviceToken("another")), True),
        (Options(), replace(DEVICE, token_type=TokenType.FIREBASE), True),
        (Options(muted=("a",)), DEVICE, True),
        (Options(enabled=False), DEVICE, True),
        (Options(contacts=(CONTACT.public,)), DEVICE, False),
    ],
    ids=["nothing new", "device token", "provider", "muted chat", "switched off", "contact that needs no list"],
)
def test_a_new_device_token_or_wish_is_a_reason_to_register_again(options: Options, device: Device, due: bool) -> None:
    last = next_registration(Options(), DEVICE, None, ALICE, counting())

    assert is_outdated(last, options, device) == due


def test_for_contacts_only_a_new_contact_is_a_reason_to_register_again() -> None:
    before = Options(contacts_only=True, contacts=(CONTACT.public,))
    last = next_registration(before, DEVICE, None, ALICE, counting())

    assert not is_outdated(last, before, DEVICE)
    assert is_outdated(last, replace(before, contacts=(CONTACT.public, OTHER.public)), DEVICE)


def test_who_unregistered_is_not_registered_again_by_a_new_device_token() -> None:
    gone = next_unregistration(DEVICE.installation_id, next_registration(Options(), DEVICE, None, ALICE, counting()))

    assert not is_outdated(gone, Options(), replace(DEVICE, device_token=DeviceToken("another")))


def test_registering_again_says_the_latest_wishes_with_a_higher_version() -> None:
    last = next_registration(Options(muted=("a",)), DEVICE, None, ALICE, counting())
    device = replace(DEVICE, device_token=DeviceToken("another"))

    again = next_registration(Options(muted=("b",)), device, last, ALICE, counting()).registration

    assert again.version > last.registration.version
    assert (again.device_token, again.muted_chat_list) == ("another", hashed("b"))
    assert again.access_token == last.registration.access_token
