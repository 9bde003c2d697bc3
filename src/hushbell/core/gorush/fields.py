"""
Readers for the JSON of a Go program: what it takes, what it refuses, and what counts as not given.

A Go struct field holds its zero value until the document gives another one, and ``omitempty`` leaves zero
values out again. A reader therefore returns ABSENT for a zero value, unless Go keeps a pointer there
(reference/gateway.md 1.3, 10).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from hushbell.errors import Undecodable

Read = Callable[[Any], Any]
"""Takes a parsed JSON value other than null. Raises Undecodable for what Go does not put into the field."""

ABSENT: Final = object()
INT64 = 1 << 63


def text(value: Any) -> Any:
    """Read a string."""
    if type(value) is not str:
        raise Undecodable("not a string")
    return value or ABSENT


def boolean(value: Any) -> Any:
    """Read true or false."""
    if type(value) is not bool:
        raise Undecodable("not a boolean")
    return value or ABSENT


def exact_integer(value: Any) -> Any:
    """Read an integer of 64 bits whose zero has a meaning. ``1.0`` and ``1e0`` are none."""
    if type(value) is not int or not -INT64 <= value < INT64:
        raise Undecodable("not an integer of 64 bits")
    return value


def integer(value: Any) -> Any:
    """Read an integer of 64 bits."""
    return exact_integer(value) or ABSENT


def exact_number(value: Any) -> Any:
    """Read a number whose zero has a meaning."""
    if type(value) not in (int, float):
        raise Undecodable("not a number")
    return value


def number(value: Any) -> Any:
    """Read a number."""
    return exact_number(value) or ABSENT


def anything(value: Any) -> Any:
    """Take what is there."""
    return value


def objects(value: Any) -> Any:
    """Read an object of any content."""
    if type(value) is not dict:
        raise Undecodable("not an object")
    return value or ABSENT


def texts(value: Any) -> Any:
    """Read a list of strings; null in it is the empty string."""
    if type(value) is not list:
        raise Undecodable("not a list")
    return [_string(one) for one in value] or ABSENT


def text_map(value: Any) -> Any:
    """Read an object of strings; null in it is the empty string."""
    if type(value) is not dict:
        raise Undecodable("not an object")
    return {key: _string(one) for key, one in value.items()} or ABSENT


def integers(value: Any) -> Any:
    """Read a list of integers; null in it is 0."""
    if type(value) is not list:
        raise Undecodable("not a list")
    return [0 if one is None else exact_integer(one) for one in value] or ABSENT


def record(fields: Mapping[str, Read], value: Any) -> dict[str, Any]:
    """
    Return the fields of an object under the names in ``fields``.

    Names match in any case, the last of several counts, null counts as not given, unknown names are ignored.
    """
    if type(value) is not dict:
        raise Undecodable("not an object")
    found: dict[str, Any] = {}
    for key, given in value.items():
        name, read = key, fields.get(key)
        if read is None:
            name = key.casefold()
            read = fields.get(name)
            if read is None:
                continue
        if given is None:
            continue
        result = read(given)
        if result is ABSENT:
            found.pop(name, None)
        else:
            found[name] = result
    return found


def a_record(fields: Mapping[str, Read]) -> Read:
    """Return a reader of objects that hold those fields. An empty object counts as given."""
    return lambda value: record(fields, value)


def records(fields: Mapping[str, Read]) -> Read:
    """Return a reader of lists of such objects; null in a list stays null."""

    def read(value: Any) -> Any:
        if type(value) is not list:
            raise Undecodable("not a list")
        return [None if one is None else record(fields, one) for one in value] or ABSENT

    return read


def one_of(*words: str) -> Read:
    """Return a reader of strings that must be one of these."""

    def read(value: Any) -> Any:
        if text(value) is ABSENT:
            return ABSENT
        if value not in words:
            raise Undecodable("not one of the words allowed here")
        return value

    return read


def _string(value: Any) -> str:
    if value is None:
        return ""
    if type(value) is not str:
        raise Undecodable("not a string")
    return value
