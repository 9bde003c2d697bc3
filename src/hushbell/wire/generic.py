"""
What the converters of every message share.

Converters are written out field by field: reflection over descriptors costs ten times as much, and this is the
path of every message. A reader gets a freshly parsed protobuf object that nobody else uses.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from hushbell.errors import TooLarge

NESTED_LIMIT = 8192
"""Messages in one list. A real item is over 200 bytes, so 1 MiB never holds as many; two-byte ones it does."""

Value = TypeVar("Value")
Schema = TypeVar("Schema", bound=Message)


@dataclass(frozen=True, slots=True)
class Codec(Generic[Value, Schema]):
    """The conversions between a value and its protobuf message."""

    kind: type[Value]
    schema: type[Schema]
    read: Callable[[Schema], Value]
    write: Callable[[Schema, Value], None]


def entries(field: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return a repeated field as a tuple. Empty ones are common, and tuple() is slow."""
    return tuple(field) if field else ()


def nested(field: Sequence[Schema], read: Callable[[Schema], Value]) -> tuple[Value, ...]:
    """
    Return a repeated message field as a tuple of values.

    Raises:
        TooLarge: more than :data:`NESTED_LIMIT` messages.
    """
    if len(field) > NESTED_LIMIT:
        raise TooLarge(f"{len(field)} messages in a list, at most {NESTED_LIMIT}")
    return tuple([read(item) for item in field])


def unknown_fields(message: Message) -> bytes:
    """
    Return the fields of ``message`` that its schema does not name, as they came.

    Called last: when there are any, every known field is cleared, and what is left is what was not known. Only
    fields at this level are meant; a nested message keeps its own.
    """
    if not len(UnknownFieldSet(message)):  # has no truth value of its own
        return b""
    for field in message.DESCRIPTOR.fields:
        message.ClearField(field.name)
    return message.SerializeToString()
