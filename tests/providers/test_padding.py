"""Payloads of few sizes."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.providers.padding import padded, padded_data

Pad = Callable[[bytes, Sequence[int]], bytes]
SIZES = (64, 256, 1024)
JSON = st.dictionaries(st.text(max_size=20), st.text(max_size=300), max_size=4)


@given(JSON)
def test_a_payload_has_one_of_the_sizes_or_is_larger_than_all(content: dict[str, str]) -> None:
    body = json.dumps(content).encode()

    result = padded(body, SIZES)

    assert len(result) in SIZES or (result == body and (len(body) > 1024 - 13 or "padding" in content))


@pytest.mark.parametrize("pad", [padded, padded_data])
@given(content=JSON)
def test_what_a_payload_says_stays_the_same(pad: Pad, content: dict[str, str]) -> None:
    content.pop("data", None)
    said: Any = json.loads(pad(json.dumps(content).encode(), SIZES))

    said.pop("data", None)
    assert said == content | ({"padding": said["padding"]} if "padding" in said else {})


@pytest.mark.parametrize(
    "body,padded_body",
    [
        (b"{}", b'{"padding":"000"}'),
        (b"{ }", b'{ "padding":"00"}'),
        (b'{"a":1}', b'{"a":1}'),
        (b'{"padding":""}', b'{"padding":""}'),
        (b"[]", b"[]"),
        (b"nonsense", b"nonsense"),
    ],
)
def test_padding_goes_where_there_is_room_for_it(body: bytes, padded_body: bytes) -> None:
    assert padded(body, (17,)) == padded_body


@pytest.mark.parametrize("pad", [padded, padded_data])
def test_without_sizes_nothing_changes(pad: Pad) -> None:
    assert pad(b'{ "a" : 1 }', ()) == b'{ "a" : 1 }'


@pytest.mark.parametrize("body", [b"[]", b"nonsense", b'{"data":1}', b'{"data":"x"}'])
def test_data_that_is_no_object_stays_as_it_is(body: bytes) -> None:
    assert padded_data(body, SIZES) == body


def test_data_is_made_if_there_is_none() -> None:
    assert len(json.dumps(json.loads(padded_data(b"{}", SIZES))["data"], separators=(",", ":"))) == 64
