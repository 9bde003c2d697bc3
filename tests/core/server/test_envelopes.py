"""An opened envelope becomes an event of the server, a reply an envelope that its recipient alone opens."""

import hashlib
from collections import Counter
from typing import Any

import pytest

from hushbell import wire
from hushbell.config.limits import Limits
from hushbell.core.client.registration import seal_registration
from hushbell.core.envelope import open_waku, open_with_private, seal_to_key, sign_application
from hushbell.core.server.envelopes import seal_reply, server_event
from hushbell.core.server.events import RegistrationReceived
from hushbell.core.server.facts import Reply
from hushbell.crypto import secp256k1, topics
from hushbell.crypto.secp256k1 import key_pair_from
from hushbell.errors import Unauthentic
from hushbell.types import ContentTopic, Nanos
from hushbell.wire import ApplicationType

ALICE, BOB, SERVER = (key_pair_from(bytes([n]) * 32) for n in range(1, 4))
TOPIC = ContentTopic("/waku/1/0x01020304/rfc26")
NOW = Nanos(1_600_000_000_000_000_000)


class CountedCurve:
    """The curve's library, counting how often each of its functions is called."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self.library, name)


@pytest.fixture
def curve(monkeypatch: pytest.MonkeyPatch) -> CountedCurve:
    counted = CountedCurve(vars(secp256k1)["lib"])
    monkeypatch.setattr(secp256k1, "lib", counted)
    return counted


def drawn(size: int) -> bytes:
    return hashlib.shake_256(b"a fixed draw").digest(size)


def to_server(data: bytes) -> wire.WakuMessage:
    return open_waku(
        seal_to_key(data, recipient=SERVER.public, signer=BOB, content_topic=TOPIC, timestamp=NOW, random=drawn)
    )


def test_a_reply_travels_on_its_recipients_partition_with_the_fields_of_status_go() -> None:
    reply = Reply(BOB.public, ApplicationType.PUSH_NOTIFICATION_RESPONSE, b"reports")

    waku = open_waku(seal_reply(reply, SERVER, NOW, drawn))
    opened = open_with_private(waku.payload, BOB.private)

    assert (waku.version, waku.timestamp, waku.meta, waku.ephemeral) == (1, NOW, b"", False)
    assert waku.content_topic == topics.partitioned_topic(BOB.public)
    assert (opened.sender, opened.type, opened.payload) == (SERVER.public, 21, b"reports")
    with pytest.raises(Unauthentic):
        open_with_private(waku.payload, ALICE.private)


def test_a_registration_is_opened_and_its_grant_checked() -> None:
    sent = seal_registration(wire.Registration(access_token="token", version=1), ALICE, SERVER.public, drawn)
    opened = open_with_private(to_server(sent.application).payload, SERVER.private)

    event = server_event(opened, SERVER, Limits())

    assert isinstance(event, RegistrationReceived)
    assert (event.sender, event.request_id, event.grant_is_valid) == (ALICE.public, sent.request_id, True)
    assert event.registration is not None
    assert event.registration.access_token == "token"


def test_an_oversized_registration_is_an_event_without_a_registration() -> None:
    sent = seal_registration(wire.Registration(device_token="x" * 100), ALICE, SERVER.public, drawn)
    opened = open_with_private(to_server(sent.application).payload, SERVER.private)

    event = server_event(opened, SERVER, Limits(registration=100))

    assert isinstance(event, RegistrationReceived)
    assert event.registration is None


def test_a_registration_for_another_server_is_no_event() -> None:
    sent = seal_registration(wire.Registration(version=1), ALICE, BOB.public, drawn)
    opened = open_with_private(to_server(sent.application).payload, SERVER.private)

    with pytest.raises(Unauthentic):
        server_event(opened, SERVER, Limits())


def test_other_types_do_not_concern_the_server() -> None:
    opened = open_with_private(to_server(sign_application(b"hello", 1, BOB)).payload, SERVER.private)

    assert server_event(opened, SERVER, Limits()) is None


def test_a_reply_costs_one_shared_secret_two_signatures_and_one_key(curve: CountedCurve) -> None:
    seal_reply(Reply(BOB.public, ApplicationType.PUSH_NOTIFICATION_RESPONSE, b"reports"), SERVER, NOW, drawn)

    costs = ("secp256k1_ecdh", "secp256k1_ecdsa_sign_recoverable", "secp256k1_ec_pubkey_create")
    assert [curve.calls[cost] for cost in costs] == [1, 2, 1]
    assert curve.calls["secp256k1_ecdsa_recover"] == 0
