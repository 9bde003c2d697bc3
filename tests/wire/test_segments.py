"""Segments, and what only looks like one."""

from dataclasses import replace

import pytest
import sha3
from hypothesis import given
from hypothesis import strategies as st

from hushbell.errors import TooLarge, Unauthentic, Undecodable
from hushbell.wire import ApplicationMessage, Segment, as_segment, encode, is_parity, reassemble

WHOLE = b"a message that somebody cut into pieces"


def keccak(data: bytes) -> bytes:
    return bytes(sha3.keccak_256(data).digest())


def cut(count: int, whole: bytes = WHOLE) -> list[Segment]:
    size = -(-len(whole) // count)
    return [
        Segment(
            entire_message_hash=keccak(whole),
            index=index,
            segments_count=count,
            payload=whole[index * size : (index + 1) * size],
        )
        for index in range(count)
    ]


PARITY = Segment(entire_message_hash=keccak(WHOLE), payload=b"parity", parity_segments_count=1)


@given(
    st.builds(
        ApplicationMessage,
        signature=st.one_of(st.binary(max_size=70), st.binary(min_size=32, max_size=32)),
        payload=st.binary(max_size=200),
        type=st.integers(0, 100),
    )
)
def test_an_application_message_is_never_a_segment(message: ApplicationMessage) -> None:
    assert as_segment(encode(message)) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_segment_or_none(data: bytes) -> None:
    segment = as_segment(data)

    assert segment is None or len(segment.entire_message_hash) == 32


@pytest.mark.parametrize("segment", [*cut(3), PARITY, replace(PARITY, original_payload_length=39)])
def test_a_segment_is_recognised(segment: Segment) -> None:
    assert as_segment(encode(segment)) == segment


@pytest.mark.parametrize(
    "segment",
    [
        replace(cut(2)[0], entire_message_hash=bytes(31)),
        replace(cut(2)[0], entire_message_hash=bytes(33)),
        replace(cut(2)[0], entire_message_hash=b""),
        replace(cut(2)[0], payload=b""),
        replace(cut(2)[0], segments_count=0),
        replace(cut(2)[0], segments_count=1),
        replace(cut(2)[0], index=2),
        replace(PARITY, parity_segment_index=1),
    ],
)
def test_what_breaks_a_rule_is_no_segment(segment: Segment) -> None:
    assert as_segment(encode(segment)) is None


def test_a_segment_over_the_limit_is_not_looked_at() -> None:
    assert as_segment(encode(cut(2)[0]), limit=10) is None


@given(st.integers(2, 39).flatmap(lambda count: st.permutations(cut(count))))
def test_segments_in_any_order_make_the_message(segments: list[Segment]) -> None:
    assert reassemble([*segments, segments[0], PARITY], keccak) == WHOLE


@given(st.integers(0, 4))
def test_a_missing_segment_leaves_it_open(missing: int) -> None:
    segments = cut(5)
    del segments[missing]

    assert reassemble([*segments, PARITY], keccak) is None


def test_no_segments_make_no_message() -> None:
    assert reassemble([], keccak) is None
    assert reassemble([PARITY], keccak) is None
    assert is_parity(PARITY)


def test_segments_of_different_messages_do_not_mix() -> None:
    with pytest.raises(Undecodable):
        reassemble([cut(2)[0], cut(2, b"another one")[1]], keccak)
    with pytest.raises(Undecodable):
        reassemble([cut(2)[0], cut(3)[1]], keccak)
    with pytest.raises(Undecodable):
        reassemble([replace(cut(2)[0], index=2)], keccak)


def test_a_forged_segment_is_found_out() -> None:
    first, second = cut(2)

    with pytest.raises(Unauthentic):
        reassemble([first, replace(second, payload=b"forged")], keccak)


def test_too_many_segments_or_bytes_are_refused() -> None:
    with pytest.raises(TooLarge):
        reassemble([replace(cut(2)[0], segments_count=257)], keccak)
    with pytest.raises(TooLarge):
        reassemble(cut(2), keccak, limit=len(WHOLE) - 1)
    assert reassemble(cut(2), keccak, limit=len(WHOLE)) == WHOLE
