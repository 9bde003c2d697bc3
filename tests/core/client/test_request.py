"""Who rings for which message (reference/status-go.md 8.3, C3 and C5)."""

import hashlib

from hushbell import wire
from hushbell.core.client.query import Info
from hushbell.core.client.request import ANSWER_WAIT, Ringing, Tracked, chosen, requests, should_notify, targeted
from hushbell.core.envelope import open_application
from hushbell.crypto.secp256k1 import key_pair_from
from hushbell.types import AccessToken, InstallationId, NotificationType, PublicKey

US, ALICE, CAROL, SERVER, SPARE = (key_pair_from(bytes([n]) * 32).public for n in range(1, 6))
EPHEMERAL = key_pair_from(b"e" * 32)
PHONE, TABLET = InstallationId("phone"), InstallationId("tablet")
RINGING = Ringing(b"m" * 32, "chat", NotificationType.MESSAGE, US)


def drawn(size: int) -> bytes:
    return hashlib.shake_256(b"a fixed draw").digest(size)


def info(device: str = PHONE, server: PublicKey = SERVER, token: str = "token") -> Info:
    return Info(
        target=ALICE,
        server=server,
        installation_id=InstallationId(device),
        access_token=AccessToken(token),
        version=1,
    )


def test_c3_a_tracked_message_rings_each_device_of_each_key_once() -> None:
    scheduled = Tracked(US, frozenset({b"id"}))
    rung = Tracked(US, frozenset({b"id"}), frozenset({(b"id", ALICE, PHONE)}))

    assert should_notify(scheduled, ALICE, PHONE, b"id")
    assert not should_notify(rung, ALICE, PHONE, b"id")
    assert should_notify(rung, ALICE, TABLET, b"id")
    assert should_notify(rung, CAROL, PHONE, b"id")
    assert not should_notify(scheduled, ALICE, PHONE, b"untracked")


def test_c5_our_own_key_never_rings() -> None:
    assert not should_notify(Tracked(US, frozenset({b"id"})), US, PHONE, b"id")


def test_only_the_devices_that_a_message_is_for_ring_the_latest_active_first() -> None:
    known = [info(PHONE), info(TABLET), info("laptop")]

    targets = targeted(known, [TABLET, PHONE, InstallationId("without a token")])

    assert [each.installation_id for each in targets] == [TABLET, PHONE]


def test_at_least_three_devices_ring_if_there_are_so_many() -> None:
    devices = [InstallationId(name) for name in ("a", "b", "c", "d", "e")]
    known = [info(device) for device in reversed(devices)]

    assert [each.installation_id for each in targeted(known, devices, most=1)] == devices[:3]
    assert [each.installation_id for each in targeted(known, devices, most=4)] == devices[:4]
    assert [each.installation_id for each in targeted(known, devices[:2])] == devices[:2]


def test_a_device_without_a_token_takes_nobodys_place() -> None:
    devices = [InstallationId(name) for name in ("a", "b", "c", "d")]

    assert len(targeted([info(device) for device in devices[1:]], devices)) == 3


def test_of_several_servers_one_is_asked_to_ring_a_device() -> None:
    known = [info(PHONE, SERVER), info(PHONE, SPARE), info(TABLET, SPARE)]

    asked = requests(chosen(targeted(known, [PHONE, TABLET]), drawn), RINGING, EPHEMERAL)

    assert sum(each.items for each in asked) == 2


def test_after_three_seconds_of_silence_another_server_is_asked() -> None:
    known = [info(PHONE, SERVER), info(PHONE, SPARE), info(TABLET, SERVER)]

    again = chosen(known, drawn, silent={SERVER})

    assert ANSWER_WAIT == 3.0
    assert [(each.installation_id, each.server) for each in again] == [(PHONE, SPARE)]


def test_every_device_with_a_token_rings_with_the_token_that_was_learnt() -> None:
    known = [info(PHONE, SERVER, "one"), info(TABLET, SPARE, "two")]

    asked = requests(known, RINGING, EPHEMERAL)

    items = [
        item
        for each in asked
        for item in wire.decode(wire.NotificationRequest, open_application(each.application).payload).requests
    ]
    assert {each.server for each in asked} == {SERVER, SPARE}
    assert [(item.installation_id, item.access_token) for item in items] == [(PHONE, "one"), (TABLET, "two")]


def test_a_request_is_signed_by_the_ephemeral_key() -> None:
    [asked] = requests([info()], RINGING, EPHEMERAL)

    assert open_application(asked.application).sender == EPHEMERAL.public
