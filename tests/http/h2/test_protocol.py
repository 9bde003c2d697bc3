"""The HTTP/2 client as bytes in, bytes out: what a peer may do, and what ends its connection."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded
from h2.settings import SettingCodes
from hpack import Decoder, Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from hushbell.http.h2.frames import Code, Setting, Type, frame
from hushbell.http.h2.frames import settings as settings_frame
from hushbell.http.h2.hpack import Fields, Literals, path
from hushbell.http.h2.protocol import H2Protocol
from hushbell.http.h2.stream import Bounds, H2Stream, Result
from hushbell.ports.http import FailureKind, HttpFailure, HttpResponse

UNKNOWN = HttpFailure(FailureKind.CLOSED, sent=True)
FINE = b"\x88"


@dataclass
class Waiting:
    """Whoever waits for results."""

    results: list[tuple[int, Result]] = field(default_factory=list)

    def on_response(self, key: int, result: Result) -> None:
        self.results.append((key, result))


def stream(number: int = 0, body: bytes = b"{}", *, token: str = "bearer a", more: Fields = ()) -> H2Stream:
    headers = [("authorization", token), ("apns-topic", "a.b"), *more]
    authorization, block = Literals().encode(headers)
    return H2Stream(Waiting(), number, 10.0, "POST", path(f"/3/device/{number:064x}"), authorization, block, body)


def opened(count: int = 1, *, hello: bytes | None = None, **bounds: int) -> H2Protocol:
    core = H2Protocol("api.push.apple.com", Bounds(**bounds))
    core.receive(settings_frame({}) if hello is None else hello, 0.0)
    for number in range(count):
        core.open(stream(number))
    core.data_to_send()
    return core


def results(core: H2Protocol) -> list[tuple[int, int | HttpFailure]]:
    return [
        (stream.key, result.status if isinstance(result, HttpResponse) else result) for stream, result in core.results
    ]


def headers(sid: int, *fields: tuple[str, str], status: str = "200", end: bool = True) -> bytes:
    block = Encoder().encode([(":status", status), *fields])
    return frame(Type.HEADERS, 4 | end, sid, block)


# What is sent, judged by another implementation.


class Judge:
    """A server made of the h2 library."""

    def __init__(self, core: H2Protocol, **settings: int) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.asked: list[dict[str, str]] = []
        self.bodies: dict[int, bytes] = {}
        self.ended: list[int] = []
        self.talk(core)
        self.h2.update_settings({SettingCodes[name]: value for name, value in settings.items()})
        self.talk(core)

    def talk(self, core: H2Protocol) -> None:
        """Let both read what the other has written, until they are silent."""
        for _ in range(10_000):
            out, said = core.data_to_send(), self.h2.data_to_send()
            if not out and not said:
                return
            core.receive(said, 0.0)
            for event in self.h2.receive_data(out):
                self._on(event)
        raise AssertionError("they never stop talking")

    def _on(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self.asked.append(dict(event.headers))  # type: ignore[arg-type]
        elif isinstance(event, DataReceived):
            self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
            if event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            self.ended.append(event.stream_id)


@pytest.mark.parametrize("table", [0, 1, 60, 100, 200, 300, 4095, 4096, 65_536])
def test_requests_are_understood_whatever_table_the_peer_keeps(table: int) -> None:
    core = H2Protocol("api.push.apple.com", Bounds())
    judge = Judge(core, HEADER_TABLE_SIZE=table)

    for number in range(6):
        core.open(stream(number, token="bearer " + "ab"[number // 3] * 180, more=[("apns-id", str(number))]))
        judge.talk(core)

    assert [asked[":path"] for asked in judge.asked] == [f"/3/device/{number:064x}" for number in range(6)]
    assert {asked[":authority"] for asked in judge.asked} == {"api.push.apple.com"}
    assert [asked["authorization"][7] for asked in judge.asked] == list("aaabbb")
    assert [asked["apns-id"] for asked in judge.asked] == list("012345")
    assert judge.ended == [1, 3, 5, 7, 9, 11]


def test_a_table_that_shrinks_and_grows_is_followed() -> None:
    core = H2Protocol("api.push.apple.com", Bounds())
    judge = Judge(core)

    for number, table in enumerate((4096, 0, 4096, 100, 2000, 0)):
        judge.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: table})
        judge.talk(core)
        core.open(stream(2 * number))
        core.open(stream(2 * number + 1))
        judge.talk(core)

    assert len(judge.asked) == 12
    assert {asked["authorization"] for asked in judge.asked} == {"bearer a"}


def test_many_credentials_share_the_table() -> None:
    core = H2Protocol("api.push.apple.com", Bounds())
    judge = Judge(core)

    tokens = [f"bearer {number % 30:0200d}" for number in range(90)]
    for number, token in enumerate(tokens):
        core.open(stream(number, token=token))
    judge.talk(core)

    assert [asked["authorization"] for asked in judge.asked] == tokens


def test_the_constant_headers_cost_a_byte_each() -> None:
    core = opened(0)
    core.open(stream(1))
    first = len(core.data_to_send())
    core.open(stream(1))

    assert first - len(core.data_to_send()) == len("api.push.apple.com") + len("bearer a") + 2


def test_a_body_waits_for_the_windows() -> None:
    core = H2Protocol("a", Bounds())
    judge = Judge(core, INITIAL_WINDOW_SIZE=7)

    bodies = [bytes([65 + number]) * 5000 for number in range(30)]
    for number, body in enumerate(bodies):
        core.open(stream(number, body))
    judge.talk(core)

    assert [judge.bodies[1 + 2 * number] for number in range(30)] == bodies


def test_a_window_made_smaller_may_be_negative() -> None:
    core = H2Protocol("a", Bounds())
    Judge(core, INITIAL_WINDOW_SIZE=1000)
    core.open(stream(0, b"x" * 3000))
    out = core.data_to_send()

    core.receive(settings_frame({Setting.INITIAL_WINDOW_SIZE: 10}), 0.0)  # 1000 are sent: the window is -990
    core.receive(frame(Type.WINDOW_UPDATE, 0, 1, struct.pack(">I", 990)), 0.0)
    nothing = core.data_to_send()
    core.receive(frame(Type.WINDOW_UPDATE, 0, 1, struct.pack(">I", 1)), 0.0)

    assert out.endswith(b"x" * 1000)
    assert b"x" not in nothing
    assert core.data_to_send() == frame(Type.DATA, 0, 1, b"x")


def test_an_empty_body_ends_with_its_headers() -> None:
    core = H2Protocol("a", Bounds())
    judge = Judge(core)

    core.open(stream(0, b""))
    judge.talk(core)

    assert judge.ended == [1]
    assert judge.bodies == {}


def test_headers_longer_than_a_frame_are_continued() -> None:
    core = H2Protocol("a", Bounds())
    judge = Judge(core, MAX_HEADER_LIST_SIZE=100_000)

    core.open(stream(0, more=[(f"x-{number}", "y" * 3000) for number in range(15)]))
    judge.talk(core)

    assert judge.asked[0]["x-14"] == "y" * 3000
    assert judge.ended == [1]


def test_nothing_is_begun_before_the_peer_has_said_what_it_allows() -> None:
    core = H2Protocol("a", Bounds())

    assert core.room() == 0

    core.receive(settings_frame({Setting.MAX_CONCURRENT_STREAMS: 2}), 0.0)
    assert core.room() == 2


def test_a_connection_that_carried_enough_is_not_used_any_more() -> None:
    core = opened(3, requests=3)

    assert core.going_away
    assert core.room() == 0


# What is received.


def test_the_usual_answer() -> None:
    core = opened(2)

    core.receive(headers(3, ("apns-id", "b")) + frame(Type.HEADERS, 5, 1, FINE), 0.0)

    assert results(core) == [(1, 200), (0, 200)]
    answer = core.results[0][1]
    assert isinstance(answer, HttpResponse)
    assert (answer.header("apns-id"), tuple(answer.headers)) == ("b", (("apns-id", "b"),))


@pytest.mark.parametrize("padding", [b"", b"\x05"], ids=["bare", "padded"])
@pytest.mark.parametrize("status", ["200", "201", "400", "410", "503", "999"])
def test_an_answer_in_parts(status: str, padding: bytes) -> None:
    core = opened()
    block = Encoder().encode([(":status", status), ("retry-after", "7"), ("x", "y" * 400)])
    flag, zeros = (8, bytes(5)) if padding else (0, b"")

    core.receive(frame(Type.HEADERS, flag, 1, padding + block[:9] + zeros), 0.0)
    core.receive(frame(Type.CONTINUATION, 0, 1, block[9:9]) + frame(Type.CONTINUATION, 4, 1, block[9:]), 0.0)
    core.receive(frame(Type.DATA, flag, 1, padding + b'{"reason"' + zeros), 0.0)
    core.receive(frame(Type.DATA, 0, 1, b":1}") + headers(1, ("trailer", "x"), status="200"), 0.0)

    [(_, answer)] = core.results
    assert isinstance(answer, HttpResponse)
    assert (answer.status, answer.header("retry-after"), answer.body) == (int(status), "7", b'{"reason":1}')


def test_interim_answers_are_passed_over() -> None:
    core = opened()

    core.receive(headers(1, status="103", end=False) + headers(1, status="100", end=False), 0.0)
    core.receive(headers(1, status="404"), 0.0)

    assert results(core) == [(0, 404)]


def test_a_table_size_update_in_front_is_no_status() -> None:
    core = opened()

    core.receive(frame(Type.HEADERS, 5, 1, b"\x20" + Encoder().encode([(":status", "429")])), 0.0)

    assert results(core) == [(0, 429)]


def test_a_body_over_the_cap_is_cut_and_its_stream_ended() -> None:
    core = opened(answer=10)

    core.receive(headers(1, end=False) + frame(Type.DATA, 0, 1, b"x" * 11), 0.0)

    [(_, answer)] = core.results
    assert isinstance(answer, HttpResponse)
    assert answer.body == b"x" * 10
    assert core.data_to_send() == frame(Type.RST_STREAM, 0, 1, struct.pack(">I", Code.CANCEL))


def test_room_in_the_connections_window_is_given_back() -> None:
    core = opened(40, window=100_000, answer=16_000)

    for sid in range(1, 80, 2):
        core.receive(headers(sid, end=False) + frame(Type.DATA, 1, sid, b"x" * 15_000), 0.0)

    assert results(core) == [(number, 200) for number in range(40)]
    assert not core.failed


def test_goaway_gives_back_what_was_not_looked_at() -> None:
    core = opened(4)

    core.receive(frame(Type.GOAWAY, 0, 0, struct.pack(">II", 3, 0)) + headers(1) + headers(3), 0.0)

    assert [stream.key for stream in core.unprocessed] == [2, 3]
    assert results(core) == [(0, 200), (1, 200)]
    assert core.going_away
    assert not core.streams


def test_a_graceful_goaway_waits_for_everything() -> None:
    core = opened(2)

    core.receive(frame(Type.GOAWAY, 0, 0, struct.pack(">II", 2**31 - 1, 0)), 0.0)

    assert core.going_away
    assert len(core.streams) == 2


def test_a_refused_stream_is_given_back_and_any_other_reset_is_unknown() -> None:
    core = opened(3)

    for sid, code in ((1, Code.REFUSED_STREAM), (3, Code.NO_ERROR), (5, Code.CANCEL)):
        core.receive(frame(Type.RST_STREAM, 0, sid, struct.pack(">I", code)), 0.0)

    assert [stream.key for stream in core.unprocessed] == [0]
    assert results(core) == [(1, UNKNOWN), (2, UNKNOWN)]


def test_a_stream_refused_after_its_answer_began_is_unknown() -> None:
    core = opened(1)

    core.receive(headers(1, end=False), 0.0)
    core.receive(frame(Type.RST_STREAM, 0, 1, struct.pack(">I", Code.REFUSED_STREAM)), 0.0)

    assert results(core) == [(0, UNKNOWN)]
    assert not core.unprocessed


def test_what_is_left_when_the_connection_ends_is_unknown() -> None:
    core = opened(2)
    core.receive(headers(3), 0.0)

    core.connection_lost()

    assert results(core) == [(1, 200), (0, UNKNOWN)]


def test_an_answer_that_comes_too_late_is_passed_over() -> None:
    core = opened(200)
    for stream_ in list(core.streams.values()):
        core.cancel(stream_)

    for sid in range(1, 400, 2):
        core.receive(headers(sid, end=False) + frame(Type.DATA, 1, sid, b"late"), 0.0)

    assert results(core) == []
    assert not core.failed


def test_a_ping_is_answered_and_an_answer_is_not() -> None:
    core = opened()
    core.ping()
    asked = core.data_to_send()

    core.receive(frame(Type.PING, 1, 0, bytes(8)) + frame(Type.PING, 0, 0, b"12345678"), 0.0)

    assert asked == frame(Type.PING, 0, 0, bytes(8))
    assert core.data_to_send() == frame(Type.PING, 1, 0, b"12345678")


def u32(value: int) -> bytes:
    return struct.pack(">I", value)


ILLEGAL: dict[str, bytes] = {
    "a frame too long": struct.pack(">IBI", 16_385 << 8, 0, 1),
    "DATA of no stream": frame(0, 0, 0, b"x"),
    "DATA of a stream of the peer's": frame(0, 0, 2, b"x"),
    "DATA of a stream never opened": frame(0, 0, 99, b"x"),
    "DATA that is all padding": headers(1, end=False) + frame(0, 8, 1, b"\x05abcd"),
    "DATA padded without padding": headers(1, end=False) + frame(0, 8, 1),
    "HEADERS of a stream never opened": headers(99),
    "HEADERS too short for a priority": frame(1, 0x24, 1, b"abcd"),
    "HEADERS interrupted": frame(1, 0, 1, FINE) + frame(6, 0, 0, bytes(8)),
    "HEADERS interrupted by an answer": frame(1, 0, 1, FINE) + headers(3),
    "CONTINUATION of nothing": frame(9, 4, 1, FINE),
    "CONTINUATION of another stream": frame(1, 0, 1, FINE) + frame(9, 4, 3, b""),
    "a block that is no HPACK": frame(1, 5, 1, b"\x3f\xff\xff\xff\xff\xff"),
    "a table that we have forbidden": frame(1, 5, 1, b"\x3f\xe1\x1f\x88"),
    "an entry of an empty table": frame(1, 5, 1, b"\xbe"),
    "endless headers": frame(1, 1, 1, FINE) + b"".join(frame(9, 0, 1, bytes(16_000)) for _ in range(5)),
    "headers in endless empty frames": frame(1, 1, 1, FINE) + frame(9, 0, 1) * 1100,
    "PRIORITY of no stream": frame(2, 0, 0, bytes(5)),
    "RST_STREAM too long": frame(3, 0, 1, bytes(5)),
    "RST_STREAM of a stream never opened": frame(3, 0, 99, bytes(4)),
    "SETTINGS of a stream": frame(4, 0, 1),
    "SETTINGS cut": frame(4, 0, 0, bytes(5)),
    "SETTINGS acknowledged with values": frame(4, 1, 0, bytes(6)),
    "a frame size too small": settings_frame({Setting.MAX_FRAME_SIZE: 16_383}),
    "a frame size too large": settings_frame({Setting.MAX_FRAME_SIZE: 1 << 24}),
    "a window too large": settings_frame({Setting.INITIAL_WINDOW_SIZE: 1 << 31}),
    "a server that wants pushes": settings_frame({Setting.ENABLE_PUSH: 1}),
    "PUSH_PROMISE": frame(5, 4, 1, u32(2) + FINE),
    "PING of a stream": frame(6, 0, 1, bytes(8)),
    "PING too short": frame(6, 0, 0, bytes(7)),
    "GOAWAY of a stream": frame(7, 0, 1, bytes(8)),
    "GOAWAY too short": frame(7, 0, 0, bytes(7)),
    "WINDOW_UPDATE too short": frame(8, 0, 0, bytes(3)),
    "WINDOW_UPDATE of nothing": frame(8, 0, 0, u32(0)),
    "a connection's window that overflows": frame(8, 0, 0, u32(2**31 - 1)),
    "a stream's window that overflows by settings": (
        frame(8, 0, 1, u32(2**31 - 65_536)) + settings_frame({Setting.INITIAL_WINDOW_SIZE: 2**31 - 1})
    ),
    "a flood of PING": frame(6, 0, 0, bytes(8)) * 1100,
    "a flood of SETTINGS": settings_frame({Setting.INITIAL_WINDOW_SIZE: 5}) * 110,
    "a flood of empty DATA": headers(1, end=False) + frame(0, 0, 1) * 1100,
    "a flood of PRIORITY": frame(2, 0, 1, bytes(5)) * 1100,
    "a flood of unknown frames": frame(77, 0, 1) * 1100,
    "a flood of resets": headers(1) + frame(3, 0, 1, bytes(4)) * 1100,
    "a flood of interim answers": headers(1, status="100", end=False) * 1100,
    "a flood of window updates": frame(8, 0, 0, u32(1)) * 1100,
}


@pytest.mark.parametrize("said", ILLEGAL.values(), ids=ILLEGAL)
def test_what_is_illegal_ends_the_connection_and_leaves_no_request_answered(said: bytes) -> None:
    core = opened(2, window=65_535, nuisance=1000)

    core.receive(said, 0.0)

    assert core.failed
    assert core.data_to_send().rfind(frame(Type.GOAWAY, 0, 0, u32(0) + u32(core.failed.code))) >= 0
    core.connection_lost()
    assert [result for index, result in results(core) if index == 1] == [UNKNOWN]


MALFORMED: dict[str, bytes] = {
    "a body without headers": frame(0, 1, 1, b"x"),
    "no status": frame(1, 5, 1, Encoder().encode([("a", "b")])),
    "no header at all": frame(1, 5, 1),
    "a status of letters": headers(1, status="2OO"),
    "a status of four digits": headers(1, status="2000"),
    "a status below 100": headers(1, status="099"),
    "two statuses": headers(1, (":status", "200"), status="201"),
    "a request's pseudo-header": headers(1, (":path", "/"), status="201"),
    "a name in upper case": frame(1, 5, 1, b"\x08\x03201" + b"\0\x01A\x01b"),
    "an interim answer that ends": headers(1, status="100"),
    "switching protocols": headers(1, status="101", end=False),
    "headers amid a body": headers(1, end=False) + headers(1, end=False),
    "too many headers": frame(1, 5, 1, Encoder().encode([(":status", "201")]) + b"\x90" * 3000),
    "a window widened by nothing": frame(8, 0, 1, u32(0)),
    "a window that overflows": frame(8, 0, 1, u32(2**31 - 1)),
    "more than the stream's window": headers(1, end=False) + frame(0, 0, 1, bytes(102)),
}


@pytest.mark.parametrize("said", MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_ends_its_stream_alone(said: bytes) -> None:
    core = opened(2, answer=100)

    core.receive(said + headers(3), 0.0)

    assert not core.failed
    assert results(core) == [(0, UNKNOWN), (1, 200)]
    assert core.data_to_send()[:9] == frame(Type.RST_STREAM, 0, 1, bytes(4))[:9]


@pytest.mark.parametrize("first", [headers(1), frame(4, 1, 0), frame(6, 0, 0, bytes(8)), b"HTTP/1.1 400 Bad Request"])
def test_whoever_does_not_begin_with_settings_is_no_peer(first: bytes) -> None:
    core = opened(0, hello=first)

    assert core.failed
    assert not core.ready


def test_pings_every_minute_are_no_flood() -> None:
    core = opened()

    for minute in range(5000):
        core.receive(frame(6, 0, 0, bytes(8)), 60.0 * minute)

    assert not core.failed


def test_what_many_requests_bring_before_their_answers_is_no_flood() -> None:
    core = opened(0, streams=1000)
    for turn in range(3):
        for number in range(1000):
            core.open(stream(number, b""))
        first = 2000 * turn + 1
        for sid in range(first, first + 2000, 2):
            core.receive(frame(8, 0, 0, u32(1)) + frame(8, 0, sid, u32(1)), turn * 11.0)
        for sid in range(first, first + 2000, 2):
            core.receive(headers(sid), turn * 11.0)

    assert not core.failed
    assert len(core.results) == 3000


def test_updates_of_windows_that_hold_a_body_back_are_no_flood() -> None:
    core = opened(0, hello=settings_frame({Setting.INITIAL_WINDOW_SIZE: 0}))
    core.open(stream(0, b"x" * 5000))

    for _ in range(5000):
        core.receive(frame(8, 0, 1, u32(1)), 0.0)

    assert not core.failed
    assert core.data_to_send().count(b"x") >= 5000


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "ä", "\ud800"])
def test_a_header_that_would_break_the_request_is_not_encoded(value: str) -> None:
    for name in ("x", "authorization"):
        with pytest.raises(ValueError, match="header"):
            Literals().encode([(name, value)])


@pytest.mark.parametrize("name", ["", ":path", "a b", "a:b", "ä", "connection", "Transfer-Encoding", "host", "te"])
def test_a_name_that_is_none_is_not_encoded(name: str) -> None:
    with pytest.raises(ValueError, match="header"):
        Literals().encode([(name, "x")])


@given(
    st.lists(
        st.tuples(st.from_regex(r"[a-z0-9-]{1,300}", fullmatch=True), st.from_regex(r"[!-~]{0,700}", fullmatch=True))
    )
)
def test_literals_decode_to_what_was_encoded(fields: list[tuple[str, str]]) -> None:
    named = [(name, value) for name, value in fields if name not in ("connection", "host", "te", "upgrade")]

    authorization, block = Literals().encode([*named, ("authorization", "x")])

    assert authorization == "x"
    decoded = Decoder(max_header_list_size=1 << 30).decode(block, raw=True)
    assert [(name.decode(), value.decode()) for name, value in decoded] == named


# The same bytes give the same results in whatever pieces they arrive.

PIECES: Sequence[bytes] = (
    *(ILLEGAL[name] for name in ILLEGAL if len(ILLEGAL[name]) < 100),
    *(said for said in MALFORMED.values() if len(said) < 1000),
    headers(3),
    headers(5, ("apns-id", "x" * 100)),
    headers(7, status="410", end=False),
    frame(0, 1, 7, b'{"reason": "Unregistered"}'),
    headers(9, status="103", end=False),
    frame(3, 0, 9, u32(7)),
    frame(7, 0, 0, u32(9) + u32(0)),
    frame(6, 0, 0, b"12345678"),
    settings_frame({Setting.INITIAL_WINDOW_SIZE: 3, Setting.HEADER_TABLE_SIZE: 7}),
    frame(8, 0, 0, u32(1000)),
)


def outcome(said: bytes, cuts: Sequence[int]) -> tuple[object, ...]:
    core = opened(5, hello=settings_frame({}))
    places = [0, *sorted(cut % (len(said) + 1) for cut in cuts), len(said)]
    for start, end in pairwise(places):
        core.receive(said[start:end], 0.0)
    done = [(one.key, result) for one, result in core.results]
    told = [
        (index, one.status, tuple(one.headers), one.body) if isinstance(one, HttpResponse) else one
        for index, one in done
    ]
    unprocessed = [one.key for one in core.unprocessed]
    return (
        told,
        unprocessed,
        sorted(core.streams),
        core.going_away,
        core.failed and core.failed.code,
        core.data_to_send(),
    )


@settings(max_examples=200)
@given(
    st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=30)), max_size=8),
    st.lists(st.integers(0, 2000), max_size=12),
)
def test_pieces_do_not_matter(said: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(said)

    assert outcome(whole, cuts) == outcome(whole, ())


@pytest.mark.parametrize("make", [lambda said: range(len(said))])
def test_byte_by_byte(make: Callable[[bytes], Sequence[int]]) -> None:
    whole = b"".join(PIECES[-10:])

    assert outcome(whole, make(whole)) == outcome(whole, ())
