"""What a request says, and to whom."""

from hushbell import wire
from hushbell.core.client.query import Info
from hushbell.core.client.request import NotificationContent, build_requests
from hushbell.core.envelope import open_application
from hushbell.crypto.secp256k1 import key_pair_from
from hushbell.types import AccessToken, InstallationId, NotificationType, PublicKey

US, ALICE, CAROL, SERVER, SPARE = (key_pair_from(bytes([n]) * 32).public for n in range(1, 6))
EPHEMERAL = key_pair_from(b"e" * 32)
PHONE, TABLET = InstallationId("phone"), InstallationId("tablet")
RINGING = NotificationContent(b"m" * 32, "chat", NotificationType.MESSAGE, US)


def info(device: str = PHONE, server: PublicKey = SERVER, token: str = "token") -> Info:
    return Info(
        target=ALICE,
        server=server,
        installation_id=InstallationId(device),
        access_token=AccessToken(token),
        version=1,
    )


def test_every_device_with_a_token_rings_with_the_token_that_was_learnt() -> None:
    known = [info(PHONE, SERVER, "one"), info(TABLET, SPARE, "two")]

    asked = build_requests(known, RINGING, EPHEMERAL)

    items = [
        item
        for each in asked
        for item in wire.decode(wire.NotificationRequest, open_application(each.application).payload).requests
    ]
    assert {each.server for each in asked} == {SERVER, SPARE}
    assert [(item.installation_id, item.access_token) for item in items] == [(PHONE, "one"), (TABLET, "two")]


def test_a_request_is_signed_by_the_ephemeral_key() -> None:
    [asked] = build_requests([info()], RINGING, EPHEMERAL)

    assert open_application(asked.application).sender == EPHEMERAL.public
