"""All mocks on one port: connections, rules, log and control."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hushbell.config.gateway import HttpSettings
from hushbell.http.client import fetch
from hushbell.http.curl import CurlHttp
from hushbell.ports.http import HttpFailure, HttpRequest, HttpResponse
from hushbell.testing.child_processes import kill_with_parent
from hushbell.testing.clock import FakeClock
from hushbell.testing.mock.http import Request
from hushbell.testing.mock.rules import RecordedPush, ScriptedReply
from hushbell.testing.mock.server import MockProviders

APNS = "https://api.push.apple.com/3/device/"
FCM = "https://fcm.googleapis.com/v1/projects/demo-project/messages:send"
GOOD = (("authorization", "Bearer good"),)
PUSH = b'{"message":{"token":"a"}}'


@pytest.fixture
async def mock() -> AsyncIterator[MockProviders]:
    async with MockProviders(now=FakeClock().now) as made:
        made.fcm.tokens["good"] = 2**53
        yield made


@pytest.fixture
async def http(mock: MockProviders) -> AsyncIterator[CurlHttp]:
    made = CurlHttp(mock.http(connections=1))
    yield made
    await made.close()


async def ask(
    http: CurlHttp, url: str, body: Any = b"", method: str = "POST", **headers: str
) -> HttpResponse | HttpFailure:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return await fetch(http, HttpRequest(url, given, content, 20.0, method))


async def status(http: CurlHttp, url: str, body: Any = b"", method: str = "POST", **headers: str) -> int:
    answer = await ask(http, url, body, method, **headers)
    assert isinstance(answer, HttpResponse)
    return answer.status


async def push(http: CurlHttp) -> int:
    """Send one that Google takes."""
    return await status(http, FCM, PUSH, authorization="Bearer good")


async def test_curl_sends_many_side_by_side(mock: MockProviders, http: CurlHttp) -> None:
    requests = [HttpRequest(APNS + "ab", (), b"x" * 3000, 30.0) for _ in range(300)]

    answers = await asyncio.gather(*(fetch(http, request) for request in requests))

    assert [isinstance(answer, HttpResponse) and answer.status for answer in answers] == [403] * 300
    assert mock.stats()["connections"] == 1
    assert mock.stats()["max_concurrent_streams"] > 1


async def test_large_answers_wait_for_the_clients_window(mock: MockProviders, http: CurlHttp) -> None:
    mock.rule({"reply": {"body": "x" * 300_000}})
    large = CurlHttp(mock.http(answer=1_000_000))

    answer = await fetch(large, HttpRequest(FCM, GOOD, PUSH, 20.0))

    assert isinstance(answer, HttpResponse)
    assert len(answer.body) == 300_000
    await large.close()


async def test_http_1_is_spoken_where_the_client_wants_it(mock: MockProviders) -> None:
    import ssl

    context = ssl.create_default_context(cafile=mock.ca_file)
    reader, writer = await asyncio.open_connection("127.0.0.1", mock.port, ssl=context, server_hostname="localhost")
    for _ in range(2):
        writer.write(b"POST /v1/projects/x/messages:send HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 401")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert json.loads(await reader.readexactly(length))["error"]["code"] == 401
    writer.close()
    await writer.wait_closed()


async def test_the_first_rule_that_fits_decides_and_may_run_out(mock: MockProviders, http: CurlHttp) -> None:
    mock.rule(
        {"match": {"provider": "fcm", "nth": 3}, "reply": {"status": 500}},
        {"match": {"provider": "fcm"}, "reply": {"status": 429, "retry_after": 7}, "times": 2},
        {"match": {"provider": "apns"}, "reply": {"status": 403}},
    )
    got = [await push(http) for _ in range(4)]

    assert got == [429, 429, 500, 200]


async def test_a_delay_comes_before_the_answer(mock: MockProviders, http: CurlHttp) -> None:
    loop = asyncio.get_running_loop()
    for reply in ({"delay_ms": 30}, {"dist": {"uniform": [30, 31]}}, {"dist": {"exponential": 5}}):
        mock.rule({"reply": reply})
        before = loop.time()

        assert await push(http) == 200
        assert loop.time() - before >= (0.03 if "exponential" not in str(reply) else 0)


async def test_goaway_ends_the_connection_after_the_answer(mock: MockProviders, http: CurlHttp) -> None:
    mock.rule({"reply": {"goaway": True}})

    assert [await push(http) for _ in range(3)] == [200] * 3

    assert mock.stats()["connections"] == 3


@pytest.mark.parametrize("act,sent", [("reset", True), ("close", True), ("blackhole", True)])
async def test_a_request_that_gets_no_answer_was_sent(
    mock: MockProviders, http: CurlHttp, act: str, sent: bool
) -> None:
    mock.rule({"reply": {act: True}})

    answer = await fetch(http, HttpRequest(FCM, GOOD, PUSH, 0.2))

    assert isinstance(answer, HttpFailure)
    assert answer.sent is sent


async def test_a_test_can_look_at_every_request_before_it_is_answered(mock: MockProviders, http: CurlHttp) -> None:
    seen: list[str] = []

    def decide(request: Request, what: RecordedPush) -> ScriptedReply | None:
        seen.append(what.token)
        return ScriptedReply(status=503) if len(seen) == 2 else None

    mock.decide = decide

    assert [await push(http) for _ in range(3)] == [200, 503, 200]
    assert seen == ["a"] * 3


# Log and control.


async def test_scripts_control_it_over_plain_http(mock: MockProviders) -> None:
    plain = CurlHttp(HttpSettings())
    tls = CurlHttp(mock.http())

    rules = [{"match": {"provider": "apns"}, "reply": {"status": 410}}]
    assert await status(plain, mock.plain_url + "/_mock/rules", rules, "PUT") == 204
    assert await status(plain, mock.plain_url + "/_mock/rules", b"[{", "PUT") == 400
    assert await status(plain, mock.plain_url + "/_mock/nothing") == 404
    for _ in range(3):
        await ask(tls, APNS + "ab", b"{}")
    log = await ask(plain, mock.plain_url + "/_mock/log?since=1", method="GET")
    stats = await ask(plain, mock.plain_url + "/_mock/stats", method="GET")

    assert isinstance(log, HttpResponse)
    assert isinstance(stats, HttpResponse)
    lines = [json.loads(line) for line in log.body.splitlines()]
    assert [line["token"] for line in lines] == ["ab", "ab"]
    assert log.header("x-next") == "3"
    assert json.loads(stats.body)["requests"] == {"apns": {"403": 3}}
    assert await status(tls, "https://localhost/_mock/clear") == 204
    assert mock.stats()["requests"] == {}
    await plain.close()
    await tls.close()


async def test_it_can_be_down_for_a_while(mock: MockProviders) -> None:
    plain, tls = CurlHttp(HttpSettings()), CurlHttp(mock.http())

    assert await status(plain, mock.plain_url + "/_mock/down", {"seconds": 0.05}) == 204
    await asyncio.sleep(0)
    assert isinstance(await ask(tls, APNS + "ab"), HttpFailure)
    while isinstance(await ask(tls, APNS + "ab"), HttpFailure):  # noqa: ASYNC110 - the other side knows no event
        await asyncio.sleep(0.01)

    await plain.close()
    await tls.close()


async def test_what_comes_twice_or_in_the_wrong_order_is_counted(mock: MockProviders, http: CurlHttp) -> None:
    for number in (1, 3, 2, 4):
        message = {"message": {"token": "a", "data": {"seq": str(number)}}}
        await ask(http, FCM, json.dumps(message, separators=(",", ":")).encode(), authorization="Bearer good")

    assert mock.stats()["reordered"] == 1


async def test_it_remembers_only_so_much(mock: MockProviders) -> None:
    async with MockProviders(keep=2) as small:
        http = CurlHttp(small.http())
        for number in range(4):
            await ask(http, APNS + f"0{number}")
        await http.close()

        assert [line["token"] for line in small.log] == ["02", "03"]
        assert small._log.lines(3)[1].count(b"\n") == 1
        assert small.count("apns") == 4


def test_as_a_process_it_says_where_it_is_and_stops_when_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hushbell.cli", "mock-providers", "--dir", str(tmp_path)]
    source = str(Path(__file__).parents[3] / "src")

    with subprocess.Popen(command, stdout=subprocess.PIPE, env={"PYTHONPATH": source}, text=True) as process:
        kill_with_parent(process.pid)
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(10) == 0

    assert ready["ready"]
    assert Path(ready["ca_file"]).exists()
    assert "PRIVATE KEY" in Path(ready["apns"]["key_file"]).read_text()
    assert json.loads(Path(ready["fcm"]["credentials_file"]).read_text())["project_id"] == ready["fcm"]["project"]


async def test_each_request_is_in_the_log_file_before_its_response(tmp_path: Path) -> None:
    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in file.read_text().splitlines()]

    file = tmp_path / "log"
    with file.open("ab", buffering=0) as log:
        async with MockProviders(log=log, keep=0) as mock:
            http = CurlHttp(HttpSettings())
            mock.rule({"reply": {"delay_ms": 60_000}})
            call = asyncio.ensure_future(status(http, mock.plain_url + "/hook/secret", authorization="Bearer secret"))
            await mock.wait_for(1, "webhook")
            written = lines()
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            await http.close()

    assert [(line["provider"], line["token"], line["status"], line["act"]) for line in written] == [
        ("webhook", "/hook/secret", 200, "answer")
    ]
    assert "Bearer" not in file.read_text()


async def test_plain_http_reaches_every_provider(mock: MockProviders) -> None:
    plain = CurlHttp(HttpSettings())
    body = {"notifications": [{"tokens": ["a"], "platform": 1}]}

    assert await status(plain, mock.plain_url + "/api/push", body) == 200
    await plain.close()

    assert mock.requests[0].json == body
    assert mock.requests[0].push.tokens == ("a",)


async def test_bodies_are_kept_only_where_that_is_asked_for() -> None:
    async with MockProviders(keep_bodies=False) as mock:
        plain = CurlHttp(HttpSettings())
        await status(plain, mock.plain_url + "/hook", b"{}", authorization="Bearer secret")
        await plain.close()

        [recorded] = mock.requests
        assert (recorded.request.body, recorded.push.bytes) == (b"", 2)
        assert set(recorded.request.headers) == {"host"}


async def test_whoever_waits_for_requests_is_woken_or_given_up(mock: MockProviders) -> None:
    with pytest.raises(TimeoutError):
        await mock.wait_for(1, "apns", patience=0.01)


async def test_it_is_back_as_soon_as_it_is_told(mock: MockProviders) -> None:
    plain, tls = CurlHttp(HttpSettings()), CurlHttp(mock.http())
    await status(plain, mock.plain_url + "/_mock/down", {"seconds": 3600})
    assert isinstance(await ask(tls, APNS + "ab"), HttpFailure)

    assert await status(plain, mock.plain_url + "/_mock/up") == 204
    while isinstance(await ask(tls, APNS + "ab"), HttpFailure):  # noqa: ASYNC110 - the other side knows no event
        await asyncio.sleep(0.01)

    await plain.close()
    await tls.close()
