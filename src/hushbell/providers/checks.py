"""What can be refused before a notification is accepted: the same rules for every provider."""

from collections.abc import Collection, Mapping
from typing import Any

import orjson

from hushbell.core.delivery.notification import Message
from hushbell.errors import CallerError


def headers(message: Message, allowed: Collection[str]) -> Mapping[str, str]:
    """
    Return the headers of a message by name.

    Raises:
        CallerError: one is unknown, given twice, or holds what no header can.
    """
    found: dict[str, str] = {}
    for name, value in message.headers:
        if name not in allowed:
            raise CallerError(f"headers.{name[:64]!a}", f"is not one of {', '.join(sorted(allowed))}")
        if name in found:
            raise CallerError(f"headers.{name}", "is given twice")
        if not value.isascii() or not value.isprintable():
            raise CallerError(f"headers.{name}", "must be visible ASCII")
        found[name] = value
    return found


def one_of(field: str, value: str | None, allowed: Collection[str]) -> None:
    """Raise CallerError unless the value is missing or one of those allowed."""
    if value is not None and value not in allowed:
        raise CallerError(field, f"must be one of {', '.join(sorted(allowed))}")


def number(field: str, value: str | None, *, most: int = 2**53) -> None:
    """Raise CallerError unless the value is missing or a whole number from 0 to ``most``."""
    if value is not None and not (value.isascii() and value.isdigit() and len(value) <= 16 and int(value) <= most):
        raise CallerError(field, f"must be a whole number from 0 to {most}")


def size(field: str, length: int, most: int) -> None:
    """Raise CallerError if there are more bytes than allowed."""
    if length > most:
        raise CallerError(field, f"has {length} bytes, at most {most} are allowed")


def json_body(message: Message, most: int) -> dict[str, Any]:
    """
    Return the JSON object that the body is.

    Raises:
        CallerError: it is something else, or longer than ``most`` bytes.
    """
    size("body", len(message.body), most)
    try:
        parsed = orjson.loads(message.body)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise CallerError("body", "must be a JSON object")
    return parsed
