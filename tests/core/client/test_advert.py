"""Telling others how to ring us: built here, opened again, and the same as status-go's (transcript t20)."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hushbell import wire
from hushbell.core.client import advert, query
from hushbell.core.client.registration import Device, LastRegistration, Options, next_registration, next_unregistration
from hushbell.core.envelope import OpenedEnvelope, open_waku, open_with_symmetric
from hushbell.crypto import topics
from hushbell.crypto.secp256k1 import key_pair_from
from hushbell.errors import Unauthentic
from hushbell.types import DeviceToken, InstallationId, KeyPair, Millis, Nanos, SymmetricKey, TokenType

ALICE, BOB, MALLORY, SERVER, SPARE = (key_pair_from(bytes([n]) * 32) for n in range(1, 6))
PHONE = InstallationId("c6ae4fde-bb65-11ea-b3de-0242ac130004")
DEVICE = Device(installation_id=PHONE, device_token=DeviceToken("device"), token_type=TokenType.APN)
KEY = SymmetricKey(b"k" * 32)
NOW = Nanos(1_600_000_000_000_000_000)
T20 = Path(__file__).parents[2] / "vectors" / "status-go" / "t20_contact_code.json"


def drawn(size: int) -> bytes:
    return hashlib.shake_256(b"a fixed draw").digest(size)


def registration(**wishes: Any) -> LastRegistration:
    return next_registration(Options(**wishes), DEVICE, None, ALICE, drawn)


def advertised(last: LastRegistration, *servers: KeyPair, client: KeyPair = ALICE) -> OpenedEnvelope:
    """Seal what the client advertises, and open it as everybody on the topic does."""
    application = advert.build_advert(last, [server.public for server in servers], client)
    assert application is not None
    sealed = advert.seal_advert(
        application,
        installation_id=InstallationId(last.registration.installation_id),
        client=client,
        key=KEY,
        timestamp=NOW,
        random=drawn,
    )
    return open_with_symmetric(open_waku(sealed).payload, KEY)


def infos(opened: OpenedEnvelope) -> tuple[wire.QueryInfo, ...]:
    return wire.decode(wire.ContactCodeAdvertisement, opened.payload).push_notification_info


def test_an_advert_tells_the_token_and_every_server() -> None:
    last = registration()

    opened = advertised(last, SERVER, SPARE)

    found = query.read_contact_code(opened, ALICE.public, BOB.private)
    assert {info.server for info in found} == {SERVER.public, SPARE.public}
    assert {(info.installation_id, info.access_token, info.version) for info in found} == {
        (PHONE, last.registration.access_token, 1)
    }
    assert all(info.access_token and not info.allowed_key_list for info in infos(opened))


def test_for_contacts_only_the_advert_holds_the_list_and_no_token() -> None:
    last = registration(contacts_only=True, contacts=(BOB.public,))

    opened = advertised(last, SERVER)

    [told] = infos(opened)
    [found] = query.read_contact_code(opened, ALICE.public, BOB.private)
    assert (told.access_token, told.allowed_key_list) == ("", last.registration.allowed_key_list)
    assert found.access_token == last.registration.access_token
    assert query.read_contact_code(opened, ALICE.public, MALLORY.private) == ()


def test_nobody_is_told_how_to_ring_who_unregistered_or_switched_off() -> None:
    gone = next_unregistration(PHONE, registration())

    assert advert.build_advert(gone, [SERVER.public], ALICE) is None
    assert advert.build_advert(registration(enabled=False), [SERVER.public], ALICE) is None


def test_a_grant_for_one_server_lets_in_no_other() -> None:
    [told] = infos(advertised(registration(), SERVER))
    forged = replace(told, server_public_key=infos(advertised(registration(), SPARE))[0].server_public_key)
    payload = wire.encode(wire.ContactCodeAdvertisement(push_notification_info=(forged,)))
    opened = replace(advertised(registration(), SERVER), payload=payload)

    assert query.read_contact_code(opened, ALICE.public, BOB.private) == ()


def test_somebody_elses_advert_is_not_believed() -> None:
    opened = advertised(registration(), SERVER, client=MALLORY)

    with pytest.raises(Unauthentic):
        query.read_contact_code(opened, ALICE.public, BOB.private)


def test_an_advert_travels_on_the_contact_code_topic_beside_the_ordinary_contact_code() -> None:
    bundle = wire.Bundle(identity=b"i" * 33, signature=b"s" * 65, timestamp=1)
    application = advert.build_advert(registration(), [SERVER.public], ALICE, chat_identity=b"\x08\x01")
    assert application is not None

    sealed = advert.seal_advert(
        application, installation_id=PHONE, bundles=(bundle,), client=ALICE, key=KEY, timestamp=NOW, random=drawn
    )

    waku = open_waku(sealed)
    opened = open_with_symmetric(waku.payload, KEY)
    told = wire.decode(wire.ContactCodeAdvertisement, opened.payload)
    assert waku.content_topic == topics.contact_code_topic(ALICE.public)
    assert opened.sender == ALICE.public
    assert (told.chat_identity, len(told.push_notification_info)) == (b"\x08\x01", 1)


def test_an_anonymous_key_is_advertised_and_found_on_its_own_topic() -> None:
    anonymous = key_pair_from(b"a" * 32)
    last = next_registration(Options(), DEVICE, None, anonymous, drawn)

    opened = advertised(last, SERVER, client=anonymous)

    [found] = query.read_contact_code(opened, anonymous.public, BOB.private)
    assert found.target == anonymous.public
    assert topics.contact_code_topic(anonymous.public) != topics.contact_code_topic(ALICE.public)


def test_an_advert_is_due_after_every_registration() -> None:
    assert advert.is_due(None, registered=Millis(10), now=Millis(10))
    assert not advert.is_due(Millis(10), registered=Millis(5), now=Millis(20))
    assert advert.is_due(Millis(10), registered=Millis(15), now=Millis(20))


def test_an_advert_is_due_from_time_to_time() -> None:
    assert not advert.is_due(Millis(10), Millis(5), Millis(10 + advert.PERIOD - 1))
    assert advert.is_due(Millis(10), Millis(5), Millis(10 + advert.PERIOD))


def test_our_advert_is_byte_for_byte_what_status_go_advertised() -> None:
    told = json.loads(T20.read_text())
    bob, server = (key_pair_from(bytes.fromhex(told["keys"][who]["private_key"])) for who in ("bob", "server"))
    step = next(step for step in told["steps"] if step.get("type") == "CONTACT_CODE_ADVERTISEMENT")
    [info] = step["decoded"]["push_notification_info"]
    last = LastRegistration(
        wire.Registration(
            installation_id=info["installation_id"],
            access_token=info["access_token"],
            version=info["version"],
            enabled=True,
        )
    )

    application = advert.build_advert(last, [server.public], bob)

    assert application is not None
    assert application.hex() == step["layers"]["application"]["amm_hex"]
