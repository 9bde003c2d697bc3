"""What a message is called, and what it is about, before it is decoded."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell import wire
from hushbell.types import DEFAULT_PUBSUB_TOPIC
from hushbell.waku.message import RawMessage, content_topic, fingerprint, message_hash
from hushbell.wire.messages import WakuMessage

TOPIC = "/waku/1/0x69bc8983/rfc26"
MESSAGE = WakuMessage(payload=b"sealed", content_topic=TOPIC, version=1, timestamp=1_700_000_000_000_000_000)


@pytest.mark.parametrize(
    "payload, meta, expected",
    [
        (
            "010203045445535405060708",
            "73757065722d736563726574",
            "64cce733fed134e83da02b02c6f689814872b1a0ac97ea56b76095c3c72bfe05",
        ),
        (
            "010203045445535405060708",
            bytes(range(64)).hex(),
            "7158b6498753313368b9af8f6e0a0a05104f68f972981da42a43bc53fb0c1b27",
        ),
        ("010203045445535405060708", None, "a2554498b31f5bcdfcbf7fa58ad1c2d45f0254f3f8110a85588ec3cf10720fd8"),
        ("", "73757065722d736563726574", "483ea950cb63f9b9d6926b262bb36194d3f40a0463ce8446228350bd44e96de4"),
    ],
)
def test_the_hash_is_that_of_rfc_14(payload: str, meta: str | None, expected: str) -> None:
    message = WakuMessage(
        payload=bytes.fromhex(payload),
        content_topic="/waku/2/default-content/proto",
        meta=None if meta is None else bytes.fromhex(meta),
        timestamp=0x175789BFA23F8400,
    )

    assert message_hash("/waku/2/default-waku/proto", message).hex() == expected


@given(
    st.binary(max_size=300),
    st.text(max_size=200),
    st.none() | st.binary(max_size=64),
    st.none() | st.integers(-(2**63), 2**63 - 1),
)
def test_the_topic_is_found_without_parsing(payload: bytes, topic: str, meta: bytes | None, timestamp: int) -> None:
    message = WakuMessage(payload=payload, content_topic=topic, meta=meta, timestamp=timestamp)

    assert content_topic(wire.encode(message)) == topic


@given(st.binary(max_size=80))
def test_whatever_comes_a_topic_or_nothing_is_found(data: bytes) -> None:
    found = content_topic(b"\x0a" + data)

    assert found is None or isinstance(found, str)


def test_fields_in_another_order_are_read_all_the_same() -> None:
    reordered = b"\x18\x01" + b"\x12\x03abc" + b"\x0a\x01p"

    assert content_topic(reordered) == "abc"


def test_a_message_is_parsed_once_however_many_readers_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []
    decode = wire.decode

    def noted(kind: type[WakuMessage], data: bytes, *, limit: int) -> WakuMessage:
        parsed.append(data)
        return decode(kind, data, limit=limit)

    monkeypatch.setattr("hushbell.waku.message.wire.decode", noted)
    raw = RawMessage(DEFAULT_PUBSUB_TOPIC, wire.encode(MESSAGE))

    assert raw.content_topic == MESSAGE.content_topic
    assert not parsed
    assert [raw.decode(), raw.decode()] == [MESSAGE, MESSAGE]
    assert parsed == [raw.data]


def test_the_content_topic_of_a_decoded_message_is_the_decoded_one() -> None:
    crafted = wire.encode(MESSAGE) + b"\x12\x05other"

    raw = RawMessage(DEFAULT_PUBSUB_TOPIC, crafted)

    assert raw.content_topic == MESSAGE.content_topic
    assert raw.decode().content_topic == "other"


@pytest.mark.parametrize(
    "spoiled",
    [
        replace(MESSAGE, version=0),
        replace(MESSAGE, meta=b"m"),
        replace(MESSAGE, payload=b"seale", content_topic="d" + TOPIC),
        replace(MESSAGE, timestamp=None),
    ],
)
def test_a_spoiled_copy_is_not_taken_for_the_message(spoiled: WakuMessage) -> None:
    assert fingerprint(DEFAULT_PUBSUB_TOPIC, spoiled) != fingerprint(DEFAULT_PUBSUB_TOPIC, MESSAGE)


def test_the_same_message_written_otherwise_is_the_same() -> None:
    data = wire.encode(MESSAGE)
    copy = wire.decode(WakuMessage, data[len(b"\x0a\x06sealed") :] + b"\x0a\x06sealed")

    assert fingerprint(DEFAULT_PUBSUB_TOPIC, copy) == fingerprint(DEFAULT_PUBSUB_TOPIC, MESSAGE)
