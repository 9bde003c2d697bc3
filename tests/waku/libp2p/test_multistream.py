"""Agreeing on a protocol: the specification's bytes, any chunks, and peers that do not agree."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.errors import TooLarge, TransportError, Undecodable, WireError
from hushbell.waku.libp2p.multistream import ProtocolProposer, ProtocolResponder, line

HEADER = b"\x13/multistream/1.0.0\n"


def choosing(*protocols: str) -> ProtocolResponder:
    return ProtocolResponder(lambda protocol: protocol in protocols, lambda: protocols)


def test_the_bytes_are_those_of_the_specification() -> None:
    assert ProtocolProposer(["/noise"]).start() == HEADER + b"\x07/noise\n"
    assert choosing("/noise").receive(HEADER + b"\x07/noise\n") == HEADER + b"\x07/noise\n"
    assert choosing().receive(HEADER + b"\x07/noise\n") == HEADER + b"\x03na\n"


def test_the_protocols_are_listed_on_demand() -> None:
    listener = choosing("/a", "/bc")

    assert listener.receive(HEADER + b"\x03ls\n") == HEADER + b"\x0a\x03/a\n\x04/bc\n\n"
    assert listener.chosen is None


@given(
    st.lists(st.sampled_from(["/a", "/b/1.0", "/c/2.0.0-beta1"]), min_size=1, max_size=3, unique=True),
    st.sets(st.sampled_from(["/a", "/b/1.0", "/c/2.0.0-beta1"]), min_size=1),
    st.lists(st.integers(1, 30), min_size=1),
    st.binary(max_size=50),
)
def test_any_chunks_agree_on_the_first_that_both_speak(
    proposed: list[str], spoken: set[str], cuts: list[int], after: bytes
) -> None:
    dialler, listener = ProtocolProposer(proposed), choosing(*spoken)
    expected = next((protocol for protocol in proposed if protocol in spoken), None)

    to_listener = dialler.start()
    try:
        while to_listener:
            to_listener = chunked(dialler, chunked(listener, to_listener, cuts), cuts)
    except TransportError:
        assert expected is None
        return

    assert dialler.chosen == listener.chosen == expected
    assert (dialler.rest, listener.rest) == (b"", b"")


def chunked(side: ProtocolProposer | ProtocolResponder, data: bytes, cuts: Sequence[int]) -> bytes:
    answer, place, number = b"", 0, 0
    while place < len(data):
        size = cuts[number % len(cuts)]
        answer += side.receive(data[place : place + size])
        place, number = place + size, number + 1
    return answer


def test_what_follows_the_agreement_is_left_for_the_protocol() -> None:
    listener = choosing("/a")

    listener.receive(HEADER + line("/a") + b"data")

    assert (listener.chosen, listener.rest) == ("/a", b"data")


@pytest.mark.parametrize(
    "said,error",
    [
        (b"\x12/multistream/1.0.0", Undecodable),
        (b"\x13/multistream/2.0.0\n", Undecodable),
        (b"\x00", Undecodable),
        (HEADER + b"\x03\xff\xff\n", Undecodable),
        (HEADER + b"\xff\xff\xff", Undecodable),
        (HEADER + b"\x81\x08" + bytes(10), TooLarge),
        (HEADER + line("/x") * 40, TooLarge),
    ],
)
def test_no_negotiation_is_refused(said: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        choosing("/a").receive(said)


def test_a_peer_that_agrees_to_something_else_is_refused() -> None:
    dialler = ProtocolProposer(["/a"])

    with pytest.raises(Undecodable):
        dialler.receive(HEADER + line("/b"))


@given(st.binary(max_size=300))
def test_whatever_comes_it_ends_or_waits(data: bytes) -> None:
    for side in (ProtocolProposer(["/a", "/b"]), choosing("/a")):
        try:
            side.receive(HEADER + data)
        except (WireError, TransportError):
            continue
        assert len(side.rest) <= len(data)
