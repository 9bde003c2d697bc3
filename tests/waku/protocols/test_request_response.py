"""One request, one answer: deadlines and bounds at both ends."""

import asyncio
from typing import Any

import pytest

from hushbell.errors import TransportError, Undecodable
from hushbell.waku.protocols.request_response import Service, ask

PROTOCOL = "/test/1"


class Slow:
    """Answers when told to, and notes whether it was called busy."""

    def __init__(self) -> None:
        self.busy: list[bool] = []
        self.go = asyncio.Event()

    async def answer(self, _: Any, request: bytes, is_busy: bool) -> bytes:
        self.busy.append(is_busy)
        if not is_busy:
            await self.go.wait()
        return request[::-1]


def serve(net: Any, host: Any, answer: Any, **settings: Any) -> None:
    Service(
        host=host,
        protocol=PROTOCOL,
        answer=answer,
        name="test",
        limit=100,
        count=net.count,
        **({"seconds": 1, "idle": 1} | settings),
    )


async def test_a_request_gets_its_answer_and_both_ends_close(net: Any) -> None:
    server, slow = net.host("server"), Slow()
    phone = net.host("phone", server)
    slow.go.set()
    serve(net, server, slow.answer)

    assert await ask(phone, server.peer_id, PROTOCOL, b"abc", limit=10, seconds=1) == b"cba"
    assert phone.opened[0].is_closed
    assert phone.opened[0].is_ended
    assert not phone.opened[0].is_reset


@pytest.mark.parametrize("sent", [b"", b"\x05ab"])
async def test_who_opens_a_stream_and_says_nothing_loses_it(net: Any, sent: bytes) -> None:
    server, mallory = net.host("server"), net.host("mallory")
    net.connect(server, mallory)
    serve(net, server, Slow().answer, idle=0.02)

    stream = await mallory.open(server.peer_id, [PROTOCOL])
    stream.write(sent)
    with pytest.raises(TransportError):
        await stream.read(1)

    assert net.counts["test_requests_failed"] == 1


async def test_who_does_not_take_the_answer_loses_the_stream(net: Any) -> None:
    server, mallory = net.host("server"), net.host("mallory")
    net.connect(server, mallory)
    slow = Slow()
    slow.go.set()
    serve(net, server, slow.answer, seconds=0.02)

    stream = await mallory.open(server.peer_id, [PROTOCOL])
    stream.other.is_stuck = True
    stream.write_frame(b"abc")
    await asyncio.sleep(0.05)

    assert stream.other.is_reset
    assert net.counts["test_requests_failed"] == 1


async def test_more_than_so_many_at_once_are_told_busy_and_nobody_takes_all_places(net: Any) -> None:
    server, slow = net.host("server"), Slow()
    mallory, bob = net.host("mallory", server), net.host("bob", server)
    serve(net, server, slow.answer, max_responses=3, max_per_peer=2)

    async def some(host: Any, number: int) -> list[Any]:
        asking = [
            asyncio.ensure_future(ask(host, server.peer_id, PROTOCOL, b"a", limit=10, seconds=1)) for _ in range(number)
        ]
        await net.settle()
        return asking

    asking = await some(mallory, 5) + await some(bob, 2)
    busy = slow.busy.copy()
    slow.go.set()
    await asyncio.gather(*asking)
    again = await some(mallory, 1)

    assert busy == [False, False, True, True, True, False, True]
    assert await again[0] == b"a"
    assert not slow.busy[-1]


@pytest.mark.parametrize("answer,error", [(b"", Undecodable), (b"\x05ab", Undecodable), (None, TransportError)])
async def test_an_answer_that_does_not_come_is_an_error_in_time(
    net: Any, answer: bytes | None, error: type[Exception]
) -> None:
    server = net.host("server")
    phone = net.host("phone", server)

    async def half(stream: Any) -> None:
        if answer is None:
            await asyncio.Event().wait()
        stream.write(answer)
        stream.close_write()

    server.handle(PROTOCOL, half)
    with pytest.raises(error):
        await ask(phone, server.peer_id, PROTOCOL, b"abc", limit=10, seconds=0.02)

    assert phone.opened[0].is_reset


async def test_a_service_that_never_closes_is_left(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hushbell.waku.protocols.request_response.CLOSE_TIMEOUT", 0.01)
    server = net.host("server")
    phone = net.host("phone", server)

    async def never_closing(stream: Any) -> None:
        stream.write_frame(b"answer")

    server.handle(PROTOCOL, never_closing)

    assert await ask(phone, server.peer_id, PROTOCOL, b"abc", limit=10, seconds=1) == b"answer"
    assert phone.opened[0].is_reset
