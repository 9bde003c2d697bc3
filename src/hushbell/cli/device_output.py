"""Events of a phone, and the steps it carries out, as JSON lines."""

import json
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from hushbell.core.client.events import DevicesFound, Unregistered
from hushbell.core.client.inbox import Perform

# Names in the output that differ from the name of the class. Scripts read them.
NAMES: Mapping[type[Any], str] = {DevicesFound: "learnt", Unregistered: "left", Perform: "do"}


def as_json(event: Any) -> dict[str, Any]:
    """Return an event or a step as a JSON object; bytes become hexadecimal. Nothing is left out."""
    name = NAMES.get(type(event), type(event).__name__.lower())
    return {"event": name} | {field.name: _plain(getattr(event, field.name)) for field in fields(event)}


def print_line(line: dict[str, Any]) -> None:
    """Print one JSON line."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value
