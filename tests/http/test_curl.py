"""The HTTP client on libcurl."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from hushbell.config.gateway import HttpSettings
from hushbell.http.client import fetch
from hushbell.http.curl import CurlHttp
from hushbell.ports.http import FailureKind, HttpClient, HttpFailure, HttpRequest, HttpResponse
from hushbell.testing.mock.rules import ScriptedReply
from hushbell.testing.mock.server import MockProviders

Opened = Callable[..., CurlHttp]


@pytest.fixture
async def server() -> AsyncIterator[MockProviders]:
    async with MockProviders() as mock:
        yield mock


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    made: list[CurlHttp] = []

    def make(**settings: Any) -> CurlHttp:
        made.append(CurlHttp(HttpSettings(**settings)))
        return made[-1]

    yield make
    for http in made:
        await http.close()


async def send(http: HttpClient, requests: Sequence[HttpRequest]) -> list[HttpResponse | HttpFailure]:
    return await asyncio.gather(*(fetch(http, request) for request in requests))


def url(server: MockProviders) -> str:
    return server.plain_url + "/hook"


def post(
    url: str, body: bytes = b"{}", *, timeout: float = 2.0, headers: tuple[tuple[str, str], ...] = ()
) -> HttpRequest:
    return HttpRequest(url, headers, body, timeout)


async def test_answers_come_in_the_order_of_the_requests(server: MockProviders, opened: Opened) -> None:
    replies = iter([ScriptedReply(body=bytes([65 + n]), delay=0.02 * (3 - n)) for n in range(3)])
    server.decide = lambda _request, _push: next(replies)

    answers = await send(opened(connections=1), [post(url(server), bytes([97 + n])) for n in range(3)])

    by_request = dict(zip((one.request.body for one in server.requests), (b"A", b"B", b"C"), strict=True))
    assert [answer.body for answer in answers if isinstance(answer, HttpResponse)] == [
        by_request[b"a"],
        by_request[b"b"],
        by_request[b"c"],
    ]


async def test_a_body_over_the_cap_is_cut(server: MockProviders, opened: Opened) -> None:
    server.rule({"reply": {"body": "x" * 1_000_000}})

    [answer] = await send(opened(answer=1000), [post(url(server))])

    assert isinstance(answer, HttpResponse)
    assert (answer.status, len(answer.body)) == (200, 1000)


async def test_a_redirect_is_not_followed(server: MockProviders, opened: Opened) -> None:
    server.rule({"reply": {"status": 307, "headers": {"Location": url(server) + "/elsewhere"}}})

    [answer] = await send(opened(), [post(url(server))])

    assert isinstance(answer, HttpResponse)
    assert answer.header("location").endswith("/elsewhere")
    assert len(server.requests) == 1


async def test_what_does_not_fit_waits_its_turn(server: MockProviders, opened: Opened) -> None:
    answers = await send(opened(in_flight=2), [post(url(server)) for _ in range(20)])

    assert {type(answer) for answer in answers} == {HttpResponse}


async def test_time_in_the_queue_counts(server: MockProviders, opened: Opened) -> None:
    server.rule({"reply": {"blackhole": True}})

    answers = await send(opened(in_flight=1), [post(url(server), timeout=seconds) for seconds in (0.1, 0.02, 0.02)])

    assert answers[0] == HttpFailure(FailureKind.TIMEOUT, sent=True)
    assert answers[1:] == [HttpFailure(FailureKind.TIMEOUT, sent=False)] * 2


async def test_an_unknown_authority_is_refused_before_anything_is_sent(opened: Opened) -> None:
    async with MockProviders() as mock:
        [answer] = await send(opened(), [post(f"https://localhost:{mock.port}/3/device/aa")])

        assert answer == HttpFailure(FailureKind.TLS, sent=False)
        assert mock.count("apns") == 0


async def test_a_certificate_for_another_name_is_refused(opened: Opened) -> None:
    async with MockProviders() as mock:
        http = opened(ca_file=str(mock.ca_file), connect=mock.address)

        [answer] = await send(http, [post("https://mallory.example/3/device/aa")])

        assert answer == HttpFailure(FailureKind.TLS, sent=False)


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nx: y", "\ud800"])
async def test_a_header_that_would_break_the_request_is_not_sent(
    server: MockProviders, opened: Opened, value: str
) -> None:
    answers = await send(opened(), [post(url(server), headers=(("x", value),)), post(url(server))])

    assert answers[0] == HttpFailure(FailureKind.UNKNOWN, sent=False)
    assert isinstance(answers[1], HttpResponse)
    assert len(server.requests) == 1


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "nonsense://x", ""])
async def test_only_http_is_spoken(opened: Opened, url: str) -> None:
    [answer] = await send(opened(), [post(url)])

    assert isinstance(answer, HttpFailure)
    assert not answer.sent


async def test_a_cancelled_call_leaves_nothing_behind(server: MockProviders, opened: Opened) -> None:
    http = opened(in_flight=1)
    server.rule({"reply": {"blackhole": True}, "times": 1})
    call = asyncio.ensure_future(send(http, [post(url(server)), post(url(server))]))
    while not server.requests:  # noqa: ASYNC110 - the other side knows no event
        await asyncio.sleep(0.001)

    call.cancel()
    await asyncio.gather(call, return_exceptions=True)

    assert isinstance((await send(http, [post(url(server))]))[0], HttpResponse)
    assert len(server.requests) == 2


async def test_a_closed_client_refuses(server: MockProviders, opened: Opened) -> None:
    http = opened()
    await send(http, [post(url(server))])
    await http.close()

    assert await send(http, [post(url(server))]) == [HttpFailure(FailureKind.REFUSED, sent=False)]
