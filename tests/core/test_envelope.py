"""What is sealed opens again, for whom it was meant and for nobody else."""

import hashlib

import pytest

from hushbell import wire
from hushbell.config.limits import Limits
from hushbell.core.client.registration import sealed
from hushbell.core.envelope import (
    Segmented,
    open_waku,
    open_with_private,
    open_with_symmetric,
    seal_reply,
    seal_to_key,
    seal_with_key,
    server_event,
    sign_application,
)
from hushbell.core.server.events import RegistrationReceived
from hushbell.core.server.facts import Reply
from hushbell.crypto import ecies, ids, topics
from hushbell.crypto.secp256k1 import key_pair, key_pair_from
from hushbell.errors import TooLarge, Unauthentic, Undecodable
from hushbell.types import ContentTopic, Nanos, SymmetricKey
from hushbell.wire import ApplicationType

ALICE, BOB, SERVER = (key_pair_from(bytes([n]) * 32) for n in range(1, 4))
TOPIC = ContentTopic("/waku/1/0x01020304/rfc26")
NOW = Nanos(1_600_000_000_000_000_000)


def drawn(size: int) -> bytes:
    return hashlib.shake_256(b"a fixed draw").digest(size)


def to_server(data: bytes) -> wire.WakuMessage:
    return open_waku(
        seal_to_key(data, recipient=SERVER.public, signer=BOB, content_topic=TOPIC, timestamp=NOW, random=drawn)
    )


def test_a_reply_travels_on_its_recipients_partition_with_the_fields_of_status_go() -> None:
    reply = Reply(BOB.public, ApplicationType.PUSH_NOTIFICATION_RESPONSE, b"reports")

    waku = open_waku(seal_reply(reply, SERVER, NOW, drawn))
    opened = open_with_private(waku, BOB.private)

    assert (waku.version, waku.timestamp, waku.meta, waku.ephemeral) == (1, NOW, b"", False)
    assert waku.content_topic == topics.partitioned_topic(BOB.public)
    assert (opened.sender, opened.type, opened.payload) == (SERVER.public, 21, b"reports")
    with pytest.raises(Unauthentic):
        open_with_private(waku, ALICE.private)


def test_a_topic_message_opens_with_the_topics_key_only() -> None:
    application = sign_application(b"asked", ApplicationType.PUSH_NOTIFICATION_QUERY, BOB)
    key = SymmetricKey(b"k" * 32)
    waku = open_waku(
        seal_with_key(application, key=key, signer=ALICE, content_topic=TOPIC, timestamp=NOW, random=drawn)
    )

    opened = open_with_symmetric(waku, key)

    assert opened.sender == BOB.public, "the application's signer, not the frame's"
    assert opened.message_id == ids.message_id(BOB.public, application)
    with pytest.raises(Unauthentic):
        open_with_symmetric(waku, SymmetricKey(b"x" * 32))


def test_the_frames_signer_is_the_sender_of_an_unsigned_message_but_not_in_its_id() -> None:
    application = wire.encode(wire.ApplicationMessage(payload=b"asked", type=20))

    opened = open_with_private(to_server(application), SERVER.private)

    assert opened.sender == BOB.public
    assert opened.message_id == ids.message_id(None, application)


def test_an_unsigned_frame_is_dropped() -> None:
    application = sign_application(b"asked", 20, BOB)
    padding = drawn(wire.padding_length(len(application), signed=False))
    frame = wire.encode_frame(application, padding, signed=False)
    payload = ecies.encrypt(SERVER.public, frame, key_pair(drawn), drawn(16))

    with pytest.raises(Unauthentic):
        open_with_private(wire.WakuMessage(payload=payload), SERVER.private)


def test_an_empty_application_message_is_dropped() -> None:
    with pytest.raises(Undecodable):
        open_with_private(to_server(sign_application(b"", 18, BOB)), SERVER.private)


def test_a_segment_is_recognised() -> None:
    segment = wire.Segment(entire_message_hash=b"h" * 32, segments_count=2, payload=b"part")

    with pytest.raises(Segmented):
        open_with_private(to_server(wire.encode(segment)), SERVER.private)


def test_an_envelope_over_the_limit_is_not_parsed() -> None:
    with pytest.raises(TooLarge):
        open_waku(b"x" * 11, 10)


def test_a_registration_is_opened_and_its_grant_checked() -> None:
    sent = sealed(wire.Registration(access_token="token", version=1), ALICE, SERVER.public, drawn)
    opened = open_with_private(to_server(sent.application), SERVER.private)

    event = server_event(opened, SERVER, Limits())

    assert isinstance(event, RegistrationReceived)
    assert (event.sender, event.request_id, event.grant_is_valid) == (ALICE.public, sent.request_id, True)
    assert event.registration is not None
    assert event.registration.access_token == "token"


def test_an_oversized_registration_is_an_event_without_a_registration() -> None:
    sent = sealed(wire.Registration(device_token="x" * 100), ALICE, SERVER.public, drawn)
    opened = open_with_private(to_server(sent.application), SERVER.private)

    event = server_event(opened, SERVER, Limits(registration=100))

    assert isinstance(event, RegistrationReceived)
    assert event.registration is None


def test_a_registration_for_another_server_is_no_event() -> None:
    sent = sealed(wire.Registration(version=1), ALICE, BOB.public, drawn)
    opened = open_with_private(to_server(sent.application), SERVER.private)

    with pytest.raises(Unauthentic):
        server_event(opened, SERVER, Limits())


def test_other_types_do_not_concern_the_server() -> None:
    opened = open_with_private(to_server(sign_application(b"hello", 1, BOB)), SERVER.private)

    assert server_event(opened, SERVER, Limits()) is None
