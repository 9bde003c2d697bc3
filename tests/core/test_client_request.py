"""Who rings for which message (reference/status-go.md 8.3, C3 and C5)."""

from hushbell.core.client.request import Tracked, should_notify
from hushbell.crypto.secp256k1 import key_pair_from
from hushbell.types import InstallationId

US, ALICE, CAROL = (key_pair_from(bytes([n]) * 32).public for n in range(1, 4))
PHONE, TABLET = InstallationId("phone"), InstallationId("tablet")


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
