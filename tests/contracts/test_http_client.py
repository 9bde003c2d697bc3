"""What every HTTP client promises, against servers that speak HTTP/2 rightly or wrongly."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from h2.settings import SettingCodes

from hushbell.config.gateway import HttpSettings
from hushbell.http.client import fetch, submit_request
from hushbell.http.curl import CurlHttp
from hushbell.http.h2.client import H2Client
from hushbell.ports.http import (
    FailureKind,
    HttpClient,
    HttpFailure,
    HttpRequest,
    HttpResponse,
    RequestItem,
    RequestTemplate,
)
from hushbell.testing.strict_h2 import Conversation, Http2Peer

ADAPTERS: dict[str, Callable[[HttpSettings], HttpClient]] = {"own": H2Client, "libcurl": CurlHttp}
URL = "https://api.push.apple.com/3/device/aabb?x=1"
TEMPLATE = RequestTemplate("https://api.push.apple.com/3/device/aa", (), 3.0)

Opened = Callable[..., HttpClient]
Result = HttpResponse | HttpFailure


@pytest.fixture
async def peer() -> AsyncIterator[Http2Peer]:
    async with Http2Peer() as made:
        yield made


@pytest.fixture(params=ADAPTERS)
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Opened]:
    made: list[HttpClient] = []

    def make(peer: Http2Peer, **settings: Any) -> HttpClient:
        given = {"connect": peer.address, "ca_file": str(peer.ca_file)} | settings
        made.append(ADAPTERS[request.param](HttpSettings(**given)))
        return made[-1]

    yield make
    for http in made:
        await http.close()


async def send(http: HttpClient, requests: Sequence[HttpRequest]) -> list[HttpResponse | HttpFailure]:
    return await asyncio.gather(*(fetch(http, request) for request in requests))


def post(body: bytes = b"{}", *, timeout: float = 3.0, url: str = URL, **headers: Any) -> HttpRequest:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return HttpRequest(url, named, body, timeout)


class Collector:
    """A handler that keeps results, and calls somebody for each."""

    def __init__(self, on_result: Callable[[Any, Result], None] | None = None) -> None:
        self.results: dict[Any, Result] = {}
        self._on_result = on_result

    def on_response(self, key: Any, result: Result) -> None:
        assert key not in self.results, "reported twice"
        self.results[key] = result
        if self._on_result is not None:
            self._on_result(key, result)

    async def wait(self, count: int) -> dict[Any, Result]:
        async with asyncio.timeout(5):
            while len(self.results) < count:  # noqa: ASYNC110 - callbacks set no event
                await asyncio.sleep(0.001)
        return self.results


def told(results: Any) -> list[int | HttpFailure]:
    return [result.status if isinstance(result, HttpResponse) else result for result in results]


async def test_a_request_arrives_as_it_was_written(peer: Http2Peer, opened: Opened) -> None:
    [answer] = await send(opened(peer), [post(b'{"aps":{}}', apns_id="7", authorization="bearer x", apns_topic="a.b")])

    [asked] = peer.asked
    assert isinstance(answer, HttpResponse)
    assert asked.body == b'{"aps":{}}'
    expected = {":method": "POST", ":path": "/3/device/aabb?x=1", ":authority": "api.push.apple.com"}
    expected |= {":scheme": "https", "apns-id": "7", "authorization": "bearer x", "apns-topic": "a.b"}
    assert expected.items() <= asked.headers.items()
    assert peer.faults == []


async def test_an_answer_is_given_back_whole(peer: Http2Peer, opened: Opened) -> None:
    peer.behave = lambda conversation, stream: conversation.answer(
        stream, 410, (("apns-id", "q"), ("x", "1"), ("x", "2")), b'{"reason":"Unregistered"}'
    )

    [answer] = await send(opened(peer), [post()])

    assert isinstance(answer, HttpResponse)
    assert (answer.status, answer.body) == (410, b'{"reason":"Unregistered"}')
    assert list(answer.headers) == [("apns-id", "q"), ("x", "1"), ("x", "2")]


async def test_headers_of_a_success_can_be_read(peer: Http2Peer, opened: Opened) -> None:
    peer.behave = lambda conversation, stream: conversation.answer(stream, 200, (("apns-id", "q"),))

    [answer] = await send(opened(peer), [post()])

    assert isinstance(answer, HttpResponse)
    assert (answer.status, answer.header("apns-id"), answer.body) == (200, "q", b"")


async def test_a_get_has_no_body(peer: Http2Peer, opened: Opened) -> None:
    request = HttpRequest(URL, (), b"", 2.0, method="GET")

    assert told(await send(opened(peer), [request])) == [200]
    assert [(asked.headers[":method"], bytes(asked.body)) for asked in peer.asked] == [("GET", b"")]


async def test_answers_come_in_the_order_of_the_requests(peer: Http2Peer, opened: Opened) -> None:
    def behave(conversation: Conversation, stream: int) -> None:
        asyncio.get_running_loop().call_later(
            0.05 - len(peer.asked) * 0.002, conversation.answer, stream, 200, (), bytes(peer.asked[-1].body)
        )

    peer.behave = behave

    answers = await send(opened(peer, connections=1), [post(b"%d" % number) for number in range(20)])

    bodies = [answer.body for answer in answers if isinstance(answer, HttpResponse)]
    assert bodies == [b"%d" % number for number in range(20)]
    assert peer.connections == 1


async def test_requests_are_answered_once_each_and_never_at_once(peer: Http2Peer, opened: Opened) -> None:
    http, handler = opened(peer), Collector()
    for number in range(30):
        submit_request(http, post(b"%d" % number), handler, number)
    submit_request(http, post(url="nonsense://x"), handler, 30)
    assert handler.results == {}

    answers = list((await handler.wait(31)).values())

    assert sorted(map(str, told(answers)))[:30] == ["200"] * 30
    assert [answer.sent for answer in answers if isinstance(answer, HttpFailure)] == [False]


async def test_a_handler_may_submit_again(peer: Http2Peer, opened: Opened) -> None:
    http = opened(peer)

    def submit_next(number: int, _result: Result) -> None:
        if number < 9:
            submit_request(http, post(), handler, number + 1)

    handler = Collector(submit_next)
    submit_request(http, post(), handler, 0)

    assert told((await handler.wait(10)).values()) == [200] * 10
    assert len(peer.asked) == 10


async def test_a_body_over_the_cap_is_cut(peer: Http2Peer, opened: Opened) -> None:
    peer.behave = lambda conversation, stream: conversation.answer(stream, 400, (), b"x" * 1_000_000)

    [answer] = await send(opened(peer, answer=1000), [post()])

    assert isinstance(answer, HttpResponse)
    assert (answer.status, answer.body) == (400, b"x" * 1000)


async def test_large_bodies_pass_small_windows(opened: Opened) -> None:
    async with Http2Peer(settings={SettingCodes.INITIAL_WINDOW_SIZE: 50}) as peer:
        http = opened(peer, connections=1)
        await send(http, [post(b"")])  # until it is told, libcurl assumes more
        peer.asked.clear()

        answers = await send(http, [post(bytes([65 + number]) * 3000) for number in range(20)])

        assert told(answers) == [200] * 20
        assert sorted(bytes(asked.body) for asked in peer.asked) == [bytes([65 + n]) * 3000 for n in range(20)]
        assert peer.faults == []


async def test_streams_stay_within_what_the_server_allows(opened: Opened) -> None:
    async with Http2Peer(settings={SettingCodes.MAX_CONCURRENT_STREAMS: 3}) as peer:
        peer.behave = lambda conversation, stream: conversation.later(0.005, stream)

        http = opened(peer, connections=1)
        await send(http, [post()])  # until it is told, libcurl assumes a hundred

        assert told(await send(http, [post() for _ in range(40)])) == [200] * 40
        assert peer.side_by_side == 3
        assert peer.faults == []


async def test_no_answer_in_time_is_sent_and_unknown(peer: Http2Peer, opened: Opened) -> None:
    http = opened(peer)
    await send(http, [post()])  # connects, however long that takes
    peer.behave = lambda conversation, stream: None
    before = time.monotonic()

    answers = await send(http, [post(timeout=0.2), post(timeout=0.1)])

    assert answers == [HttpFailure(FailureKind.TIMEOUT, sent=True)] * 2
    assert 0.15 < time.monotonic() - before < 1.0


async def test_a_late_answer_disturbs_nobody(peer: Http2Peer, opened: Opened) -> None:
    peer.behave = lambda conversation, stream: conversation.later(0.15 if len(peer.asked) == 1 else 0.01, stream)
    http = opened(peer, connections=1)
    await send(http, [post()])  # connects, however long that takes
    await asyncio.sleep(0)
    peer.asked.clear()

    assert told(await send(http, [post(timeout=0.05)])) == [HttpFailure(FailureKind.TIMEOUT, sent=True)]
    assert told(await send(http, [post() for _ in range(20)])) == [200] * 20


async def test_a_closed_port_is_refused_unsent(peer: Http2Peer, opened: Opened) -> None:
    await peer.refuse()

    assert told(await send(opened(peer), [post(), post()])) == [HttpFailure(FailureKind.REFUSED, sent=False)] * 2


async def test_a_certificate_for_another_name_is_refused_unsent(peer: Http2Peer, opened: Opened) -> None:
    [answer] = await send(opened(peer), [post(url="https://mallory.example/3/device/aa")])

    assert answer == HttpFailure(FailureKind.TLS, sent=False)
    assert peer.asked == []


async def test_an_unknown_authority_is_refused_unsent(peer: Http2Peer, opened: Opened) -> None:
    [answer] = await send(opened(peer, ca_file=""), [post()])

    assert answer == HttpFailure(FailureKind.TLS, sent=False)


async def test_a_client_shows_its_certificate(opened: Opened) -> None:
    async with Http2Peer(wants_certificate=True) as peer:
        certified = opened(peer, certificate_file=str(peer.certificate_file))

        assert told(await send(certified, [post()])) == [200]


async def test_a_client_without_a_certificate_is_not_served(opened: Opened) -> None:
    async with Http2Peer(wants_certificate=True) as peer:
        [answer] = await send(opened(peer), [post()])

        assert isinstance(answer, HttpFailure)
        assert peer.asked == []


@pytest.mark.parametrize("name", ["x", "authorization"])
@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nx: y", "\ud800"])
async def test_a_header_that_would_break_the_request_is_not_sent(
    peer: Http2Peer, opened: Opened, name: str, value: str
) -> None:
    answers = await send(opened(peer), [HttpRequest(URL, ((name, value),), b"", 3.0), post()])

    assert told(answers) == [HttpFailure(FailureKind.UNKNOWN, sent=False), 200]
    assert len(peer.asked) == 1


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "nonsense://x", "", "https://", "https:///x"]
)
async def test_what_is_no_address_is_not_asked(peer: Http2Peer, opened: Opened, url: str) -> None:
    [answer] = await send(opened(peer, connect=""), [post(url=url)])

    assert isinstance(answer, HttpFailure)
    assert not answer.sent


async def test_what_does_not_fit_waits_its_turn(peer: Http2Peer, opened: Opened) -> None:
    peer.behave = lambda conversation, stream: conversation.later(0.002, stream)

    assert told(await send(opened(peer, in_flight=2), [post() for _ in range(20)])) == [200] * 20
    assert peer.side_by_side <= 2


async def test_too_many_waiting_are_refused_unsent(peer: Http2Peer, opened: Opened) -> None:
    handler = Collector()
    opened(peer, waiting=3).submit(TEMPLATE, [(handler, number, "", (), b"{}") for number in range(5)])

    results = await handler.wait(5)

    assert (
        told([results[number] for number in range(5)]) == [200] * 3 + [HttpFailure(FailureKind.REFUSED, sent=False)] * 2
    )
    assert len(peer.asked) == 3


async def test_time_in_the_queue_counts(peer: Http2Peer, opened: Opened) -> None:
    http = opened(peer, in_flight=1)
    await send(http, [post()])
    peer.behave = lambda conversation, stream: None

    answers = await send(http, [post(timeout=seconds) for seconds in (0.1, 0.02, 0.02)])

    assert answers[0] == HttpFailure(FailureKind.TIMEOUT, sent=True)
    assert answers[1:] == [HttpFailure(FailureKind.TIMEOUT, sent=False)] * 2


async def test_a_cancelled_call_leaves_nothing_behind(peer: Http2Peer, opened: Opened) -> None:
    http = opened(peer, in_flight=1)
    peer.behave = lambda conversation, stream: None if len(peer.asked) == 1 else conversation.answer(stream)
    call = asyncio.ensure_future(send(http, [post(), post()]))
    while not peer.asked:  # noqa: ASYNC110 - the other side knows no event
        await asyncio.sleep(0.001)

    call.cancel()
    await asyncio.gather(call, return_exceptions=True)

    assert told(await send(http, [post()])) == [200]
    assert len(peer.asked) == 2


async def test_closing_ends_what_is_under_way(peer: Http2Peer, opened: Opened) -> None:
    http = opened(peer, in_flight=1)
    peer.behave = lambda conversation, stream: None
    call = asyncio.ensure_future(send(http, [post(), post()]))
    while not peer.asked:  # noqa: ASYNC110 - the other side knows no event
        await asyncio.sleep(0.001)

    await http.close()

    closed = [HttpFailure(FailureKind.CLOSED, sent=sent) for sent in (True, False)]
    assert await call == closed
    assert await send(http, [post()]) == [HttpFailure(FailureKind.REFUSED, sent=False)]


async def test_it_works_again_when_the_server_does(peer: Http2Peer, opened: Opened) -> None:
    http = opened(peer)
    await send(http, [post()])

    await peer.refuse()
    down = await send(http, [post(), post()])
    await peer.listen()

    assert all(isinstance(result, HttpFailure) for result in down)
    assert told(await send(http, [post() for _ in range(5)])) == [200] * 5


# Differential: whatever the server does, both clients tell the same, and neither calls sent what was refused.


def cut(conversation: Conversation, stream: int) -> None:
    conversation.abort()


def refused_once(conversation: Conversation, stream: int) -> None:
    if len(conversation.peer.asked) % 2:
        conversation.reset(stream, 7)
    else:
        conversation.answer(stream)


def reset(code: int) -> Callable[[Conversation, int], None]:
    return lambda conversation, stream: conversation.reset(stream, code)


def reset_amid_answer(conversation: Conversation, stream: int) -> None:
    conversation.h2.send_headers(stream, [(":status", "200")])
    conversation.h2.send_data(stream, b"half")
    conversation.reset(stream, 2)


def cut_amid_answer(conversation: Conversation, stream: int) -> None:
    conversation.h2.send_headers(stream, [(":status", "200")])
    conversation.flush()
    asyncio.get_running_loop().call_later(0.01, conversation.abort)


def half_closed(conversation: Conversation, stream: int) -> None:
    assert conversation.transport is not None
    conversation.transport.close()


def slow_data(conversation: Conversation, stream: int) -> None:
    conversation.h2.send_headers(stream, [(":status", "503")])
    conversation.flush()
    loop = asyncio.get_running_loop()
    for number in range(10):
        loop.call_later(0.005 * number, conversation.frame, 0, number == 9, stream, b"%d" % number)


def goaway_every_fifth(conversation: Conversation, stream: int) -> None:
    if conversation.requests < 5:
        conversation.answer(stream)
    elif conversation.requests == 5:
        conversation.answer(stream)
        conversation.go_away(stream)


def graceful_goaway(conversation: Conversation, stream: int) -> None:
    if conversation.requests == 5:
        conversation.go_away(2**31 - 1)
    conversation.later(0.01, stream)


def settings_storm(conversation: Conversation, stream: int) -> None:
    for size in range(5):
        conversation.frame(4, 0, 0, struct.pack(">HI", 4, 65_535 + size))
    conversation.answer(stream)


def endless_settings(conversation: Conversation, stream: int) -> None:
    for _ in range(3000):
        conversation.frame(4, 0, 0, struct.pack(">HI", 4, 65_535))


def huge_headers(conversation: Conversation, stream: int) -> None:
    conversation.answer(stream, 503, tuple((f"x-{n}", "y" * 4000) for n in range(12)))


def continuation_flood(conversation: Conversation, stream: int) -> None:
    conversation.frame(1, 1, stream, b"\x88")
    for _ in range(200):
        conversation.frame(9, 0, stream, bytes(9000))


def too_large_a_frame(conversation: Conversation, stream: int) -> None:
    conversation.frame(0, 0, stream, b"x" * 70_000)


def garbage(conversation: Conversation, stream: int) -> None:
    conversation.frame(1, 5, stream, b"\xff\xff\xff\xff")


def plain_text(conversation: Conversation, stream: int) -> None:
    conversation.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def interim(conversation: Conversation, stream: int) -> None:
    conversation.h2.send_headers(stream, [(":status", "103"), ("link", "x")])
    conversation.answer(stream, 200, (("apns-id", "q"),))


def trailers(conversation: Conversation, stream: int) -> None:
    conversation.h2.send_headers(stream, [(":status", "400")])
    conversation.h2.send_data(stream, b"{}", pad_length=7)
    conversation.h2.send_headers(stream, [("trailer", "x")], end_stream=True)


def dripping(conversation: Conversation, stream: int) -> None:
    conversation.h2.send_headers(stream, [(":status", "200"), ("apns-id", "q")], end_stream=True)
    for at, byte in enumerate(data := conversation.h2.data_to_send()):
        assert at < len(data)
        conversation.raw(bytes([byte]))


def push_promise(conversation: Conversation, stream: int) -> None:
    conversation.frame(5, 4, stream, struct.pack(">I", 2) + b"\x82")


def silence(conversation: Conversation, stream: int) -> None:
    return


BEHAVIOURS: dict[str, tuple[Callable[[Conversation, int], None], set[object]]] = {
    "connection cut after the request": (cut, {True}),
    "REFUSED_STREAM every other time": (refused_once, {200, False}),
    "REFUSED_STREAM always": (reset(7), {False, True}),
    "reset NO_ERROR": (reset(0), {True}),
    "reset INTERNAL_ERROR": (reset(2), {True}),
    "reset CANCEL": (reset(8), {True}),
    "reset amid the answer": (reset_amid_answer, {True}),
    "cut amid the answer": (cut_amid_answer, {True}),
    "half-closed": (half_closed, {True}),
    "slow DATA": (slow_data, {503}),
    "GOAWAY every fifth": (goaway_every_fifth, {200}),
    "GOAWAY that waits": (graceful_goaway, {200}),
    "SETTINGS storm": (settings_storm, {200}),
    "endless SETTINGS": (endless_settings, {True}),
    "huge headers": (huge_headers, {True, 503}),
    "endless CONTINUATION": (continuation_flood, {True}),
    "a frame too large": (too_large_a_frame, {True}),
    "headers that are none": (garbage, {True}),
    "HTTP/1.1 over HTTP/2": (plain_text, {True}),
    "an interim answer": (interim, {200}),
    "trailers and padding": (trailers, {400}),
    "an answer byte by byte": (dripping, {200}),
    "a push": (push_promise, {True}),
    "a black hole": (silence, {True}),
}


@pytest.mark.parametrize("name", BEHAVIOURS)
async def test_whatever_the_server_does_is_told_truly(peer: Http2Peer, opened: Opened, name: str) -> None:
    peer.behave, expected = BEHAVIOURS[name]
    http = opened(peer, connections=2)
    before = time.monotonic()

    results = await send(http, [post(b"%d" % number, timeout=0.5) for number in range(12)])

    assert time.monotonic() - before < 10.0  # deadlines are half a second; a busy machine adds its own
    found = {result.status if isinstance(result, HttpResponse) else result.sent for result in results}
    assert found <= expected
    assert peer.faults == []


@pytest.mark.parametrize("alpn", [("http/1.1",), ()], ids=["http/1.1", "none"])
async def test_a_server_without_http2_gets_none(opened: Opened, alpn: tuple[str, ...]) -> None:
    async with Http2Peer(alpn=alpn) as peer:
        [answer] = await send(opened(peer), [post(timeout=0.5)])

        assert isinstance(answer, HttpFailure)
        assert peer.asked == []


async def test_a_server_that_never_greets_costs_the_deadline(peer: Http2Peer, opened: Opened) -> None:
    peer.greet = lambda conversation: None
    peer.deaf = True

    [answer] = await send(opened(peer), [post(timeout=0.2)])

    assert isinstance(answer, HttpFailure)
    assert answer.kind is FailureKind.TIMEOUT


VARYING = [(), ("apns-id",), ("apns-id", "apns-collapse-id"), ("z", "y", "x")]


@pytest.mark.parametrize("varying", VARYING, ids=len)
async def test_requests_of_a_template_arrive_as_if_each_had_been_sent_alone(
    peer: Http2Peer, opened: Opened, varying: tuple[str, ...]
) -> None:
    headers = (("authorization", "bearer x"), ("a", "b"))
    template = RequestTemplate("https://api.push.apple.com/3/device/", headers, 3.0, varying)
    http, handler = opened(peer), Collector()

    for round_ in range(2):  # the second one finds everything encoded
        items: list[RequestItem] = [
            (handler, round_ * 3 + at, f"aa{round_ * 3 + at}", [f"{name}-{at}" for name in varying], b"{%d}" % at)
            for at in range(3)
        ]
        http.submit(template, items)
        assert len(handler.results) == round_ * 3, "nothing is reported before the call returns"
        await handler.wait(round_ * 3 + 3)

    assert told(handler.results.values()) == [200] * 6
    asked = sorted(
        (one.headers[":path"], bytes(one.body), [one.headers[name] for name in varying]) for one in peer.asked
    )
    assert asked == [
        (f"/3/device/aa{number}", b"{%d}" % (number % 3), [f"{name}-{number % 3}" for name in varying])
        for number in range(6)
    ]
    assert {(one.headers["authorization"], one.headers["a"]) for one in peer.asked} == {("bearer x", "b")}
    assert peer.faults == []


@pytest.mark.parametrize(
    "end,value", [("a b", "1"), ("a\r\nb", "1"), ("a", "1\r\nx: y"), ("a", "\u00e9"), ("\u00e9", "1")]
)
async def test_what_no_request_may_hold_is_not_sent_and_stops_no_other(
    peer: Http2Peer, opened: Opened, end: str, value: str
) -> None:
    template = RequestTemplate("https://api.push.apple.com/3/device/", (), 3.0, ("apns-collapse-id", "apns-id"))
    handler = Collector()

    opened(peer).submit(
        template,
        [
            (handler, 1, "a", ("c", "1"), b"{}"),
            (handler, 2, end, ("c", value), b"{}"),
            (handler, 3, "a", ("c", "1"), b"{}"),
        ],
    )
    results = await handler.wait(3)

    assert told([results[number] for number in (1, 2, 3)]) == [200, HttpFailure(FailureKind.UNKNOWN, sent=False), 200]
    assert len(peer.asked) == 2


async def test_a_cancelled_handler_is_not_called(peer: Http2Peer, opened: Opened) -> None:
    http, cancelled, other = opened(peer), Collector(), Collector()
    peer.behave = lambda conversation, stream: conversation.later(0.05, stream)
    http.submit(TEMPLATE, [(cancelled, 1, "", (), b"{}"), (other, 2, "", (), b"{}")])
    while not peer.asked:  # noqa: ASYNC110 - the other side knows no event
        await asyncio.sleep(0.001)

    http.cancel(cancelled)

    assert told((await other.wait(1)).values()) == [200]
    assert cancelled.results == {}
