"""What is sealed opens again, for whom it was meant and for nobody else."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell import wire
from hushbell.core.envelope import (
    Segmented,
    open_application,
    open_waku,
    open_with_private,
    open_with_symmetric,
    seal_to_key,
    seal_with_key,
    sign_application,
)
from hushbell.crypto import ecies, message_ids, secp256k1, topics
from hushbell.crypto.secp256k1 import key_pair, key_pair_from
from hushbell.errors import TooLarge, Unauthentic, Undecodable
from hushbell.types import ContentTopic, Nanos, SymmetricKey
from hushbell.wire import ApplicationType

ALICE, BOB, SERVER = (key_pair_from(bytes([n]) * 32) for n in range(1, 4))
TOPIC = ContentTopic("/waku/1/0x01020304/rfc26")
NOW = Nanos(1_600_000_000_000_000_000)

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "status-go-vectors.json").read_text(encoding="utf-8")
)


def vector(name: str) -> bytes:
    return bytes.fromhex(VECTORS[name])


class Scripted:
    """Draws the recorded values: padding of one byte first, then what is listed."""

    def __init__(self, *then: bytes) -> None:
        self.then = list(then)
        self.padded = False

    def __call__(self, size: int) -> bytes:
        if not self.padded:
            self.padded = True
            return vector("padding_byte") * size
        value = self.then.pop(0)
        assert len(value) == size
        return value


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


def test_a_topic_message_opens_with_the_topics_key_only() -> None:
    application = sign_application(b"asked", ApplicationType.PUSH_NOTIFICATION_QUERY, BOB)
    key = SymmetricKey(b"k" * 32)
    waku = open_waku(
        seal_with_key(application, key=key, signer=ALICE, content_topic=TOPIC, timestamp=NOW, random=drawn)
    )

    opened = open_with_symmetric(waku.payload, key)

    assert opened.sender == BOB.public, "the application's signer, not the frame's"
    assert opened.message_id == message_ids.message_id(BOB.public, application)
    with pytest.raises(Unauthentic):
        open_with_symmetric(waku.payload, SymmetricKey(b"x" * 32))


def test_the_frames_signer_is_the_sender_of_an_unsigned_message_but_not_in_its_id() -> None:
    application = wire.encode(wire.ApplicationMessage(payload=b"asked", type=20))

    opened = open_with_private(to_server(application).payload, SERVER.private)

    assert opened.sender == BOB.public
    assert opened.message_id == message_ids.message_id(None, application)


def test_an_unsigned_frame_is_dropped() -> None:
    application = sign_application(b"asked", 20, BOB)
    padding = drawn(wire.padding_length(len(application), signed=False))
    frame = wire.encode_frame(application, padding, signed=False)
    payload = ecies.encrypt(SERVER.public, frame, key_pair(drawn), drawn(16))

    with pytest.raises(Unauthentic):
        open_with_private(payload, SERVER.private)


def test_an_empty_application_message_is_dropped() -> None:
    with pytest.raises(Undecodable):
        open_with_private(to_server(sign_application(b"", 18, BOB)).payload, SERVER.private)


def test_a_segment_is_recognised() -> None:
    segment = wire.Segment(entire_message_hash=b"h" * 32, segments_count=2, payload=b"part")

    with pytest.raises(Segmented):
        open_with_private(to_server(wire.encode(segment)).payload, SERVER.private)


def test_an_envelope_over_the_limit_is_not_parsed() -> None:
    with pytest.raises(TooLarge):
        open_waku(b"x" * 11, 10)


def test_the_recorded_registration_opens_and_is_sealed_again_to_the_same_bytes() -> None:
    client, server = (key_pair_from(vector(who)) for who in ("client_priv", "server_priv"))
    recorded = vector("pnr_waku_message")

    waku = open_waku(recorded)
    opened = open_with_private(waku.payload, server.private)
    again = seal_to_key(
        vector("pnr_amm"),
        recipient=server.public,
        signer=client,
        content_topic=topics.personal_topic(server.public),
        timestamp=Nanos(VECTORS["timestamp_ns"]),
        random=Scripted(vector("ecies_ephemeral_priv"), vector("ecies_iv")),
    )

    assert (opened.sender, opened.type) == (client.public, ApplicationType.PUSH_NOTIFICATION_REGISTRATION)
    assert opened.message_id == vector("pnr_message_id")
    assert opened.payload == vector("registration_encrypted")
    assert again == recorded


def test_the_recorded_query_opens_and_is_sealed_again_to_the_same_bytes() -> None:
    sender = key_pair_from(vector("ephemeral_sender_priv"))
    key = SymmetricKey(bytes.fromhex(VECTORS["topics"]["query_client"]["sym_key_pbkdf2"]))
    recorded = vector("query_waku_message")

    opened = open_with_symmetric(open_waku(recorded).payload, key)
    again = seal_with_key(
        vector("query_amm"),
        key=key,
        signer=sender,
        content_topic=ContentTopic(VECTORS["query_content_topic"]),
        timestamp=Nanos(VECTORS["timestamp_ns"]),
        random=Scripted(vector("gcm_nonce")),
    )

    assert (opened.sender, opened.message_id) == (sender.public, vector("query_message_id"))
    assert again == recorded


@pytest.mark.parametrize(
    "name, signer", [("pnr", "client"), ("query", "ephemeral_sender"), ("request", "ephemeral_sender")]
)
def test_recorded_application_messages_have_their_signers_and_ids(name: str, signer: str) -> None:
    opened = open_application(vector(f"{name}_amm"))

    assert opened.sender == vector(f"{signer}_pub_uncompressed")
    assert opened.message_id == vector(f"{name}_message_id")


@given(payload=st.binary(min_size=1, max_size=2000), type_=st.integers(0, 200))
def test_whatever_is_sealed_opens_as_it_was(payload: bytes, type_: int) -> None:
    application = sign_application(payload, type_, ALICE)
    key = SymmetricKey(b"k" * 32)
    on_topic = seal_with_key(application, key=key, signer=ALICE, content_topic=TOPIC, timestamp=NOW, random=drawn)

    for opened in (
        open_with_private(to_server(application).payload, SERVER.private),
        open_with_symmetric(open_waku(on_topic).payload, key),
    ):
        assert (opened.sender, opened.type, opened.payload) == (ALICE.public, type_, payload)
        assert opened.message_id == message_ids.message_id(ALICE.public, application)


def test_opening_a_signed_message_costs_one_shared_secret_and_one_recovery(curve: CountedCurve) -> None:
    waku = to_server(sign_application(b"asked", ApplicationType.PUSH_NOTIFICATION_REQUEST, BOB))
    curve.calls.clear()

    open_with_private(waku.payload, SERVER.private)

    assert (curve.calls["secp256k1_ecdh"], curve.calls["secp256k1_ecdsa_recover"]) == (1, 1)
    assert curve.calls["secp256k1_ecdsa_sign_recoverable"] == 0
