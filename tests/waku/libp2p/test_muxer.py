"""yamux and mplex: the specifications' bytes, any chunks, windows, and peers that break the rules."""

import random
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hushbell.errors import TooLarge, Undecodable, WireError
from hushbell.waku.libp2p.mplex import MAX_MESSAGE, Mplex
from hushbell.waku.libp2p.muxer import DATA, ENDED, OPENED, RESET, Event, Muxer
from hushbell.waku.libp2p.yamux import INITIAL_WINDOW, Yamux

KINDS = ("yamux", "mplex")
MUCH = 1 << 30


def muxer(kind: str, *, initiator: bool, streams: int = 100) -> Muxer:
    if kind == "mplex":
        return Mplex(streams=streams)
    return Yamux(initiator=initiator, streams=streams, wide_window=1 << 20)


def yamux(*, initiator: bool = False, streams: int = 100) -> Yamux:
    return Yamux(initiator=initiator, streams=streams, wide_window=1 << 20)


def taken(side: Muxer, max_size: int = MUCH) -> bytes:
    return b"".join(side.next_frames(max_size))


def frame(kind: int, flags: int, stream: int, length: int, body: bytes = b"") -> bytes:
    return bytes((0, kind)) + flags.to_bytes(2, "big") + stream.to_bytes(4, "big") + length.to_bytes(4, "big") + body


def test_yamux_frames_are_those_of_the_specification() -> None:
    dialler = yamux(initiator=True)
    stream = dialler.open()
    dialler.send(stream, b"hi")
    dialler.close(stream)

    assert taken(dialler).hex() == (
        "000100010000000100000000"  # window update, SYN, stream 1
        "000000000000000100000002" + b"hi".hex() + "000100040000000100000000"  # window update, FIN
    )
    dialler.ping()
    dialler.leave(0)
    assert taken(dialler).hex() == "000200010000000000000001" + "000300000000000000000000"


def test_mplex_frames_are_those_of_the_specification() -> None:
    dialler = Mplex(streams=10)
    stream = dialler.open()
    dialler.send(stream, b"hi")
    dialler.close(stream)

    assert taken(dialler) == b"\x00\x010" + b"\x02\x02hi" + b"\x04\x00"
    listener = Mplex(streams=10)
    assert listener.receive(b"\x88\x01\x0217" + b"\x8a\x01\x03you") == [(OPENED, 34, b""), (DATA, 34, b"you")]
    listener.send(34, b"me")
    listener.reset(34)
    assert taken(listener) == b"\x8d\x01\x00"


def test_a_ping_is_answered_and_an_open_is_acknowledged() -> None:
    listener = yamux()

    assert listener.receive(frame(2, 1, 0, 77)) == []
    assert listener.receive(frame(0, 1, 1, 2, b"hi")) == [(OPENED, 1, b""), (DATA, 1, b"hi")]
    assert taken(listener) == frame(2, 2, 0, 77) + frame(1, 2, 1, 0)


actions = st.lists(
    st.tuples(
        st.sampled_from(["open", "send", "send", "close", "reset"]),
        st.booleans(),
        st.integers(0, 5),
        st.integers(1, 9000),
    ),
    max_size=40,
)


@given(st.sampled_from(KINDS), actions, st.lists(st.integers(1, 700), min_size=1, max_size=10))
@settings(max_examples=60)
def test_any_chunks_carry_every_byte_of_every_stream(kind: str, todo: list[Any], cuts: list[int]) -> None:
    sides = [muxer(kind, initiator=True), muxer(kind, initiator=False)]
    opened: list[list[int]] = [[], []]
    sent: list[dict[int, bytes]] = [defaultdict(bytes), defaultdict(bytes)]
    ends: list[dict[int, int]] = [{}, {}]
    source = random.Random(3)
    for action, who, which, size in todo:
        side, mine = sides[who], opened[who]
        if action == "open":
            mine.append(side.open())
            continue
        if not mine or mine[which % len(mine)] in ends[who]:
            continue
        stream = mine[which % len(mine)]
        if action == "send":
            data = source.randbytes(size)
            sent[who][stream] += data
            side.send(stream, data)
        else:
            ends[who][stream] = ENDED if action == "close" else RESET
            getattr(side, action)(stream)

    for who in (0, 1):
        data = taken(sides[who])
        events: list[Event] = []
        place, number = 0, 0
        while place < len(data):
            size = cuts[number % len(cuts)]
            events += sides[1 - who].receive(data[place : place + size])
            place, number = place + size, number + 1
        came: dict[int, bytes] = defaultdict(bytes)
        for event, stream, piece in events:
            if event == DATA:
                came[stream] += piece
        names = {name ^ (kind == "mplex"): name for name in opened[who]}
        assert [stream for event, stream, _ in events if event == OPENED] == list(names)
        for theirs, ours in names.items():
            end = ends[who].get(ours)
            last = [event for event, stream, _ in events if stream == theirs and event in {ENDED, RESET}]
            assert last == ([] if end is None else [end])
            if end != RESET:
                assert came[theirs] == sent[who][ours]


def test_nobody_sends_more_than_the_window_and_credit_lets_it_go_on() -> None:
    dialler, listener = yamux(initiator=True), yamux()
    stream = dialler.open()
    dialler.send(stream, bytes(INITIAL_WINDOW + 1000))

    listener.receive(taken(dialler))
    assert dialler.queued(stream) == 1000
    assert not dialler.ready
    listener.consumed(1, INITIAL_WINDOW // 4)
    dialler.receive(taken(listener))

    assert listener.receive(taken(dialler)) == [(DATA, 1, bytes(1000))]
    assert dialler.waiting == 0


def test_credit_is_given_in_batches() -> None:
    dialler, listener = yamux(initiator=True), yamux()
    stream = dialler.open()
    dialler.send(stream, bytes(100_000))
    listener.receive(taken(dialler))
    taken(listener)

    for _ in range(90):
        listener.consumed(1, 1000)

    assert len(taken(listener)) == 12


def test_a_widened_stream_lets_more_be_on_the_way() -> None:
    dialler, listener = yamux(initiator=True), yamux()
    stream = dialler.open()
    dialler.send(stream, bytes(1 << 20))
    listener.receive(taken(dialler, 1))
    listener.widen(1)
    dialler.receive(taken(listener))

    listener.receive(taken(dialler))

    assert dialler.queued(stream) == 0


def test_streams_take_turns() -> None:
    dialler = yamux(initiator=True)
    first, second = dialler.open(), dialler.open()
    dialler.send(first, bytes(300_000))
    dialler.send(second, b"small")

    taken(dialler, 1)
    taken(dialler, 1)

    assert dialler.queued(second) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_one_stream_too_many_is_reset_and_room_comes_back(kind: str) -> None:
    dialler, listener = muxer(kind, initiator=True), muxer(kind, initiator=False, streams=2)
    opened = [dialler.open() for _ in range(3)]

    events = listener.receive(taken(dialler))
    assert [event[0] for event in events] == [OPENED, OPENED]
    assert dialler.receive(taken(listener)) == [(RESET, opened[2], b"")]
    assert listener.refused == 1
    dialler.reset(opened[0])
    dialler.open()

    assert [event[0] for event in listener.receive(taken(dialler))] == [RESET, OPENED]


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_is_gone_when_both_sides_ended(kind: str) -> None:
    dialler, listener = muxer(kind, initiator=True), muxer(kind, initiator=False)
    stream = dialler.open()
    dialler.close(stream)
    ((_, theirs, _), _) = listener.receive(taken(dialler))

    listener.send(theirs, b"bye")
    listener.close(theirs)

    assert dialler.receive(taken(listener)) == [(DATA, stream, b"bye"), (ENDED, stream, b"")]
    assert not dialler.has(stream)
    assert not listener.has(theirs)


@pytest.mark.parametrize(
    "data,error",
    [
        (frame(0, 1, 1, INITIAL_WINDOW + 1), TooLarge),
        (frame(1, 1, 1, 0) + frame(0, 0, 1, INITIAL_WINDOW, bytes(INITIAL_WINDOW)) + frame(0, 0, 1, 1), TooLarge),
        (frame(1, 1, 2, 0), Undecodable),
        (frame(1, 1, 0, 0), Undecodable),
        (frame(1, 1, 1, 0) + frame(1, 1, 1, 0), Undecodable),
        (frame(1, 5, 1, 0) + frame(0, 0, 1, 1, b"x"), Undecodable),
        (frame(4, 0, 0, 0), Undecodable),
        (b"\1" + bytes(11), Undecodable),
    ],
    ids=["first frame", "second frame", "parity", "zero", "twice", "after the end", "type", "version"],
)
def test_yamux_that_breaks_the_rules_is_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        yamux().receive(data)


@pytest.mark.parametrize(
    "data,error",
    [
        (b"\x00\x00\x02\x81\x80\x40", TooLarge),
        (b"\x07\x00", Undecodable),
        (b"\x00\x00\x00\x00", Undecodable),
        (b"\x00\x00\x04\x00\x02\x01x", Undecodable),
        (b"\xff" * 20, Undecodable),
    ],
    ids=["long frame", "flag", "twice", "after the end", "no header"],
)
def test_mplex_that_breaks_the_rules_is_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        Mplex(streams=10).receive(data)


def test_data_for_a_stream_that_is_gone_is_skipped() -> None:
    listener = yamux()
    listener.receive(frame(1, 1, 1, 0))
    listener.reset(1)

    assert listener.receive(frame(0, 0, 1, 5, b"later") + frame(1, 1, 3, 0)) == [(OPENED, 3, b"")]
    assert Mplex(streams=1).receive(b"\x0a\x05later\x00\x00") == [(OPENED, 0, b"")]


def test_a_whole_mplex_message_of_the_largest_size_is_taken_as_it_comes() -> None:
    listener = Mplex(streams=10)
    listener.receive(b"\x00\x00")

    events = listener.receive(b"\x02\x80\x80\x40" + bytes(1000))

    assert events == [(DATA, 0, bytes(1000))]
    assert listener.receive(bytes(MAX_MESSAGE - 1000)) == [(DATA, 0, bytes(MAX_MESSAGE - 1000))]


@given(st.sampled_from(KINDS), st.lists(st.binary(max_size=60), max_size=8))
def test_whatever_comes_is_events_or_a_wire_error(kind: str, chunks: list[bytes]) -> None:
    side = muxer(kind, initiator=False, streams=3)
    try:
        for chunk in chunks:
            side.receive(chunk)
    except WireError:
        return
    assert side.control <= 24 * sum(map(len, chunks))
