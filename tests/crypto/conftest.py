"""What the tests of this floor share: the outside vectors, and just enough protobuf to take their messages apart."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hushbell.crypto.topics import topic_key
from hushbell.types import SymmetricKey

VECTORS = Path(__file__).parents[1] / "vectors"


@cache
def _read(path: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(path.read_text())
    return parsed


@pytest.fixture(scope="session")
def vectors() -> dict[str, Any]:
    return _read(VECTORS / "status-go-vectors.json")


@pytest.fixture(scope="session")
def real_post() -> dict[str, Any]:
    return _read(VECTORS / "status-go" / "wakuv2_real_post.json")


@pytest.fixture(params=sorted(VECTORS.glob("status-go/t*.json")), ids=lambda path: path.stem)
def transcript(request: pytest.FixtureRequest) -> dict[str, Any]:
    return _read(request.param)


@pytest.fixture(scope="session")
def slow_topic_key() -> Callable[[str], SymmetricKey]:
    """Derive each key once: 15 ms each, and the same few names are everywhere."""
    return cache(topic_key)


def _number(value: int) -> bytes:
    low = []
    while value > 0x7F:
        low.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*low, value])


@pytest.fixture(scope="session")
def protobuf() -> Callable[..., bytes]:
    """Serialise pairs of a field number and bytes, text or a non-negative number."""

    def serialise(*fields: tuple[int, bytes | str | int]) -> bytes:
        result = b""
        for number, value in fields:
            if isinstance(value, int):
                result += _number(number << 3) + _number(value)
            else:
                data = value.encode() if isinstance(value, str) else value
                result += _number(number << 3 | 2) + _number(len(data)) + data
        return result

    return serialise
