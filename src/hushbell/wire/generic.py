"""
The conversions between values and protobuf messages, for every schema.

A value has the fields of its message, by the same names, so the schema is the description: which fields are lists,
maps or messages, and which may be absent.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from sys import intern
from typing import Any, Generic, Protocol, TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.message import Error as ProtobufError
from google.protobuf.unknown_fields import UnknownFieldSet

from hushbell.errors import TooLarge, Undecodable

Value = TypeVar("Value")
Schema = TypeVar("Schema", bound=Message)


@dataclass(frozen=True, slots=True)
class Codec(Generic[Value, Schema]):
    """The conversions between a value and its protobuf message. ``read`` may change the message that it gets."""

    kind: type[Value]
    schema: type[Schema]
    read: Callable[[Schema], Value]
    write: Callable[[Schema, Value], None]

    def parse(self, data: bytes, *, limit: int) -> Schema:
        """
        Return the protobuf message in ``data``.

        Raises:
            TooLarge: over ``limit`` bytes; then nothing is parsed.
            Undecodable: truncated, wrong, nested too deeply, or text that is not UTF-8.
        """
        if len(data) > limit:
            raise TooLarge(f"{self.kind.__name__} of {len(data)} bytes, at most {limit}")
        message = self.schema()
        try:
            message.ParseFromString(data)
        except DecodeError:
            raise Undecodable(f"not a {self.kind.__name__}") from None
        return message

    def encode(self, value: Value) -> bytes:
        """
        Return the bytes of a value: fields in the order of their numbers, maps in the order of their keys.

        Raises:
            ValueError: it does not fit the schema. The message names no value, because values are secrets.
        """
        message = self.schema()
        try:
            self.write(message, value)
            encoded = message.SerializeToString(deterministic=True)
        except (ValueError, ProtobufError):
            pass
        else:
            return encoded
        # Outside of the handler: the original error may contain a token, and a log would print it as context.
        reason = "a number out of range, a text that is not Unicode, or malformed unknown fields"
        raise ValueError(f"{self.kind.__name__}: {reason}")


def codecs_by_fields(
    schemas: Iterable[tuple[type[Any], type[Message]]],
    *,
    max_messages: int,
    max_scalars: int | None,
    keeps_unknown: bool,
) -> dict[type, Codec[Any, Any]]:
    """
    Return the codec of each class of values.

    Args:
        schemas: pairs of a class and its schema, whose fields agree in name and default; None is the default of a field
            that may be absent. A class stands after those that it contains.
        max_messages: messages in one list.
        max_scalars: entries in any other list; None leaves them to the size of the whole.
        keeps_unknown: whether the classes have a field ``unknown`` for the fields that the schema does not name.
    """
    codecs: dict[str, Codec[Any, Any]] = {}
    for kind, schema in schemas:
        single = [field for field in schema.DESCRIPTOR.fields if not field.is_repeated]
        fields = _Fields(
            kind,
            # Names that are not interned are compared letter by letter when the value is made.
            plain=tuple(intern(field.name) for field in single if not field.has_presence),
            optional=tuple(intern(field.name) for field in single if field.has_presence),
            containers=tuple(
                (intern(field.name), _container(field.message_type, codecs, max_messages, max_scalars))
                for field in schema.DESCRIPTOR.fields
                if field.is_repeated
            ),
            keeps_unknown=keeps_unknown,
        )
        codecs[schema.DESCRIPTOR.full_name] = Codec(kind, schema, fields.read, fields.write)
    return {codec.kind: codec for codec in codecs.values()}


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of a class, by the conversion that each needs."""

    kind: type[Any]
    plain: tuple[str, ...]
    optional: tuple[str, ...]  # absent and empty differ
    containers: "tuple[tuple[str, _Container], ...]"
    keeps_unknown: bool

    def read(self, message: Message) -> Any:
        values = {name: getattr(message, name) for name in self.plain}
        for name in self.optional:
            if message.HasField(name):
                values[name] = getattr(message, name)
        for name, container in self.containers:
            values[name] = container.read(getattr(message, name))
        if self.keeps_unknown:
            values["unknown"] = unknown_fields(message)
        return self.kind(**values)

    def write(self, message: Message, value: Any) -> None:
        for name in self.plain:
            if entry := getattr(value, name):
                setattr(message, name, entry)
        for name in self.optional:
            if (entry := getattr(value, name)) is not None:
                setattr(message, name, entry)
        for name, container in self.containers:
            if entries := getattr(value, name):
                container.write(getattr(message, name), entries)
        if self.keeps_unknown and value.unknown:
            message.MergeFromString(value.unknown)


class _Container(Protocol):
    """The conversions of a list or map."""

    def read(self, field: Any) -> Any: ...

    def write(self, field: Any, entries: Any) -> None: ...


def _container(
    message: Any, codecs: Mapping[str, Codec[Any, Any]], max_messages: int, max_scalars: int | None
) -> _Container:
    if message is None:
        return _Scalars(max_scalars)
    if not message.GetOptions().map_entry:
        return _Messages(codecs[message.full_name], max_messages)
    entry = message.fields_by_name["value"].message_type
    return _ScalarMap() if entry is None else _MessageMap(codecs[entry.full_name])


@dataclass(frozen=True, slots=True)
class _Scalars:
    """A list of numbers, texts or byte strings."""

    most: int | None

    def read(self, field: Sequence[Any]) -> tuple[Any, ...]:
        return bounded(field, self.most) if field else ()  # empty lists are common, and tuple() is slow

    def write(self, field: Any, entries: Sequence[Any]) -> None:
        field.extend(entries)


@dataclass(frozen=True, slots=True)
class _Messages:
    """A list of messages."""

    codec: Codec[Any, Any]
    most: int

    def read(self, field: Sequence[Message]) -> tuple[Any, ...]:
        read = self.codec.read
        return tuple([read(message) for message in bounded(field, self.most)])

    def write(self, field: Any, entries: Sequence[Any]) -> None:
        for value in entries:
            self.codec.write(field.add(), value)


class _ScalarMap:
    """A map of texts to numbers, texts or byte strings."""

    def read(self, field: Mapping[str, Any]) -> dict[str, Any]:
        return dict(field)

    def write(self, field: MutableMapping[str, Any], entries: Mapping[str, Any]) -> None:
        field.update(entries)


@dataclass(frozen=True, slots=True)
class _MessageMap:
    """A map of texts to messages."""

    codec: Codec[Any, Any]

    def read(self, field: Mapping[str, Message]) -> dict[str, Any]:
        return {key: self.codec.read(message) for key, message in field.items()}

    def write(self, field: Mapping[str, Message], entries: Mapping[str, Any]) -> None:
        for key, value in entries.items():
            self.codec.write(field[key], value)


def bounded(field: Sequence[Value], most: int | None) -> tuple[Value, ...]:
    """
    Return a list as a tuple.

    Raises:
        TooLarge: more than ``most`` entries; None stands for no bound.
    """
    if most is not None and len(field) > most:
        raise TooLarge(f"{len(field)} entries in a list, at most {most}")
    return tuple(field)


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
