"""The RPC's bytes: those that others write are read, ours are those that others read, and hostile ones are refused."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.errors import TooLarge, Undecodable, WireError
from hushbell.waku.relay.rpc import (
    Control,
    RelayMessage,
    RelayRpc,
    TopicFrames,
    control_frames,
    decode,
    message_frame,
    topic_tail,
)
from hushbell.waku.relay.settings import RelayLimits

BOUNDS = RelayLimits()
ID = bytes(range(32))


def read(text: str, limits: RelayLimits = BOUNDS) -> RelayRpc:
    data = bytes.fromhex(re.sub(r"\s", "", text))
    return decode(data, 0, len(data), limits)


def test_a_message_is_written_as_other_implementations_write_it() -> None:
    # RPC { publish: [ { data: "abc", topic: "/t" } ] } behind its length
    assert message_frame(b"abc", topic_tail("/t")).hex() == "0b1209120361626322022f74"


def test_control_is_written_as_other_implementations_write_it() -> None:
    control = Control(
        subscriptions=[(True, "/t"), (False, "/u")], graft=["/t"], prune=[("/u", 60)], ihave=[("/t", [ID])], iwant=[ID]
    )

    said, offered, asked = control_frames(control, 256)

    assert said.hex() == (
        "20"  # 32 bytes
        "0a06" "0801" "12022f74"
        "0a06" "0800" "12022f75"
        "1a0e"  # control
        "1a04" "0a022f74"
        "2206" "0a022f75" "183c"
    )  # fmt: skip
    assert offered.hex() == "2a1a280a260a022f741220" + ID.hex()
    assert asked.hex() == "261a2412220a20" + ID.hex()


@pytest.mark.parametrize(
    "text,message",
    [
        ("1209 1203616263 22022f74", RelayMessage(b"abc", "/t", signed=False)),
        ("1209 22022f74 1203616263", RelayMessage(b"abc", "/t", signed=False)),
        ("120a 0a00 1202 6162 22022f74", RelayMessage(b"ab", "/t", signed=True)),  # from, though empty
        ("120a 1a00 1202 6162 22022f74", RelayMessage(b"ab", "/t", signed=True)),  # seqno
        ("120a 2a00 1202 6162 22022f74", RelayMessage(b"ab", "/t", signed=True)),  # signature
        ("120a 3200 1202 6162 22022f74", RelayMessage(b"ab", "/t", signed=True)),  # key
        ("1205 1203616263", RelayMessage(b"abc", None, signed=False)),
        ("120d 1203616263 22022f74 22022f75", RelayMessage(b"abc", None, signed=False)),
        ("120b 1203616263 22022f74 3800", RelayMessage(b"abc", "/t", signed=False)),  # a field of the future
    ],
)
def test_a_message_is_read_whatever_its_order(text: str, message: RelayMessage) -> None:
    assert read(text).messages == [message]


@pytest.mark.parametrize(
    "text",
    [
        "0b 0c",  # a group
        "0e 00",  # no such wire type
        "00 00",  # no such field
        "12 05 61",  # leaves the RPC
        "12 03 12 09 61",  # leaves the message
        "12 ff ff ff ff ff ff ff ff ff ff 01",  # a length without end
        "12",
        "0a 04 12 02 ff fe",  # a topic that is no text
        "1206 2204 ff fe fd fc",
        "1a04 1a02 0a05",
    ],
)
def test_what_is_no_rpc_is_refused(text: str) -> None:
    with pytest.raises(Undecodable):
        read(text)


def test_what_later_versions_say_is_skipped() -> None:
    rpc = read("1a26 2a24 0a22 0a20" + ID.hex() + "7a00 2001 2d01020304 3101020304 05060708")

    assert rpc == RelayRpc()


def test_recommended_peers_are_counted_and_not_followed() -> None:
    rpc = read("1a0c 220a 0a022f74 1202 0a00 183c")

    assert rpc.control.prune == [("/t", 60)]
    assert rpc.control.exchanged == 1


def test_ids_that_cannot_be_ours_are_left_out() -> None:
    rpc = read("1a08 1206 0a04 61626364" + "1a0a 0a08 0a022f74 1202 6162")

    assert (rpc.control.iwant, rpc.control.ihave) == ([], [("/t", [])])


def test_a_topic_with_too_long_a_name_is_none_of_ours() -> None:
    rpc = read("0a06 0801 12022f74", RelayLimits(topic_name=1))

    assert rpc.control.subscriptions == [(True, "")]


@pytest.mark.parametrize(
    "text,limits",
    [
        ("1200" * 3, RelayLimits(messages_per_rpc=2)),
        ("0a00" * 3, RelayLimits(subscriptions_per_rpc=2)),
        ("1a06 1a00 2200 0a00", RelayLimits(control_per_rpc=2)),
        ("2000" * 5, RelayLimits(fields_per_rpc=4)),
        ("1206 2000 2000 2000", RelayLimits(fields_per_rpc=3)),
    ],
)
def test_more_than_anybody_needs_is_refused(text: str, limits: RelayLimits) -> None:
    with pytest.raises(TooLarge):
        read(text, limits)


def test_ids_beyond_the_bound_are_left_out() -> None:
    rpc = read("1a48 1222 0a20" + ID.hex() + "1222 0a20" + ID.hex(), RelayLimits(ids=1))

    assert rpc.control.iwant == [ID]


topics = st.text(max_size=20)
ids = st.lists(st.binary(min_size=32, max_size=32), max_size=5)
controls = st.builds(
    Control,
    subscriptions=st.lists(st.tuples(st.booleans(), topics), max_size=4),
    ihave=st.lists(st.tuples(topics, ids), max_size=3),
    iwant=ids,
    graft=st.lists(topics, max_size=3),
    prune=st.lists(st.tuples(topics, st.integers(0, 2**32)), max_size=3),
)


@given(controls, st.integers(1, 3))
def test_what_is_written_is_read(control: Control, batch: int) -> None:
    found = Control()

    for frame in control_frames(control, batch):
        start = next(place for place in range(1, 6) if frame[place - 1] < 0x80)
        read = decode(frame, start, len(frame), BOUNDS).control
        found.subscriptions += read.subscriptions
        found.ihave += read.ihave
        found.iwant += read.iwant
        found.graft += read.graft
        found.prune += read.prune

    assert found == control


@given(st.binary(max_size=200))
def test_any_bytes_are_an_rpc_or_an_error_of_ours(data: bytes) -> None:
    try:
        decode(data, 0, len(data), BOUNDS)
    except WireError:
        return


@given(st.integers(0, 70_000), st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=3, unique=True))
def test_a_shape_is_known_for_every_size(size: int, names: list[str]) -> None:
    topic_frames = TopicFrames()
    for name in names:
        topic_frames.add(name)
    frame = message_frame(bytes(size), topic_tail(names[0]))
    start = next(place for place in range(1, 6) if frame[place - 1] < 0x80)

    found: list[Any] = [
        topic_frames.tails.get(frame[-tail:])
        for head, inner, tail in topic_frames.shapes_of(len(frame) - start)
        if frame.startswith(head, start) and start + inner + size + tail == len(frame)
    ]

    assert names[0] in found


def test_a_forgotten_topic_has_no_shape() -> None:
    topic_frames = TopicFrames()
    topic_frames.add("/t")
    topic_frames.shapes_of(100)

    topic_frames.remove("/t")

    assert (topic_frames.tails, topic_frames.heads) == ({}, {})
    assert topic_frames.shapes_of(100) == ()


def test_shapes_are_bounded() -> None:
    topic_frames = TopicFrames()
    topic_frames.add("/t")

    for size in range(10_000):
        topic_frames.shapes_of(size)

    assert len(topic_frames.heads) <= 4096
