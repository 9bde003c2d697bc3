"""The HTTP server: bounds before parsing, one request at a time, and gorush's other routes."""

import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest

Gateway = Any  # of conftest.py
PUSH = b'{"notifications":[{"platform":1,"tokens":["aa01"],"message":"x"}]}'


def request(body: bytes = PUSH, *headers: str) -> bytes:
    lines = ["POST /api/push HTTP/1.1", "Host: gateway", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def statuses(reader: asyncio.StreamReader) -> list[int]:
    """Read until the end and return the statuses that came."""
    async with asyncio.timeout(10):
        data = await reader.read()
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", data)]


async def test_pipelined_requests_are_answered_in_order(gateway: Gateway) -> None:
    reader, writer = await gateway.connect()

    writer.write(request() + request(b"{}") + b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n" + request() * 50)
    writer.write(request(PUSH, "Connection: close"))

    assert await statuses(reader) == [200, 400, 200] + [200] * 51
    await gateway.idle()
    assert len(gateway.apns.attempts) == 52


async def test_a_request_may_come_byte_by_byte_and_in_chunks(gateway: Gateway) -> None:
    reader, writer = await gateway.connect()
    head = b"POST /api/push HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    for byte in head:
        writer.write(bytes([byte]))
        await writer.drain()
    for place in range(0, len(PUSH), 7):
        part = PUSH[place : place + 7]
        writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
    writer.write(b"0\r\n\r\n")

    assert await statuses(reader) == [200]


@pytest.mark.parametrize(
    "sent,status",
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\xa5", 400),
        (b"GET / HTTP/1.1\r\nHost: g\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 40_000, 431),
        (b"POST /api/push HTTP/1.1\r\nHost: g\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"POST /api/push HTTP/1.1\r\nHost: g\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /api/push HTTP/1.1\r\nHost: g\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400),
    ],
)
async def test_what_is_no_request_or_too_large_ends_the_connection(gateway: Gateway, sent: bytes, status: int) -> None:
    reader, writer = await gateway.connect()

    writer.write(sent)

    assert await statuses(reader) == [status]


async def test_a_body_larger_than_it_says_or_allowed_is_cut(start: Any) -> None:
    gateway = await start(body=1000)
    reader, writer = await gateway.connect()
    writer.write(b"POST /api/push HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n")
    writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n")

    assert await statuses(reader) == [413]


async def test_bodies_are_bounded_together(gateway: Gateway) -> None:
    gateway.api.server.limits = replace(gateway.api.server.limits, bodies=1500)
    half = b"POST /api/push HTTP/1.1\r\nHost: g\r\nContent-Length: 2000\r\n\r\n" + b" " * 1000
    first, second = await gateway.connect(), await gateway.connect()
    first[1].write(half)
    second[1].write(half)

    done, pending = await asyncio.wait(
        [asyncio.create_task(statuses(reader)) for reader, _ in (first, second)],
        return_when=asyncio.FIRST_COMPLETED,
    )

    assert [task.result() for task in done] == [[503]]
    for task in pending:
        task.cancel()


async def test_a_client_that_takes_too_long_is_cut(gateway: Gateway) -> None:
    server = gateway.api.server
    slow, idle = await gateway.connect(), await gateway.connect()
    slow[1].write(b"POST /api/push HT")
    await asyncio.sleep(0)
    while not any(connection._is_in_request for connection in server.connections):  # noqa: ASYNC110  the kernel tells nothing
        await asyncio.sleep(0.001)
    now = asyncio.get_running_loop().time()

    for connection in list(server.connections):
        connection.check_time(now + 15)
    assert await statuses(slow[0]) == [408]
    for connection in list(server.connections):
        connection.check_time(now + 200)
    assert await statuses(idle[0]) == []


async def test_connections_are_bounded(gateway: Gateway) -> None:
    gateway.api.server.limits = replace(gateway.api.server.limits, connections=1)
    await gateway.send("GET", "/healthz")

    reader, _ = await gateway.connect()

    assert await statuses(reader) == [503]


async def test_a_client_that_asks_first_is_told_to_go_on(gateway: Gateway) -> None:
    reader, writer = await gateway.connect()
    writer.write(request(b"", "Expect: 100-continue").replace(b"Content-Length: 0", b"Content-Length: %d" % len(PUSH)))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"

    writer.write(PUSH)

    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")


async def test_a_client_that_leaves_is_no_error_and_its_push_goes_out(gateway: Gateway) -> None:
    _, writer = await gateway.connect()
    writer.write(request())
    await writer.drain()
    writer.transport.abort()

    for _ in range(2000):
        if gateway.apns.attempts:
            break
        await asyncio.sleep(0.001)
    await gateway.idle()
    assert gateway.apns.tokens in ([], ["aa01"])


@pytest.mark.parametrize(
    "method,path,status,body",
    [
        ("GET", "/", 200, b'{"text":"Welcome to notification server."}'),
        ("GET", "/healthz", 200, b""),
        ("HEAD", "/healthz", 200, b""),
        ("HEAD", "/", 404, b""),
        ("GET", "/api/push", 404, b"404 page not found"),
        ("GET", "//api/push", 404, b"404 page not found"),
        ("GET", "/api%2Fpush", 404, b"404 page not found"),
        ("GET", "/version/", 301, b'<a href="/version">Moved Permanently</a>.\n\n'),
        ("POST", "/api/push/", 307, b""),
    ],
)
async def test_other_routes_answer_as_gorush_does(
    gateway: Gateway, method: str, path: str, status: int, body: bytes
) -> None:
    answer = await gateway.send(method, path)

    assert (answer.status, answer.body) == (status, body)


async def test_statistics_count_under_gorushs_names(gateway: Gateway) -> None:
    await gateway.push({"platform": 1, "tokens": ["aa01", "aa02"], "message": "x"})
    await gateway.idle()

    told = (await gateway.send("GET", "/api/stat/app")).json
    metrics = (await gateway.send("GET", "/metrics")).body.decode()

    assert told["total_count"] == 2
    assert told["ios"] == {"push_success": 2, "push_error": 0}
    assert "\ngorush_ios_success 2\n" in metrics
    assert "\ngorush_android_fail 0\n" in metrics
    assert "\nhushbell_pushes_accepted_total 2\n" in metrics
    assert "aa01" not in metrics
    assert "chat" not in metrics
    for path in ("/api/stat/go", "/sys/stats", "/api/config"):
        assert (await gateway.send("GET", path)).status == 200


async def test_a_query_behind_the_path_means_nothing(gateway: Gateway) -> None:
    answer = await gateway.send("POST", "/api/push?x=1", PUSH)

    assert answer.json["counts"] == 1
