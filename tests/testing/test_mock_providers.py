"""The stand-in for all push providers: protocol, rules, record and control."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.config.gateway import HttpSettings
from hushbell.http.client import fetch
from hushbell.http.curl import CurlHttp
from hushbell.ports.http import HttpFailure, HttpRequest, HttpResponse
from hushbell.testing.clock import FakeClock
from hushbell.testing.mock.h2 import PREFACE, Http2, frame
from hushbell.testing.mock.hpack import Decoder, Malformed, encode
from hushbell.testing.mock.http import Reply, Request
from hushbell.testing.mock.rules import RecordedPush, ScriptedReply, parse
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


# Header blocks.

FIELD = st.tuples(st.text("abc-", min_size=1, max_size=6), st.text(st.characters(min_codepoint=32, max_codepoint=255)))


@given(st.lists(st.lists(FIELD, max_size=8), max_size=6), st.booleans(), st.integers(0, 4096))
def test_header_blocks_are_read_as_hpack_writes_them(blocks: list[Any], huffman: bool, size: int) -> None:
    encoder, decoder = hpack.Encoder(), Decoder()
    encoder.header_table_size = size

    for fields in blocks:
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        assert decoder.decode(encoder.encode(raw, huffman=huffman)) == fields


@given(st.sampled_from([200, 204, 400, 404, 410, 500, 503]), st.lists(FIELD, max_size=4))
def test_answers_are_read_by_hpack_as_they_were_meant(status: int, fields: list[tuple[str, str]]) -> None:
    decoded = hpack.Decoder().decode(encode(status, fields), raw=True)

    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
    assert decoded == [(b":status", str(status).encode()), *raw]


@given(st.binary(max_size=64))
def test_any_bytes_are_fields_or_malformed(block: bytes) -> None:
    with suppress(Malformed):
        assert isinstance(Decoder().decode(block), list)


# Connections.


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


def connection(answer: Callable[[Request], Reply], **changes: Any) -> tuple[Http2, Wire]:
    wire = Wire()
    given: dict[str, Any] = {"number": 1, "streams": 2, "certified": False}
    return Http2(wire, answer, **given | changes), wire  # type: ignore[arg-type]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_any_bytes_end_a_connection_in_order_or_are_taken(data: bytes, cuts: list[int]) -> None:
    http, _ = connection(lambda request: Reply())
    http.feed(PREFACE)

    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        http.feed(data[start:end])


@pytest.mark.parametrize(
    "sent",
    [
        *(b"GET / HTTP/1.1\r\n\r\n" + bytes(20), PREFACE + frame(4, 0, 0, b"cut"), PREFACE + frame(1, 4, 2, b"\x83")),
        *(PREFACE + frame(0, 1, 1) + frame(1, 4, 1, b"\xff" * 9), PREFACE + b"\0\xff\xff" + bytes(6)),
        *(PREFACE + frame(9, 4, 1, b"\x83"), PREFACE + frame(1, 0, 1, b"\x83") + frame(6, 0, 0, bytes(8))),
        PREFACE + frame(1, 0x0C, 1, b"\x09\x83"),
    ],
)
def test_a_client_that_breaks_the_protocol_is_told_goodbye(sent: bytes) -> None:
    http, wire = connection(lambda request: Reply())

    http.feed(sent)

    assert wire.closed
    assert wire.written.endswith(frame(7, 0, 0, bytes(7) + b"\1"))


def test_a_request_in_pieces_is_one_request() -> None:
    got: list[Request] = []
    http, _ = connection(lambda request: got.append(request) or Reply())  # type: ignore[func-returns-value]
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


def test_more_streams_than_told_are_refused() -> None:
    http, wire = connection(lambda request: Reply(delay=1.0))
    block = hpack.Encoder().encode([(":method", "POST"), (":path", "/x")])

    http.feed(PREFACE + b"".join(frame(1, 4, stream, block) for stream in (1, 3, 5)))

    assert wire.written.endswith(frame(3, 0, 5, b"\0\0\0\7"))


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
        writer.write(b"POST /3/device/ab HTTP/1.1\r\nHost: api.push.apple.com\r\nContent-Length: 2\r\n\r\n{}")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 403")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert json.loads(await reader.readexactly(length)) == {"reason": "MissingProviderToken"}
    writer.close()
    await writer.wait_closed()


# Rules.


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


@pytest.mark.parametrize(
    "rules",
    [
        1,
        {"rules": 1},
        [1],
        [{"when": {}}],
        [{"match": 1}],
        [{"match": {"tokn": "a"}}],
        [{"match": {"nth": "2"}}],
        [{"match": {"nth": 0}}],
        [{"reply": {"stauts": 1}}],
        [{"reply": {"act": "explode"}}],
        [{"times": "2"}],
        [{"reply": {"status": "many"}}],
    ],
)
def test_rules_with_unknown_words_are_refused(rules: Any) -> None:
    with pytest.raises(ValueError):
        parse(rules)


# Google's checks. Apple's are those of test_apns_stand_in.


@pytest.mark.parametrize(
    "body,status_,code",
    [
        ({"message": {"token": "a"}}, 200, None),
        ({"message": {"token": "a", "topic": "b"}}, 400, "INVALID_ARGUMENT"),
        ({"message": {}}, 400, "INVALID_ARGUMENT"),
        ({"message": {"token": "a", "data": {"n": 1}}}, 400, "INVALID_ARGUMENT"),
        ({"message": {"token": "a", "colour": "red"}}, 400, "INVALID_ARGUMENT"),
        ({"message": {"token": "a", "data": {"n": "x" * 4096}}}, 400, "INVALID_ARGUMENT"),
        (b"nonsense", 400, "INVALID_ARGUMENT"),
    ],
)
async def test_each_of_googles_checks_has_its_answer(
    mock: MockProviders, http: CurlHttp, body: Any, status_: int, code: str | None
) -> None:
    answer = await ask(http, FCM, body, authorization="Bearer good")

    assert isinstance(answer, HttpResponse)
    said = json.loads(answer.body)
    assert (answer.status, said.get("error", {}).get("details", [{}])[0].get("errorCode")) == (status_, code)


async def test_a_bad_bearer_a_wrong_project_and_a_wrong_path_are_told(mock: MockProviders, http: CurlHttp) -> None:
    mock.fcm.tokens["old"] = 0
    assert await status(http, FCM, {"message": {"token": "a"}}, authorization="Bearer old") == 401
    other = FCM.replace("demo", "other")
    assert await status(http, other, {"message": {"token": "a"}}, authorization="Bearer good") == 403
    assert await status(http, FCM + "x", b"{}") == 404


@pytest.mark.parametrize(
    "form", ["", "grant_type=password", "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=a.b.c"]
)
async def test_only_the_accounts_own_key_gets_an_access_token(mock: MockProviders, http: CurlHttp, form: str) -> None:
    assert await status(http, "https://oauth2.googleapis.com/token", form.encode()) == 400


# Record and control.


async def test_scripts_control_it_over_plain_http(mock: MockProviders) -> None:
    plain = CurlHttp(HttpSettings())
    tls = CurlHttp(mock.http())

    rules = [{"match": {"provider": "apns"}, "reply": {"status": 410}}]
    assert await status(plain, mock.control + "/_mock/rules", rules, "PUT") == 204
    assert await status(plain, mock.control + "/_mock/rules", b"[{", "PUT") == 400
    assert await status(plain, mock.control + "/_mock/nothing") == 404
    for _ in range(3):
        await ask(tls, APNS + "ab", b"{}")
    log = await ask(plain, mock.control + "/_mock/log?since=1", method="GET")
    stats = await ask(plain, mock.control + "/_mock/stats", method="GET")

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

    assert await status(plain, mock.control + "/_mock/down", {"seconds": 0.05}) == 204
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
        assert small._record.log(3)[1].count(b"\n") == 1
        assert small.count("apns") == 4


def test_as_a_process_it_says_where_it_is_and_stops_when_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hushbell.cli", "mock-providers", "--dir", str(tmp_path)]
    source = str(Path(__file__).parents[2] / "src")

    with subprocess.Popen(command, stdout=subprocess.PIPE, env={"PYTHONPATH": source}, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(10) == 0

    assert ready["ready"]
    assert Path(ready["ca_file"]).exists()
    assert "PRIVATE KEY" in Path(ready["apns"]["key_file"]).read_text()
    assert json.loads(Path(ready["fcm"]["credentials_file"]).read_text())["project_id"] == ready["fcm"]["project"]
