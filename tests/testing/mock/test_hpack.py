"""Header blocks are read and written as the hpack library does it."""

from contextlib import suppress
from typing import Any

import hpack
from hypothesis import given
from hypothesis import strategies as st

from hushbell.testing.mock.hpack import HeaderDecoder, MalformedBlock, encode

FIELD = st.tuples(st.text("abc-", min_size=1, max_size=6), st.text(st.characters(min_codepoint=32, max_codepoint=255)))


@given(st.lists(st.lists(FIELD, max_size=8), max_size=6), st.booleans(), st.integers(0, 4096))
def test_header_blocks_are_read_as_hpack_writes_them(blocks: list[Any], huffman: bool, size: int) -> None:
    encoder, decoder = hpack.Encoder(), HeaderDecoder()
    encoder.header_table_size = size

    for fields in blocks:
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        assert decoder.decode(encoder.encode(raw, huffman=huffman)) == fields


@given(st.sampled_from([200, 204, 400, 404, 410, 500, 503]), st.lists(FIELD, max_size=4))
def test_answers_are_read_by_hpack_as_they_were_meant(status: int, fields: list[tuple[str, str]]) -> None:
    decoded = hpack.Decoder().decode(encode(status, fields), raw=True)

    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
    assert decoded == [(b":status", str(status).encode()), *raw]


@given(st.binary(max_size=64))
def test_any_bytes_are_fields_or_malformed(block: bytes) -> None:
    with suppress(MalformedBlock):
        assert isinstance(HeaderDecoder().decode(block), list)
