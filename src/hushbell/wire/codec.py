"""Encode and decode every message of the wire. Protobuf types do not leave this package."""

from dataclasses import replace
from typing import TypeVar

from google.protobuf.internal import api_implementation
from google.protobuf.message import Message

from hushbell.errors import ConfigError, TooLarge
from hushbell.wire import messages
from hushbell.wire.generic import codecs_by_fields, unknown_fields
from hushbell.wire.messages import WakuMessage
from hushbell.wire.pb import layers_pb2 as layers_pb
from hushbell.wire.pb import push_pb2 as push_pb
from hushbell.wire.pb import waku_pb2 as waku_pb

MESSAGE_LIMIT = 1024 * 1024
"""Bytes of a message, unless the caller says otherwise: the most that Status nodes relay."""

UNKNOWN_LIMIT = 64 * 1024
"""Bytes of unknown fields, all levels together. Each becomes an object when it is parsed: 1 MiB takes 0.15 s."""

MAX_NESTED = 8192
"""Messages in one list. A real item is over 200 bytes, so 1 MiB never holds as many; two-byte ones it does."""

M = TypeVar("M")


def _read_waku_message(m: waku_pb.WakuMessage) -> WakuMessage:
    return WakuMessage(
        payload=m.payload,
        content_topic=m.content_topic,
        version=m.version if m.HasField("version") else None,
        timestamp=m.timestamp if m.HasField("timestamp") else None,
        meta=m.meta if m.HasField("meta") else None,
        rate_limit_proof=m.rate_limit_proof if m.HasField("rate_limit_proof") else None,
        ephemeral=m.ephemeral if m.HasField("ephemeral") else None,
        unknown=unknown_fields(m),
    )


CODECS = codecs_by_fields(
    [
        (messages.Registration, push_pb.Registration),
        (messages.RegistrationResponse, push_pb.RegistrationResponse),
        (messages.QueryInfo, push_pb.QueryInfo),
        (messages.Query, push_pb.Query),
        (messages.QueryResponse, push_pb.QueryResponse),
        (messages.ContactCodeAdvertisement, push_pb.ContactCodeAdvertisement),
        (messages.IdentityImage, push_pb.IdentityImage),
        (messages.ChatIdentity, push_pb.ChatIdentity),
        (messages.PushNotification, push_pb.Notification),
        (messages.NotificationRequest, push_pb.NotificationRequest),
        (messages.Report, push_pb.Report),
        (messages.NotificationResponse, push_pb.NotificationResponse),
        (messages.ApplicationMessage, push_pb.ApplicationMessage),
        (messages.SignedPreKey, layers_pb.SignedPreKey),
        (messages.Bundle, layers_pb.Bundle),
        (messages.ProtocolMessage, layers_pb.ProtocolMessage),
        (messages.Segment, layers_pb.Segment),
        (WakuMessage, waku_pb.WakuMessage),
    ],
    max_messages=MAX_NESTED,
    max_scalars=None,
    keeps_unknown=True,
)
"""By the class of the value (``wire.messages``)."""

# The conversion of every message of the network: written out, it takes two thirds of the time.
CODECS[WakuMessage] = replace(CODECS[WakuMessage], read=_read_waku_message)


def encode(message: object) -> bytes:
    """
    Return the bytes of ``message``, a value of ``wire.messages``.

    Fields come in the order of their numbers, default values are left out, maps are in the order of their keys and
    unknown fields come last: byte for byte what status-go sends. An optional field that is not None is
    written even if it is empty (``WakuMessage.meta``).

    Raises:
        ValueError: a number is out of its field's range, a text is not Unicode, or ``unknown`` is no protobuf.
            The message names no value, because values are secrets.
    """
    return CODECS[type(message)].encode(message)


def decode(kind: type[M], data: bytes, *, limit: int = MESSAGE_LIMIT) -> M:
    """
    Return the message of class ``kind`` that ``data`` holds.

    Numbers of enumerations are kept even if they are unknown, fields too (``unknown``). As everywhere in
    protobuf, of a field that comes twice the last counts. Fields that the schema does not know inside a map's
    entry are lost.

    Args:
        kind: a class of ``wire.messages``.
        data: any bytes at all.
        limit: bytes; larger input is refused before it is parsed.

    Raises:
        TooLarge: over ``limit``, a list of messages longer than :data:`MAX_NESTED`, or unknown fields over
            :data:`UNKNOWN_LIMIT`.
        Undecodable: truncated, wrong, nested too deeply, or text that is not UTF-8.
    """
    codec = CODECS[kind]
    parsed = codec.parse(data, limit=limit)
    if len(data) > UNKNOWN_LIMIT and (dropped := _drop_unknown(parsed)):
        if dropped > UNKNOWN_LIMIT:
            raise TooLarge(f"{kind.__name__} with {dropped} bytes of unknown fields, at most {UNKNOWN_LIMIT}")
        parsed.ParseFromString(data)
    value: M = codec.read(parsed)
    return value


def _drop_unknown(message: Message) -> int:
    """Drop the unknown fields without parsing each, and return the number of their bytes."""
    size = message.ByteSize()
    message.DiscardUnknownFields()
    return size - message.ByteSize()


def assert_fast() -> None:
    """
    Refuse to run on protobuf's pure Python implementation, which is some 30 times slower. Called once at start.

    Raises:
        ConfigError: the installed protobuf package lacks its compiled part (``upb``).
    """
    if api_implementation.Type() != "upb":
        raise ConfigError(
            "protobuf runs without its compiled part (upb): reinstall it, unset PROTOCOL_BUFFERS_PYTHON_*"
        )
