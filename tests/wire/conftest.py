"""What status-go v1.0.0 was recorded to send (tests/vectors), and any value of any message."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import strategies as st

from hushbell.wire import (
    ApplicationMessage,
    Bundle,
    ChatIdentity,
    ContactCodeAdvertisement,
    IdentityImage,
    NotificationRequest,
    NotificationResponse,
    ProtocolMessage,
    PushNotification,
    Query,
    QueryInfo,
    QueryResponse,
    Registration,
    RegistrationResponse,
    Report,
    Segment,
    SignedPreKey,
    WakuMessage,
)

VECTORS = Path(__file__).parents[1] / "vectors"

EVERY_KIND: tuple[type, ...] = (
    ApplicationMessage,
    Bundle,
    ChatIdentity,
    ContactCodeAdvertisement,
    IdentityImage,
    PushNotification,
    NotificationRequest,
    NotificationResponse,
    ProtocolMessage,
    Query,
    QueryInfo,
    QueryResponse,
    Registration,
    RegistrationResponse,
    Report,
    Segment,
    SignedPreKey,
    WakuMessage,
)


@pytest.fixture(scope="session")
def vectors() -> Mapping[str, Any]:
    """Values computed in Python and recomputed by status-go."""
    loaded: Mapping[str, Any] = json.loads((VECTORS / "status-go-vectors.json").read_text())
    return loaded


@pytest.fixture(scope="session")
def steps() -> Sequence[Mapping[str, Any]]:
    """Every Waku message of every transcript, with its layers."""
    paths = sorted((VECTORS / "status-go").glob("*.json"))
    transcripts = [json.loads(path.read_text()) for path in paths]
    found = [step for one in transcripts for step in one.get("steps", ()) if "waku_message_hex" in step]
    assert len(found) == 212, "a law over nothing holds always"
    return found


@pytest.fixture(scope="session")
def every_kind() -> tuple[type, ...]:
    """All classes of messages."""
    return EVERY_KIND


@pytest.fixture(params=EVERY_KIND, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> type:
    """Each class of message."""
    found: type = request.param
    return found


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


_CONTENTS = st.one_of(
    st.tuples(st.just(0), st.integers(0, 2**64 - 1).map(_varint)),
    st.tuples(st.just(1), st.binary(min_size=8, max_size=8)),
    st.tuples(st.just(2), st.binary(max_size=20).map(lambda data: _varint(len(data)) + data)),
    st.tuples(st.just(5), st.binary(min_size=4, max_size=4)),
)

# Numbers that no schema names, with the wire type in the low bits.
_UNKNOWN = st.lists(
    st.builds(
        lambda number, content: _varint(number << 3 | content[0]) + content[1], st.integers(200, 5000), _CONTENTS
    ),
    max_size=3,
).map(b"".join)


def _anything(annotation: Any) -> st.SearchStrategy[Any]:
    if isinstance(annotation, type) and is_dataclass(annotation):
        hints = get_type_hints(annotation)
        parts = {one.name: _anything(hints[one.name]) for one in fields(annotation) if one.name != "unknown"}
        return st.builds(annotation, unknown=_UNKNOWN, **parts)
    arguments = get_args(annotation)
    if isinstance(annotation, UnionType):
        return st.one_of(st.none(), _anything(arguments[0]))
    if get_origin(annotation) is tuple:
        return st.lists(_anything(arguments[0]), max_size=3).map(tuple)
    if get_origin(annotation) is Mapping:
        return st.dictionaries(st.text(max_size=8), _anything(arguments[1]), max_size=3)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        int: st.integers(0, 2**31 - 1),
        str: st.text(max_size=20),
        bytes: st.binary(max_size=80),
    }
    return simple[annotation]


@pytest.fixture
def values(kind: type) -> st.SearchStrategy[Any]:
    """Any message of that class, unknown fields at every level included."""
    return _anything(kind)
