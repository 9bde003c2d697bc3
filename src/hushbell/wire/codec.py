"""Encode and decode every message of the wire. Protobuf types do not leave this package."""

from typing import Any, TypeVar

from google.protobuf.internal import api_implementation
from google.protobuf.message import DecodeError, Message
from google.protobuf.message import Error as ProtobufError

from hushbell.errors import ConfigError, TooLarge, Undecodable
from hushbell.wire import discovery, layers, notification, registration, waku
from hushbell.wire.generic import Codec

MESSAGE_LIMIT = 1024 * 1024
"""Bytes of a message, unless the caller says otherwise: the most that Status nodes relay."""

UNKNOWN_LIMIT = 64 * 1024
"""Bytes of unknown fields, all levels together. Each becomes an object when it is parsed: 1 MiB takes 0.15 s."""

M = TypeVar("M")

CODECS: dict[type, Codec[Any, Any]] = {
    codec.kind: codec for module in (registration, discovery, notification, layers, waku) for codec in module.CODECS
}
"""By the class of the value (``wire.messages``)."""


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
    codec = CODECS[type(message)]
    written = codec.schema()
    try:
        codec.write(written, message)
        encoded: bytes = written.SerializeToString(deterministic=True)
    except (ValueError, ProtobufError):
        pass
    else:
        return encoded
    # Outside of the handler: the original error may contain a token, and a log would print it as context.
    reason = "a number out of range, a text that is not Unicode, or malformed unknown fields"
    raise ValueError(f"{type(message).__name__}: {reason}")


def decode(kind: type[M], data: bytes, *, limit: int = MESSAGE_LIMIT) -> M:
    """
    Return the message of class ``kind`` that ``data`` holds.

    Numbers of enumerations are kept even if nobody knows them, fields too (``unknown``). As everywhere in
    protobuf, of a field that comes twice the last counts. Fields that the schema does not know inside a map's
    entry are lost.

    Args:
        kind: a class of ``wire.messages``.
        data: any bytes at all.
        limit: bytes; larger input is refused before it is parsed.

    Raises:
        TooLarge: over ``limit``, a list of messages longer than ``generic.NESTED_LIMIT``, or unknown fields over
            :data:`UNKNOWN_LIMIT`.
        Undecodable: truncated, wrong, nested too deeply, or text that is not UTF-8.
    """
    if len(data) > limit:
        raise TooLarge(f"{kind.__name__} of {len(data)} bytes, at most {limit}")
    codec = CODECS[kind]
    parsed = codec.schema()
    try:
        parsed.ParseFromString(data)
        if len(data) > UNKNOWN_LIMIT and (dropped := _drop_unknown(parsed)):
            if dropped > UNKNOWN_LIMIT:
                raise TooLarge(f"{kind.__name__} with {dropped} bytes of unknown fields, at most {UNKNOWN_LIMIT}")
            parsed.ParseFromString(data)
    except DecodeError:
        raise Undecodable(f"not a {kind.__name__}") from None
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
