"""Frames of RFC 26."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.errors import Undecodable, WireError
from hushbell.wire import decode_frame, encode_frame, padding_length

LENGTHS = [0, 1, 188, 189, 253, 254, 255, 256, 257, 65_535, 65_536, 65_537, 1 << 20, (1 << 24) - 1]


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("length", LENGTHS)
def test_frames_fill_whole_blocks_and_are_always_padded(length: int, signed: bool) -> None:
    padding = padding_length(length, signed=signed)

    frame = encode_frame(bytes(length), bytes(padding), signed=signed)

    assert 1 <= padding <= 256
    assert (len(frame) + 65 * signed) % 256 == 0


@given(data=st.binary(max_size=600), padding=st.binary(max_size=300), signed=st.booleans())
def test_what_is_framed_comes_out_again(data: bytes, padding: bytes, signed: bool) -> None:
    signature = b"\x07" * 65 if signed else b""
    signed_part = encode_frame(data, padding, signed=signed)

    frame = decode_frame(signed_part + signature)

    assert (frame.data, frame.padding, frame.signature or b"") == (data, padding, signature)
    assert frame.signed_part == signed_part


@given(st.binary(max_size=300))
def test_any_bytes_give_a_frame_or_a_wire_error(data: bytes) -> None:
    try:
        frame = decode_frame(data)
    except WireError:
        return

    assert frame.signed_part + (frame.signature or b"") == data
    assert frame.signed_part.endswith(frame.data + frame.padding)


@pytest.mark.parametrize(
    "flags, length",
    [(1, 0), (1, 255), (2, 256), (2, 65_535), (3, 65_536)],
)
def test_the_length_takes_the_fewest_bytes(flags: int, length: int) -> None:
    frame = encode_frame(bytes(length), b"", signed=False)

    assert frame[0] == flags
    assert frame[1 : 1 + flags] == length.to_bytes(flags, "little")


def test_a_frame_without_length_holds_no_data() -> None:
    frame = decode_frame(b"\x00padding")

    assert (frame.data, frame.padding, frame.signature) == (b"", b"padding", None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x03\x01\x00",
        b"\x01\x05abcd",
        b"\x03\xff\xff\xffabc",
        b"\x04" + bytes(65),
        b"\x05\x02a" + bytes(65),
    ],
    ids=["nothing", "no length", "cut length", "cut data", "16 MiB", "signature alone", "data runs into signature"],
)
def test_a_broken_frame_is_undecodable(data: bytes) -> None:
    with pytest.raises(Undecodable):
        decode_frame(data)


def test_unknown_flags_are_ignored() -> None:
    assert decode_frame(b"\xf9\x01a").data == b"a"


def test_more_than_a_frame_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="16777216"):
        encode_frame(bytes(1 << 24), b"", signed=True)
    with pytest.raises(ValueError, match="16777216"):
        padding_length(1 << 24, signed=False)


def test_nothing_of_a_message_shows_in_a_repr() -> None:
    assert "s3cret" not in repr(decode_frame(encode_frame(b"s3cret", b"s3cret", signed=False)))
