"""Bytes of the real status-go: each becomes the recorded value, and the same bytes again."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import IntEnum
from typing import Any

import pytest

from hushbell.types import NotificationType, TokenType
from hushbell.wire import (
    ApplicationMessage,
    ApplicationType,
    ContactCodeAdvertisement,
    NotificationRequest,
    NotificationResponse,
    ProtocolMessage,
    Query,
    QueryResponse,
    Registration,
    RegistrationError,
    RegistrationResponse,
    ReportError,
    WakuMessage,
    as_segment,
    decode,
    decode_frame,
    encode,
    encode_frame,
    is_datasync,
    padding_length,
    unwrap_protocol_message,
)

Step = Mapping[str, Any]

KINDS: Mapping[str, type] = {
    "CONTACT_CODE_ADVERTISEMENT": ContactCodeAdvertisement,
    "PUSH_NOTIFICATION_REGISTRATION": Registration,
    "PUSH_NOTIFICATION_REGISTRATION_RESPONSE": RegistrationResponse,
    "PUSH_NOTIFICATION_QUERY": Query,
    "PUSH_NOTIFICATION_QUERY_RESPONSE": QueryResponse,
    "PUSH_NOTIFICATION_REQUEST": NotificationRequest,
    "PUSH_NOTIFICATION_RESPONSE": NotificationResponse,
}

NUMBERS: Mapping[tuple[str, str], type[IntEnum]] = {
    ("Registration", "token_type"): TokenType,
    ("RegistrationResponse", "error"): RegistrationError,
    ("PushNotification", "type"): NotificationType,
    ("Report", "error"): ReportError,
}


def as_recorded(value: object) -> object:
    """Return a value the way the recorder wrote it: hex for bytes, names for numbers, defaults left out."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [as_recorded(item) for item in value]
    if not hasattr(value, "__dataclass_fields__"):
        return value
    kind = type(value).__name__
    found = {}
    for one in fields(value):  # type: ignore[arg-type]  # told by the line above
        content = getattr(value, one.name)
        if not content:
            continue
        names = NUMBERS.get((kind, one.name))
        known = names is not None and content in names.__members__.values()
        found[one.name] = recorded_name(names(content)) if names and known else as_recorded(content)
    return found


def recorded_name(number: IntEnum) -> str:
    return number.name + "_TOKEN" if isinstance(number, TokenType) else number.name


@pytest.fixture
def applications(steps: Sequence[Step]) -> Sequence[Step]:
    found = [step for step in steps if "application" in step["layers"]]
    assert len(found) == 210
    return found


def test_each_waku_message_is_understood_and_made_again(steps: Sequence[Step]) -> None:
    for step in steps:
        data = bytes.fromhex(step["waku_message_hex"])
        recorded = step["layers"]["waku_message"]

        message = decode(WakuMessage, data)

        assert message == WakuMessage(
            payload=bytes.fromhex(recorded["payload_hex"]),
            content_topic=recorded["content_topic"],
            version=recorded["version"],
            timestamp=int(recorded["timestamp_ns"]),
            meta=bytes.fromhex(recorded["meta_hex"]),
            ephemeral=recorded["ephemeral"],
        )
        assert encode(message) == data


def test_each_frame_is_taken_apart_and_made_again(steps: Sequence[Step]) -> None:
    for step in steps:
        recorded = step["layers"]["rfc26"]
        data = bytes.fromhex(recorded["frame_hex"])

        frame = decode_frame(data)

        assert frame.data.hex() == recorded["data_hex"]
        assert (frame.signature or b"").hex() == (recorded["signature_hex"] or "")
        assert len(frame.padding) == recorded["padding_len"]
        signed = frame.signature is not None
        assert len(frame.padding) == padding_length(len(frame.data), signed=signed)
        assert encode_frame(frame.data, frame.padding, signed=signed) == frame.signed_part
        assert frame.signed_part + (frame.signature or b"") == data


def test_each_application_message_is_understood_and_made_again(applications: Sequence[Step]) -> None:
    for step in applications:
        recorded = step["layers"]["application"]
        data = bytes.fromhex(recorded["amm_hex"])

        message = decode(ApplicationMessage, data)

        assert message == ApplicationMessage(
            signature=bytes.fromhex(recorded["signature_hex"]),
            payload=bytes.fromhex(recorded["payload_hex"]),
            type=recorded["type_number"],
        )
        assert encode(message) == data


def test_the_numbers_of_application_messages_have_their_names(applications: Sequence[Step]) -> None:
    for step in applications:
        recorded = step["layers"]["application"]

        assert ApplicationType(recorded["type_number"]).name == recorded["type"]


def test_each_push_message_is_understood_and_made_again(applications: Sequence[Step]) -> None:
    for step in applications:
        data = bytes.fromhex(step["layers"]["protobuf_hex"])

        message: object = decode(KINDS[step["layers"]["application"]["type"]], data)

        assert as_recorded(message) == step["decoded"]
        assert encode(message) == data


def test_every_kind_of_push_message_was_recorded(applications: Sequence[Step]) -> None:
    assert {step["layers"]["application"]["type"] for step in applications} == set(KINDS)


def test_what_lies_in_a_frame_unwraps_to_its_application_message(applications: Sequence[Step]) -> None:
    for step in applications:
        data = bytes.fromhex(step["layers"]["rfc26"]["data_hex"])

        assert unwrap_protocol_message(data).hex() == step["layers"]["application"]["amm_hex"]


def test_a_contact_code_is_wrapped_with_its_bundles_and_made_again(steps: Sequence[Step]) -> None:
    wrapped = [step["layers"] for step in steps if "protocol_message" in step["layers"]]
    assert len(wrapped) == 3
    for layers in wrapped:
        data = bytes.fromhex(layers["rfc26"]["data_hex"])
        recorded = layers["protocol_message"]

        message = decode(ProtocolMessage, data)

        assert message.installation_id == recorded["installation_id"]
        assert len(message.bundles) == recorded["bundles"]
        assert bool(message.encrypted_message) == recorded["has_encrypted_message"]
        assert message.public_message.hex() == recorded.get("public_message_hex", "")
        assert message.unknown == b""
        assert encode(message) == data


def test_nothing_recorded_is_a_segment_or_data_synchronisation(steps: Sequence[Step]) -> None:
    for step in steps:
        data = bytes.fromhex(step["layers"]["rfc26"]["data_hex"])
        inner = unwrap_protocol_message(data)

        assert as_segment(data) is None
        assert as_segment(inner) is None
        assert not is_datasync(data)
        assert not is_datasync(inner)


@pytest.mark.parametrize("name", ["pnr", "query"])
def test_the_computed_layers_are_made_again(vectors: Mapping[str, Any], name: str) -> None:
    application = bytes.fromhex(vectors[f"{name}_amm"])
    padding = bytes.fromhex(vectors["padding_byte"]) * padding_length(len(application), signed=True)
    frame = bytes.fromhex(vectors[f"{name}_rfc26_frame"])

    assert encode_frame(application, padding, signed=True) == frame[:-65]
    assert decode_frame(frame).data == application
    assert len(frame) % 256 == 0

    message = WakuMessage(
        payload=bytes.fromhex(vectors[f"{name}_waku_payload"]),
        content_topic=vectors[f"{name}_content_topic"],
        version=1,
        timestamp=vectors["timestamp_ns"],
        meta=b"",
        ephemeral=False,
    )
    assert encode(message).hex() == vectors[f"{name}_waku_message"]
    assert decode(WakuMessage, encode(message)) == message


def test_the_computed_registration_is_understood_and_made_again(vectors: Mapping[str, Any]) -> None:
    data = bytes.fromhex(vectors["registration_plain"])

    registration = decode(Registration, data)

    assert registration == Registration(
        token_type=TokenType.APN,
        device_token="abc",
        installation_id=vectors["installation_id"],
        access_token=vectors["access_token"],
        enabled=True,
        version=1,
        grant=bytes.fromhex(vectors["grant"]),
    )
    assert encode(registration) == data


def test_the_computed_query_and_request_are_understood_and_made_again(vectors: Mapping[str, Any]) -> None:
    key_hash = bytes.fromhex(vectors["hashed_client_pubkey"])
    query = decode(ApplicationMessage, bytes.fromhex(vectors["query_amm"]))
    request = decode(ApplicationMessage, bytes.fromhex(vectors["request_amm"]))

    assert encode(query).hex() == vectors["query_amm"]
    assert encode(request).hex() == vectors["request_amm"]
    assert decode(Query, query.payload) == Query(public_keys=(key_hash,))
    (item,) = decode(NotificationRequest, request.payload).requests
    assert item.public_key == key_hash
    assert item.author.hex() == vectors["author_hash_client"]
    assert encode(decode(NotificationRequest, request.payload)) == request.payload
