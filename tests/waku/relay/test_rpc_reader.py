"""Reading one peer: the same messages however they are cut into chunks, and no more of them in a turn than is fair."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.errors import TooLarge, Undecodable, WireError
from hushbell.waku.byte_total import ByteTotal
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.relay.rpc import Control, RelayRpc, TopicFrames, control_frames, message_frame, topic_tail, varint
from hushbell.waku.relay.rpc_reader import RpcReader
from hushbell.waku.relay.settings import RelayLimits

TOPIC = "/waku/2/rs/16/32"
TAIL = topic_tail(TOPIC)


class RpcHandler:
    def __init__(self) -> None:
        self.topic_frames = TopicFrames()
        self.topic_frames.add(TOPIC)
        self.frames: list[bytes] = []
        self.fast = 0
        self.rpcs: list[RelayRpc] = []
        self.bad = 0

    def message(self, peer: PeerId, topic: str, data: bytes, frame: bytes) -> None:
        assert message_frame(data, topic_tail(topic)) == frame
        self.fast += 1
        self.frames.append(frame)

    def rpc(self, peer: PeerId, rpc: RelayRpc) -> None:
        self.rpcs.append(rpc)
        for message in rpc.messages:
            self.frames.append(message_frame(message.data, topic_tail(message.topic or "")))

    def malformed(self, peer: PeerId) -> None:
        self.bad += 1


class Reading:
    """A reader with everything around it; ``turn`` is the next turn of the loop."""

    def __init__(self, world: Any, limits: RelayLimits | None = None, partial: ByteTotal | None = None) -> None:
        self.stream, _ = world.pair(PeerId(b"us"), PeerId(b"them"))
        self.sink = RpcHandler()
        self.partial = partial or ByteTotal()
        self.closed = 0
        self._due: list[Callable[[], None]] = []
        self.reader = RpcReader(
            self.stream,
            self.sink,
            limits=limits or RelayLimits(),
            partial=self.partial,
            call_soon=lambda call: self._due.append(call),  # noqa: PLW0108 - the list is another one in each turn
            on_close=self._close,
        )
        self.reader.start()

    def _close(self) -> None:
        self.closed += 1

    def turn(self) -> None:
        due, self._due = self._due, []
        for call in due:
            call()


class _World:
    @staticmethod
    def pair(mine: PeerId, theirs: PeerId) -> tuple[Any, Any]:
        class Stream:
            peer = theirs
            receiver: Any = None

            def reset(self) -> None:
                raise AssertionError

        return Stream(), None


@pytest.fixture
def reading(world: Any) -> Callable[..., Reading]:
    return lambda *arguments, **more: Reading(world, *arguments, **more)


HELLO = control_frames(Control(subscriptions=[(True, TOPIC)]), 1)[0]
sizes = st.one_of(st.integers(0, 300), st.integers(16_300, 16_500))


@given(
    st.lists(st.one_of(sizes, st.none()), max_size=12),
    st.lists(st.integers(1, 20_000), max_size=30),
    st.integers(1, 4),
    st.integers(1, 40_000),
)
def test_chunks_do_not_matter(pieces: list[int | None], cuts: list[int], messages: int, size: int) -> None:
    made = Reading(_World(), RelayLimits(tick_messages=messages, tick_bytes=size))
    frames = [HELLO if piece is None else message_frame(bytes(piece), TAIL) for piece in pieces]
    data = b"".join(frames)

    for cut in [*cuts, len(data)]:
        chunk, data = data[:cut], data[cut:]
        for _ in range(60):
            if made.stream.receiver is None:
                made.turn()
        if chunk:
            made.stream.receiver(chunk)
    for _ in range(60):
        made.turn()

    assert made.sink.frames == [frame for frame in frames if frame is not HELLO]
    assert len(made.sink.rpcs) == pieces.count(None)
    assert made.sink.fast == len(pieces) - pieces.count(None)
    assert made.partial.size == 0


@given(st.binary(max_size=60), st.integers(1, 10))
def test_the_fast_way_and_the_careful_way_read_the_same(garbage: bytes, cut: int) -> None:
    body = message_frame(b"abcdef" * 30, TAIL)[2:]
    spoiled = body[: len(garbage)] + garbage[:cut] + body[len(garbage) + cut :]
    found: list[list[bytes] | None] = []
    for topic_frames in (True, False):
        made = Reading(_World())
        if not topic_frames:
            made.sink.topic_frames.remove(TOPIC)
        try:
            made.reader.feed(varint(len(spoiled)) + spoiled)
        except WireError:
            found.append(None)
        else:
            found.append(made.sink.frames)

    assert found[0] == found[1]


@pytest.mark.parametrize(
    "head,error",
    [
        (b"\x81\x00", Undecodable),
        (b"\x80\x80\x00", Undecodable),
        (varint(4 * 1024 * 1024 + 1), TooLarge),
        (b"\xff" * 5, TooLarge),
        (b"\x02\x0b\x0c", Undecodable),
    ],
)
def test_a_reader_ends_at_what_is_no_rpc(reading: Any, head: bytes, error: type) -> None:
    made = reading()

    with pytest.raises(error):
        made.reader.feed(head)

    assert (made.sink.bad, made.closed) == (1, 1)
    made.reader.feed(message_frame(b"abc", TAIL))
    made.turn()
    assert made.sink.frames == []


def test_a_flood_waits_for_the_next_turns_and_its_stream_is_not_read(reading: Any) -> None:
    made = reading(RelayLimits(tick_messages=10))
    frame = message_frame(b"abc", TAIL)

    made.reader.feed(frame * 25)
    seen = [len(made.sink.frames)]
    paused = made.stream.receiver is None
    for _ in range(3):
        made.turn()
        seen.append(len(made.sink.frames))

    assert seen == [10, 20, 25, 25]
    assert paused
    assert made.stream.receiver is not None


def test_large_messages_wait_too(reading: Any) -> None:
    made = reading(RelayLimits(tick_bytes=1000))

    made.reader.feed(message_frame(bytes(700), TAIL) * 4)
    seen = [len(made.sink.frames)]
    for _ in range(2):
        made.turn()
        seen.append(len(made.sink.frames))

    assert seen == [2, 4, 4]


def test_an_rpc_that_is_longer_than_a_turn_passes(reading: Any) -> None:
    made = reading(RelayLimits(tick_bytes=1000))
    frame = message_frame(bytes(50_000), TAIL)

    for place in range(0, len(frame), 3000):
        made.stream.receiver(frame[place : place + 3000])
        made.turn()

    assert made.sink.frames == [frame]


def test_an_rpc_may_bring_more_messages_than_a_turn_has_room_for_once(reading: Any) -> None:
    made = reading(RelayLimits(tick_messages=3))
    inner = message_frame(b"abc", TAIL)[1:]

    made.reader.feed(varint(10 * len(inner)) + 10 * inner + message_frame(b"abc", TAIL))

    assert len(made.sink.frames) == 10
    made.turn()
    assert len(made.sink.frames) == 11


def test_unfinished_rpcs_of_all_peers_are_bounded_but_everybody_has_a_share(reading: Any) -> None:
    partial = ByteTotal()
    limits = RelayLimits(partial=10_000, share=100)
    first, second = reading(limits, partial), reading(limits, partial)
    frame = message_frame(bytes(20_000), TAIL)

    first.reader.feed(frame[:9_990])
    second.reader.feed(frame[:90])
    with pytest.raises(TooLarge):
        first.reader.feed(frame[9_990:10_100])

    assert partial.size == 90
    second.reader.close()
    assert partial.size == 0


def test_a_reader_that_was_closed_in_the_middle_hands_over_nothing_more(reading: Any) -> None:
    made = reading()
    frame = message_frame(b"abc", TAIL)
    made.sink.message = lambda *_: made.reader.close()

    made.reader.feed(frame * 3 + frame[:4])
    made.turn()

    assert (made.sink.frames, made.closed, made.partial.size) == ([], 1, 0)


def test_a_flood_that_turns_out_to_be_garbage_resets_the_stream(reading: Any) -> None:
    made = reading(RelayLimits(tick_messages=1))

    made.reader.feed(message_frame(b"abc", TAIL) + b"\x02\x0b\x0c")
    made.turn()

    assert made.stream.gone
    assert made.sink.bad == 1
