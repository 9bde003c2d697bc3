"""The server's side of HTTP/2 keeps to RFC 9113, whatever bytes come."""

from collections.abc import Callable
from typing import Any

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.testing.mock.h2 import PREFACE, MockHttp2, frame
from hushbell.testing.mock.http import Request, Response


class Wire:
    """A transport that remembers."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


def connection(answer: Callable[[Request], Response], **changes: Any) -> tuple[MockHttp2, Wire]:
    wire = Wire()
    given: dict[str, Any] = {"number": 1, "streams": 2, "is_certified": False}
    return MockHttp2(wire, answer, **given | changes), wire  # type: ignore[arg-type]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_any_bytes_end_a_connection_in_order_or_are_taken(data: bytes, cuts: list[int]) -> None:
    http, _ = connection(lambda request: Response())
    http.feed(PREFACE)

    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        http.feed(data[start:end])


@pytest.mark.parametrize(
    "sent",
    [
        *(b"GET / HTTP/1.1\r\n\r\n" + bytes(20), PREFACE + frame(4, 0, 0, b"cut"), PREFACE + frame(1, 4, 2, b"\x83")),
        *(PREFACE + frame(0, 1, 1) + frame(1, 4, 1, b"\xff" * 9), PREFACE + b"\0\xff\xff" + bytes(6)),
        *(PREFACE + frame(9, 4, 1, b"\x83"), PREFACE + frame(1, 0, 1, b"\x83") + frame(6, 0, 0, bytes(8))),
        *(PREFACE + frame(0, 1, 1, b"x"), PREFACE + frame(3, 0, 1, bytes(4)), PREFACE + frame(6, 0, 0, b"short")),
        *(PREFACE + frame(8, 0, 0, bytes(4)), PREFACE + frame(8, 0, 1, b"\0\0\0\1")),
        PREFACE + frame(1, 0x0C, 1, b"\x09\x83"),
    ],
)
def test_a_client_that_breaks_the_protocol_gets_a_goaway(sent: bytes) -> None:
    http, wire = connection(lambda request: Response())

    http.feed(sent)

    assert wire.closed
    assert wire.written.endswith(frame(7, 0, 0, bytes(7) + b"\1"))


def test_a_request_in_pieces_is_one_request() -> None:
    got: list[Request] = []
    http, _ = connection(lambda request: got.append(request) or Response())  # type: ignore[func-returns-value]
    block = hpack.Encoder().encode([(":method", "POST"), (":path", "/x"), (":authority", "h"), ("a", "b")])
    sent = (
        PREFACE
        + frame(1, 0, 1, block[:3])
        + frame(9, 4, 1, block[3:])
        + frame(0, 8, 1, b"\2he\0\0")
        + frame(0, 1, 1, b"y")
    )

    for byte in sent:
        http.feed(bytes([byte]))

    assert [(one.method, one.path, one.headers, one.body) for one in got] == [
        ("POST", "/x", {"host": "h", "a": "b"}, b"hey")
    ]


def test_more_streams_than_allowed_are_refused() -> None:
    http, wire = connection(lambda request: Response(delay=1.0))
    block = hpack.Encoder().encode([(":method", "POST"), (":path", "/x")])

    http.feed(PREFACE + b"".join(frame(1, 4, stream, block) for stream in (1, 3, 5)))

    assert wire.written.endswith(frame(3, 0, 5, b"\0\0\0\7"))


@pytest.mark.parametrize("length", ["1", "3", "x", ""])
def test_a_body_of_another_length_than_announced_ends_the_connection(length: str) -> None:
    got: list[Request] = []
    http, wire = connection(lambda request: got.append(request) or Response())  # type: ignore[func-returns-value]
    block = hpack.Encoder().encode([(":method", "POST"), (":path", "/x"), ("content-length", length)])

    http.feed(PREFACE + frame(1, 4, 1, block) + frame(0, 1, 1, b"{}"))

    assert wire.closed
    assert got == []


def test_what_follows_a_refused_stream_is_no_violation() -> None:
    http, wire = connection(lambda request: Response(delay=1.0))
    block = hpack.Encoder().encode([(":method", "POST"), (":path", "/x")])
    http.feed(PREFACE + frame(1, 0, 1, block[:1]) + frame(9, 4, 1, block[1:]))

    http.go_away()
    http.feed(frame(1, 4, 3, block) + frame(0, 1, 3, b"x") + frame(3, 0, 3, bytes(4)))

    assert not wire.closed
    assert wire.written.endswith(frame(3, 0, 3, b"\0\0\0\7"))
