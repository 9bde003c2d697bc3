"""Laws of decode and encode, for every message and for every input."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hushbell.errors import ConfigError, TooLarge, Undecodable, WireError
from hushbell.wire import (
    ApplicationMessage,
    Bundle,
    ChatIdentity,
    ContactCodeAdvertisement,
    NotificationRequest,
    ProtocolMessage,
    PushNotification,
    Query,
    QueryInfo,
    Registration,
    Report,
    Segment,
    WakuMessage,
    assert_fast,
    decode,
    encode,
    messages,
)
from hushbell.wire.codec import CODECS, MAX_NESTED, UNKNOWN_LIMIT

UNKNOWN = bytes.fromhex("c83e05d23e03616263")  # two fields, numbers 1001 and 1002


def test_every_message_is_tried_here(every_kind: tuple[type, ...]) -> None:
    classes = {one for _, one in inspect.getmembers(messages, inspect.isclass) if hasattr(one, "unknown")}

    assert classes == set(every_kind) == set(CODECS)


@settings(max_examples=60)
@given(data=st.data())
def test_what_is_encoded_decodes_to_the_same_value(values: st.SearchStrategy[Any], data: st.DataObject) -> None:
    value = data.draw(values)

    encoded = encode(value)

    assert decode(type(value), encoded) == value
    assert encode(decode(type(value), encoded)) == encoded


@settings(max_examples=100)
@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_wire_error(kind: type, data: bytes) -> None:
    try:
        value: object = decode(kind, data)
    except WireError:
        return

    assert decode(kind, encode(value)) == value


@settings(max_examples=60)
@given(data=st.data())
def test_a_damaged_message_gives_a_value_or_a_wire_error(values: st.SearchStrategy[Any], data: st.DataObject) -> None:
    value = data.draw(values)
    damaged = bytearray(encode(value))
    if damaged:
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))

    try:
        found: object = decode(type(value), bytes(damaged))
    except WireError:
        return

    assert decode(type(value), encode(found)) == found


def test_every_truncation_gives_a_value_or_a_wire_error(kind: type, vectors: Mapping[str, Any]) -> None:
    whole = bytes.fromhex(vectors["request_amm"])

    for length in range(len(whole)):
        try:
            decode(kind, whole[:length])
        except WireError:
            continue


def test_nothing_is_an_empty_message(kind: type) -> None:
    assert decode(kind, b"") == kind()
    assert encode(kind()) == b""


def test_unknown_fields_come_back_as_they_came(kind: type) -> None:
    known = encode(kind())
    odd = bytes.fromhex("c83e8500")  # five in two bytes where one would do

    value: Any = decode(kind, UNKNOWN + odd + known)

    assert value.unknown == UNKNOWN + odd
    assert encode(value) == known + UNKNOWN + odd


def test_unknown_fields_stay_at_their_own_level() -> None:
    inner = PushNotification(type=1, unknown=UNKNOWN)
    request = NotificationRequest(requests=(inner, PushNotification()), message_id=b"id", unknown=UNKNOWN[:3])

    assert encode(request) == b"\x0a\x0b\x30\x01" + UNKNOWN + b"\x0a\x00" + b"\x12\x02id" + UNKNOWN[:3]
    assert decode(NotificationRequest, encode(request)) == request


def test_a_known_number_of_another_wire_type_is_an_unknown_field() -> None:
    data = b"\x08\x05"  # field 1 as a number, where the signature stands

    message = decode(ApplicationMessage, data)

    assert message == ApplicationMessage(unknown=data)
    assert encode(message) == data


def test_unknown_numbers_stay_numbers() -> None:
    assert decode(Report, b"\x10\x63").error == 99
    assert encode(Report(error=99)) == b"\x10\x63"
    assert decode(Report, encode(Report(error=-1))).error == -1


@pytest.mark.parametrize(
    "value",
    [
        Registration(version=2**64 - 1),
        QueryInfo(version=2**64 - 1),
        ChatIdentity(clock=2**64 - 1, first_message_timestamp=2**32 - 1, customization_color=2**32 - 1),
        Segment(index=2**32 - 1, segments_count=2**32 - 1, original_payload_length=2**64 - 1),
        Segment(parity_segment_index=2**32 - 1, parity_segments_count=2**32 - 1),
        Bundle(timestamp=2**63 - 1),
        Bundle(timestamp=-(2**63)),
        WakuMessage(version=2**32 - 1, timestamp=2**63 - 1),
        WakuMessage(version=0, timestamp=-(2**63)),
    ],
)
def test_the_largest_numbers_fit(value: object) -> None:
    assert decode(type(value), encode(value)) == value


@pytest.mark.parametrize(
    "value",
    [
        Registration(version=2**64),
        Registration(version=-1),
        Report(error=2**31),
        Segment(index=2**32),
        WakuMessage(version=2**32),
        WakuMessage(timestamp=2**63),
        Bundle(timestamp=-(2**63) - 1),
        Registration(unknown=b"\x0a"),
    ],
)
def test_what_cannot_be_encoded_is_refused_by_name(value: object) -> None:
    with pytest.raises(ValueError, match=f"^{type(value).__name__}: "):
        encode(value)


def test_a_token_that_cannot_be_encoded_is_not_quoted() -> None:
    with pytest.raises(ValueError) as caught:
        encode(Registration(device_token="s3cret\ud800"))

    assert "s3cret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_optional_fields_are_absent_or_empty_and_the_two_differ() -> None:
    absent = WakuMessage(payload=b"p", content_topic="t")
    empty = WakuMessage(payload=b"p", content_topic="t", version=0, timestamp=0, meta=b"", ephemeral=False)

    assert encode(absent) == b"\x0a\x01p\x12\x01t"
    assert encode(empty) == b"\x0a\x01p\x12\x01t" + bytes.fromhex("180050005a00f80100")
    assert decode(WakuMessage, encode(empty)) == empty


def test_time_is_zigzag() -> None:
    assert encode(WakuMessage(timestamp=-1)) == b"\x50\x01"


def test_a_chat_identity_passes_unchanged() -> None:
    odd = b"\x20\x81\x00\xff"  # no protobuf at all

    advertisement = decode(ContactCodeAdvertisement, b"\x12\x04" + odd)

    assert advertisement.chat_identity == odd
    assert encode(advertisement) == b"\x12\x04" + odd
    assert decode(ContactCodeAdvertisement, b"\x12\x00").chat_identity == b""


def test_maps_are_written_in_the_order_of_their_keys() -> None:
    one = ProtocolMessage(encrypted_message={"b": b"2", "a": b"1"})
    other = ProtocolMessage(encrypted_message={"a": b"1", "b": b"2"})

    assert encode(one) == encode(other)


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",
        b"\x0a\x05abc",
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x0a" + b"\xff" * 9 + b"\x01",
        b"\x00\x00",
        b"\xff" * 12,
        b"\xc3\x3e" * 200,
        b"\xc4\x3e",
    ],
    ids=["no length", "cut", "4 GiB", "negative length", "field 0", "endless number", "deep nesting", "end alone"],
)
def test_broken_bytes_are_undecodable(kind: type, data: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(kind, data)


@pytest.mark.parametrize(
    "kind, data",
    [
        (Registration, b"\x12\x01\xff"),
        (PushNotification, b"\x0a\x02\xc3\x28"),
        (ProtocolMessage, b"\xaa\x06\x03\x0a\x01\xff"),
    ],
)
def test_text_that_is_not_utf8_is_undecodable(kind: type, data: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(kind, data)


def test_what_is_too_large_is_refused_before_it_is_parsed(kind: type) -> None:
    with pytest.raises(TooLarge, match=kind.__name__):
        decode(kind, b"\xff" * 11, limit=10)
    with pytest.raises(TooLarge):
        decode(kind, b"\xff" * (1024 * 1024 + 1))


def test_a_list_of_many_empty_messages_is_refused() -> None:
    assert len(decode(NotificationRequest, b"\x0a\x00" * MAX_NESTED).requests) == MAX_NESTED
    with pytest.raises(TooLarge):
        decode(NotificationRequest, b"\x0a\x00" * (MAX_NESTED + 1))


def test_many_unknown_fields_are_refused_at_any_level() -> None:
    field = b"\xc8\x3e\x05"
    fitting = field * (UNKNOWN_LIMIT // 3)
    inner = b"\x0a\x80\x80\x08" + field * 43_690 + b"\x30\x01"  # 131072 bytes

    assert decode(Registration, b"\x28\x01" + fitting).unknown == fitting
    with pytest.raises(TooLarge, match="unknown"):
        decode(Registration, fitting + field)
    with pytest.raises(TooLarge, match="unknown"):
        decode(NotificationRequest, inner)


def test_large_fields_that_are_known_are_no_unknown_fields() -> None:
    message = ApplicationMessage(payload=bytes(2 * UNKNOWN_LIMIT), unknown=UNKNOWN)

    assert decode(ApplicationMessage, encode(message)) == message


def test_a_list_of_many_hashes_is_left_to_the_rules() -> None:
    assert len(decode(Query, b"\x0a\x00" * (MAX_NESTED + 1)).public_keys) == MAX_NESTED + 1


def test_no_secret_shows_in_a_repr() -> None:
    secret = "s3cret"
    shown: Sequence[object] = [
        Registration(device_token=secret, access_token=secret, grant=secret.encode(), unknown=secret.encode()),
        QueryInfo(access_token=secret, grant=secret.encode(), allowed_key_list=(secret.encode(),)),
        PushNotification(access_token=secret, message=secret.encode(), unknown=secret.encode()),
        ApplicationMessage(payload=secret.encode()),
        WakuMessage(payload=secret.encode()),
    ]

    assert not [one for one in shown if secret in repr(one)]


def test_the_fast_implementation_is_here() -> None:
    assert_fast()


def test_the_slow_implementation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("google.protobuf.internal.api_implementation.Type", lambda: "python")

    with pytest.raises(ConfigError, match="upb"):
        assert_fast()
