"""The own HTTP/2 client: its connections, its patience, and what it does with both."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from h2.settings import SettingCodes

from hushbell.config.gateway import HttpSettings
from hushbell.http.client import fetch, submit_request
from hushbell.http.h2.client import MAX_ORIGINS, H2Client
from hushbell.http.h2.pool import ConnectionTimeouts
from hushbell.http.h2.stream import Bounds
from hushbell.ports.http import FailureKind, HttpClient, HttpFailure, HttpRequest, HttpResponse
from hushbell.testing.strict_h2 import Conversation, Http2Peer

URL = "https://api.push.apple.com/3/device/aa"
Opened = Callable[..., H2Client]


@pytest.fixture
async def peer() -> AsyncIterator[Http2Peer]:
    async with Http2Peer() as made:
        yield made


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    made: list[H2Client] = []

    def make(
        peer: Http2Peer, *, timeouts: ConnectionTimeouts | None = None, bounds: Bounds | None = None, **settings: Any
    ) -> H2Client:
        given = HttpSettings(**{"connect": peer.address, "ca_file": str(peer.ca_file)} | settings)
        made.append(H2Client(given, timeouts=timeouts, bounds=bounds, jitter=lambda: 0.0))
        return made[-1]

    yield make
    for http in made:
        await http.close()


async def send(http: HttpClient, requests: Sequence[HttpRequest]) -> list[HttpResponse | HttpFailure]:
    return await asyncio.gather(*(fetch(http, request) for request in requests))


def post(body: bytes = b"{}", *, timeout: float = 3.0, url: str = URL) -> HttpRequest:
    return HttpRequest(url, (("apns-topic", "a"),), body, timeout)


def told(results: Any) -> list[int | HttpFailure]:
    return [result.status if isinstance(result, HttpResponse) else result for result in results]


async def reaches(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not found():  # noqa: ASYNC110 - the other side knows no event
            await asyncio.sleep(0.002)


async def test_another_connection_is_opened_when_one_is_full(opened: Opened) -> None:
    async with Http2Peer(settings={SettingCodes.MAX_CONCURRENT_STREAMS: 10}) as peer:
        peer.behave = lambda conversation, stream: conversation.later(0.05, stream)

        assert told(await send(opened(peer, connections=4), [post() for _ in range(100)])) == [200] * 100
        assert 2 <= peer.connections <= 4
        assert peer.faults == []


async def test_nothing_waits_behind_a_slow_server(peer: Http2Peer, opened: Opened) -> None:
    peer.behave = lambda conversation, stream: conversation.later(0.2, stream)
    http, loop = opened(peer), asyncio.get_running_loop()
    began = loop.time()

    assert told(await send(http, [post() for _ in range(128)])) == [200] * 128
    assert loop.time() - began < 0.6  # one after the other connection, but never one after the other request
    assert peer.connections == 2


async def test_one_connection_carries_what_it_can(peer: Http2Peer, opened: Opened) -> None:
    peer.behave = lambda conversation, stream: conversation.later(0.01, stream)
    http = opened(peer)

    for _ in range(5):
        assert told(await send(http, [post() for _ in range(80)])) == [200] * 80

    assert peer.connections == 1


async def test_what_goaway_turns_away_is_sent_once_more_elsewhere(peer: Http2Peer, opened: Opened) -> None:
    def behave(conversation: Conversation, stream: int) -> None:
        if len(peer.asked) == 20:
            conversation.answer(stream)
            conversation.go_away(stream)
        elif len(peer.asked) < 20 or peer.connections > 1:
            conversation.answer(stream)

    peer.behave = behave

    assert told(await send(opened(peer), [post(b"%d" % number) for number in range(60)])) == [200] * 60
    assert peer.connections == 2


async def test_a_server_that_refuses_for_ever_is_asked_three_times(peer: Http2Peer, opened: Opened) -> None:
    peer.behave = lambda conversation, stream: conversation.reset(stream, 7)

    assert told(await send(opened(peer), [post()])) == [HttpFailure(FailureKind.CLOSED, sent=False)]
    assert len(peer.asked) == 3


async def test_a_dead_connection_is_noticed_by_its_silence(peer: Http2Peer, opened: Opened) -> None:
    http = opened(peer, timeouts=ConnectionTimeouts(ping_interval=0.05, pong=0.05))
    await send(http, [post()])
    peer.deaf = True

    [answer] = await send(http, [post(timeout=5.0)])
    peer.deaf = False

    assert answer == HttpFailure(FailureKind.CLOSED, sent=True)
    assert told(await send(http, [post()])) == [200]
    assert peer.connections == 2


async def test_a_connection_that_answers_pings_is_kept(peer: Http2Peer, opened: Opened) -> None:
    peer.behave = lambda conversation, stream: conversation.later(0.3, stream)

    answers = await send(opened(peer, timeouts=ConnectionTimeouts(ping_interval=0.03, pong=0.1)), [post()])

    assert told(answers) == [200]


async def test_an_idle_connection_that_died_is_not_used(peer: Http2Peer, opened: Opened) -> None:
    http = opened(peer, timeouts=ConnectionTimeouts(idle_ping_interval=0.05, pong=0.05))
    await send(http, [post()])
    peer.deaf = True
    await asyncio.sleep(0)

    await reaches(lambda: not peer.conversations)
    peer.deaf = False

    assert told(await send(http, [post()])) == [200]


async def test_an_old_connection_is_replaced_between_requests(peer: Http2Peer, opened: Opened) -> None:
    http = opened(peer, timeouts=ConnectionTimeouts(max_age=0.05, idle_ping_interval=0.01))
    await send(http, [post()])

    await reaches(lambda: not peer.conversations)

    assert told(await send(http, [post()])) == [200]
    assert peer.connections == 2
    assert peer.farewells[0] == 0


async def test_a_connection_is_replaced_after_so_many_requests(peer: Http2Peer, opened: Opened) -> None:
    http = opened(peer, bounds=Bounds(requests=10))

    assert told(await send(http, [post() for _ in range(35)])) == [200] * 35
    assert peer.connections == 4


async def test_spare_connections_are_let_go(opened: Opened) -> None:
    async with Http2Peer(settings={SettingCodes.MAX_CONCURRENT_STREAMS: 10}) as peer:
        peer.behave = lambda conversation, stream: conversation.later(0.02, stream)
        http = opened(peer, timeouts=ConnectionTimeouts(spare=0.05, idle_ping_interval=0.02))
        await send(http, [post() for _ in range(60)])
        assert peer.connections > 1

        await reaches(lambda: len(peer.conversations) == 1)

        assert told(await send(http, [post()])) == [200]


async def test_a_server_that_never_answers_is_not_besieged(peer: Http2Peer, opened: Opened) -> None:
    peer.behave = lambda conversation, stream: conversation.abort()
    http = opened(peer, timeouts=ConnectionTimeouts(min_reconnect_interval=0.05))

    for _ in range(4):
        await send(http, [post()])

    assert peer.connections <= 4
    assert http._pools["https://api.push.apple.com"]._failures == 4


async def test_requests_wait_while_the_next_connection_must(peer: Http2Peer, opened: Opened) -> None:
    http = opened(peer, timeouts=ConnectionTimeouts(min_reconnect_interval=0.1))
    await peer.refuse()
    assert told(await send(http, [post()])) == [HttpFailure(FailureKind.REFUSED, sent=False)]

    call = asyncio.ensure_future(send(http, [post()]))
    await asyncio.sleep(0)
    await peer.listen()

    assert told(await call) == [200]


async def test_a_server_that_greets_with_goaway_costs_few_connections(peer: Http2Peer, opened: Opened) -> None:
    def greet(conversation: Conversation) -> None:
        conversation.raw(struct.pack(">IBI", 4, 0, 0) + struct.pack(">IBIII", 8 << 8 | 7, 0, 0, 0, 0))

    peer.greet = greet

    http = opened(peer)

    for _ in range(3):
        assert told(await send(http, [post()])) == [HttpFailure(FailureKind.CLOSED, sent=False)]
    assert peer.connections == 3


async def test_a_server_that_turns_everything_away_costs_few_connections(peer: Http2Peer, opened: Opened) -> None:
    peer.behave = lambda conversation, stream: conversation.go_away(0)

    answers = await send(opened(peer), [post(timeout=1.0) for _ in range(5)])

    assert answers == [HttpFailure(FailureKind.CLOSED, sent=False)] * 5
    assert peer.connections == 3


async def test_a_server_that_does_not_greet_is_given_up(peer: Http2Peer, opened: Opened) -> None:
    peer.greet = lambda conversation: None
    peer.deaf = True

    [answer] = await send(opened(peer, timeouts=ConnectionTimeouts(connect=0.1)), [post()])

    assert answer == HttpFailure(FailureKind.TIMEOUT, sent=False)


async def test_two_servers_are_kept_apart(peer: Http2Peer, opened: Opened) -> None:
    http = opened(peer)

    answers = await send(
        http, [post(), post(url="https://fcm.googleapis.com/v1/x"), post(url="https://localhost:8443")]
    )

    assert told(answers) == [200] * 3
    assert peer.connections == 3
    authorities = {asked.headers[":authority"]: asked.headers[":path"] for asked in peer.asked}
    assert authorities == {
        "api.push.apple.com": "/3/device/aa",
        "fcm.googleapis.com": "/v1/x",
        "localhost:8443": "/",
    }


async def test_there_are_not_too_many_servers(peer: Http2Peer, opened: Opened) -> None:
    http = opened(peer, in_flight=0)

    calls = [asyncio.ensure_future(send(http, [post(url=f"https://h{n}.example/", timeout=0.05)])) for n in range(70)]
    answers = [(await call)[0] for call in calls]

    assert answers.count(HttpFailure(FailureKind.REFUSED, sent=False)) == 70 - MAX_ORIGINS


async def test_a_callback_that_raises_takes_nobody_with_it(peer: Http2Peer, opened: Opened) -> None:
    http, loop, received = opened(peer), asyncio.get_running_loop(), list[Any]()
    loop.set_exception_handler(lambda _loop, context: received.append(context["exception"]))

    class Broken:
        def on_response(self, _key: object, _result: object) -> None:
            raise RuntimeError("a bug")

    submit_request(http, post(), Broken())

    assert told(await send(http, [post()])) == [200]
    assert [str(error) for error in received] == ["a bug"]


async def test_a_missing_certificate_is_no_crash(peer: Http2Peer, opened: Opened) -> None:
    [answer] = await send(opened(peer, certificate_file="/nowhere/at/all.pem"), [post()])

    assert answer == HttpFailure(FailureKind.TLS, sent=False)


async def test_closing_says_goodbye(peer: Http2Peer, opened: Opened) -> None:
    http = opened(peer)
    await send(http, [post()])

    await http.close()

    await reaches(lambda: not peer.conversations)
    assert peer.farewells == [0]
