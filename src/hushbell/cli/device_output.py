"""What a phone does and hears, as JSON lines."""

import json
import sys
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any


def told(step: Any) -> dict[str, Any]:
    """Return a step or an event as JSON; bytes become hexadecimal. It is the phone's own screen: nothing is hidden."""
    return {"event": type(step).__name__.lower()} | {
        field.name: _plain(getattr(step, field.name)) for field in fields(step)
    }


def written(line: dict[str, Any]) -> None:
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
