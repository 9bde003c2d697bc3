"""Requests whose head was seen before are taken as if each had been parsed."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hushbell.api.http.head_cache import MAX_HEAD_BYTES, MAX_HEADS, DirectHandler, HeadCache, RequestHead
from hushbell.api.http.server import HttpConnection, HttpServer
from hushbell.api.http.types import HttpLimits, Respond

BODIES = (b"", b"{}", b"ab", b"\r\n\r\n", b"POST /api/push HTTP/1.1\r\n\r\n")


def request(body: bytes = b"{}", *lines: str, path: str = "/api/push", length: int | None = None) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: gateway", f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*head, *lines]).encode() + b"\r\n\r\n" + body


class Transport:
    """Remembers what was written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None: ...


class Forgetful(HeadCache):
    """Knows no head."""

    def find(self, data: bytes) -> tuple[RequestHead, bytes] | None:
        return None


def connection(heads: HeadCache, direct: DirectHandler) -> HttpConnection:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    limits = HttpLimits()
    server = HttpServer(
        path=b"/api/push", direct=direct, app=app, limits=limits, own_headers=b"", count=lambda name: None
    )
    server.head_cache = heads
    made = HttpConnection(server)
    made.connection_made(Transport())  # type: ignore[arg-type]
    return made


async def told(heads: HeadCache, pieces: list[bytes]) -> list[tuple[Any, bytes]]:
    """Return heads and bodies in the order in which they were handled."""
    handled: list[tuple[Any, bytes]] = []

    def direct(head: RequestHead, body: bytes, respond: Respond) -> None:
        handled.append(((head.method, head.url, tuple(head.headers), head.keeps_alive), body))
        respond(200, b"{}")

    taking = connection(heads, direct)
    for piece in pieces:
        taking.data_received(piece)
        for _ in range(8):
            await asyncio.sleep(0)
    return handled


requests = st.builds(
    request,
    st.sampled_from(BODIES),
    st.sampled_from(("X-A: 1", "X-A: 2", "Connection: keep-alive", "Expect: 100-continue", "Authorization: Bearer k")),
    path=st.sampled_from(("/api/push", "/api/push", "/other")),
)


@given(st.lists(requests, max_size=6), st.lists(st.integers(1, 400), max_size=4))
def test_what_is_handled_does_not_depend_on_what_was_seen(sent: list[bytes], cuts: list[int]) -> None:
    """However the bytes arrive: whole requests, several at once, or in pieces."""
    stream = b"".join(sent)
    places = sorted({cut for cut in cuts if cut < len(stream)})
    split = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True) if a < b]

    heads = HeadCache()

    async def both(pieces: list[bytes]) -> None:
        parsed = await told(Forgetful(), pieces)
        assert parsed == await told(heads, pieces)
        assert parsed == await told(heads, pieces), "and again, now that they are known"

    asyncio.run(both(sent))
    asyncio.run(both(split))


def remembered(data: bytes, body: bytes = b"{}", headers: list[tuple[bytes, bytes]] | None = None) -> HeadCache:
    heads = HeadCache()
    usual = [(b"host", b"gateway"), (b"content-length", b"%d" % len(body))]
    heads.remember(
        data, RequestHead(b"POST", b"/api/push", usual if headers is None else headers, keeps_alive=True), body
    )
    return heads


def test_a_known_head_is_found_with_any_body_of_its_length() -> None:
    found = remembered(request(b"{}")).find(request(b"[]"))

    assert found is not None
    assert found[1] == b"[]"


def test_more_or_less_than_one_request_is_parsed() -> None:
    heads = remembered(request(b"{}"))

    assert heads.find(request(b"{}") + b"P") is None
    assert heads.find(request(b"{}")[:-1]) is None
    assert heads.find(request(b"{}", length=3)) is None
    assert heads.find(b"") is None


def test_unusual_heads_are_not_remembered() -> None:
    chunked = [(b"content-length", b"2"), (b"transfer-encoding", b"chunked")]
    assert remembered(request(), headers=chunked).find(request()) is None
    assert remembered(request(), headers=[(b"content-length", b"2")] * 2).find(request()) is None
    assert remembered(request(), headers=[(b"content-length", b"02")]).find(request()) is None
    assert remembered(request() + b"x").find(request()) is None
    long = request(b"{}", "X-Long: " + "a" * MAX_HEAD_BYTES)
    assert remembered(long).find(long) is None


def test_few_heads_are_remembered() -> None:
    heads = HeadCache()
    for number in range(3 * MAX_HEADS):
        body = b"{}"
        data = request(body, f"X-A: {number}")
        heads.remember(data, RequestHead(b"POST", b"/api/push", [(b"content-length", b"2")], keeps_alive=True), body)

    assert len(heads._known) <= MAX_HEADS
