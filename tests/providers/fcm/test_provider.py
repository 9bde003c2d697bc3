"""Firebase Cloud Messaging: outcomes, access tokens, targets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.errors import CallerError, ConfigError
from hushbell.http.client import open_http
from hushbell.ports.http import HttpResponse
from hushbell.ports.provider import ProviderContext
from hushbell.providers.fcm.outcome import outcome
from hushbell.providers.fcm.provider import FcmProvider
from hushbell.providers.fcm.settings import FcmSettings
from hushbell.testing.clock import FakeClock
from hushbell.testing.mock.server import MockProviders
from hushbell.testing.scripted_provider import attempt
from hushbell.types import Millis

Opened = Callable[..., FcmProvider]
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"

TABLE: list[tuple[int, str, Verdict, Scope, float | None]] = [
    (404, "UNREGISTERED", Verdict.DEAD_TOKEN, Scope.TOKEN, None),
    (403, "SENDER_ID_MISMATCH", Verdict.DEAD_TOKEN, Scope.TOKEN, None),
    (400, "INVALID_ARGUMENT", Verdict.INVALID, Scope.TOKEN, None),
    (429, "QUOTA_EXCEEDED", Verdict.RETRY, Scope.APP, 60.0),
    (503, "UNAVAILABLE", Verdict.RETRY, Scope.PROVIDER, None),
    (500, "INTERNAL", Verdict.RETRY, Scope.PROVIDER, None),
    (401, "THIRD_PARTY_AUTH_ERROR", Verdict.MISCONFIGURED, Scope.APP, None),
    # Codes that do not fit their status, or are not known.
    (500, "UNREGISTERED", Verdict.RETRY, Scope.PROVIDER, None),
    (400, "UNREGISTERED", Verdict.INVALID, Scope.TOKEN, None),
    (400, "SOMETHING_NEW", Verdict.INVALID, Scope.TOKEN, None),
    (429, "SOMETHING_NEW", Verdict.RETRY, Scope.APP, 60.0),
]
PLAIN: list[tuple[int, Verdict, Scope]] = [
    (301, Verdict.MISCONFIGURED, Scope.PROVIDER),
    (400, Verdict.RETRY, Scope.PROVIDER),
    (401, Verdict.MISCONFIGURED, Scope.APP),
    (403, Verdict.MISCONFIGURED, Scope.APP),
    (404, Verdict.MISCONFIGURED, Scope.PROVIDER),
    (408, Verdict.RETRY, Scope.PROVIDER),
    (413, Verdict.INVALID, Scope.TOKEN),
    (429, Verdict.RETRY, Scope.APP),
    (500, Verdict.RETRY, Scope.PROVIDER),
    (502, Verdict.RETRY, Scope.PROVIDER),
    (204, Verdict.UNKNOWN, Scope.PROVIDER),
]


def answer(status: int, code: str = "", *headers: tuple[str, str], message: str = "no", **more: Any) -> HttpResponse:
    error: dict[str, Any] = {"code": status, "message": message, "status": "STATUS"}
    error["details"] = ([{"@type": FCM_ERROR, "errorCode": code}] if code else []) + more.get("details", [])
    return HttpResponse(status, headers, json.dumps({"error": error}).encode())


@pytest.mark.parametrize("status,code,verdict,scope,after", TABLE)
def test_each_of_googles_codes_has_its_outcome(
    status: int, code: str, verdict: Verdict, scope: Scope, after: float | None
) -> None:
    assert outcome(answer(status, code)) == Outcome(verdict, code, after=after, scope=scope)


@pytest.mark.parametrize("status,verdict,scope", PLAIN)
def test_a_status_without_a_code_kills_no_token(status: int, verdict: Verdict, scope: Scope) -> None:
    result = outcome(HttpResponse(status, (), b"<html>"))

    assert (result.verdict, result.scope) == (verdict, scope)


def test_200_is_accepted() -> None:
    assert outcome(HttpResponse(200, (), b"{}")) == ACCEPTED


@pytest.mark.parametrize(
    "message,fields,verdict",
    [
        ("The registration token is not a valid FCM registration token", None, Verdict.DEAD_TOKEN),
        ("Invalid value", ["message.token"], Verdict.DEAD_TOKEN),
        ("Invalid value", ["message.data[0].value"], Verdict.INVALID),
        ("Invalid value", ["message.token", "message.android.ttl"], Verdict.INVALID),
        ("not a valid FCM registration token", ["message.android"], Verdict.INVALID),
        ("Invalid value", None, Verdict.INVALID),
    ],
)
def test_an_invalid_argument_kills_the_token_only_if_it_is_the_token(
    message: str, fields: list[str] | None, verdict: Verdict
) -> None:
    violations = [{"@type": BAD_REQUEST, "fieldViolations": [{"field": field} for field in fields or []]}]

    result = outcome(answer(400, "INVALID_ARGUMENT", message=message, details=violations))

    assert result == Outcome(verdict, "INVALID_ARGUMENT")


@pytest.mark.parametrize("code,asked,after", [("QUOTA_EXCEEDED", "5", 60.0), ("QUOTA_EXCEEDED", "300", 300.0)])
def test_a_quota_waits_a_minute_at_least(code: str, asked: str, after: float) -> None:
    assert outcome(answer(429, code, ("retry-after", asked))).after == after


def test_an_unavailable_server_says_when() -> None:
    assert outcome(answer(503, "UNAVAILABLE", ("retry-after", "7"))).after == 7.0


@given(st.integers(100, 599), st.binary(max_size=200))
def test_any_body_has_an_outcome_and_only_google_kills_a_token(status: int, body: bytes) -> None:
    result = outcome(HttpResponse(status, (), body))

    assert (result.verdict is Verdict.ACCEPTED) == (status == 200)
    assert result.verdict is not Verdict.DEAD_TOKEN


@pytest.mark.parametrize(
    "error", [None, 1, [], {"details": 1}, {"details": [1]}, {"details": [{"@type": FCM_ERROR, "errorCode": ["x"]}]}]
)
def test_json_of_another_shape_kills_no_token(error: Any) -> None:
    assert outcome(HttpResponse(404, (), json.dumps({"error": error}).encode())).verdict is Verdict.MISCONFIGURED


# Against the mock.


@pytest.fixture
async def opened(mock: MockProviders, clock: FakeClock) -> AsyncIterator[Opened]:
    made: list[FcmProvider] = []

    def make(**settings: Any) -> FcmProvider:
        tools = ProviderContext(clock=clock, random=bytes, open_http=open_http)
        made.append(
            FcmProvider(FcmSettings(**mock.fcm.app(**{"timeout": 20.0, "http": mock.http()} | settings)), tools)
        )
        return made[-1]

    yield make
    for provider in made:
        await provider.close()


def note(*tokens: str, kind: str = "token", body: bytes = b'{"data":{"k":"v"}}') -> Notification:
    message = Message(provider="fcm", body=body)
    ends = Millis(2**41)
    return Notification(ident=bytes(16), app="app", target_kind=kind, targets=tokens, message=message, expires_at=ends)


@pytest.mark.parametrize("kind,target", [("token", "abc:def"), ("topic", "news"), ("condition", "'a' in topics")])
async def test_each_kind_of_target_is_sent_to(mock: MockProviders, opened: Opened, kind: str, target: str) -> None:
    assert await attempt(opened(), note(target, kind=kind)) == [ACCEPTED]
    assert mock.log[-1]["token"] == target


async def test_a_message_of_nothing_is_still_one(mock: MockProviders, opened: Opened) -> None:
    assert await attempt(opened(), note("a", body=b"{}")) == [ACCEPTED]


@pytest.mark.parametrize("token", ["", "x" * 5000])
async def test_what_can_be_no_token_is_never_sent(mock: MockProviders, opened: Opened, token: str) -> None:
    assert await attempt(opened(), note(token)) == [Outcome(Verdict.DEAD_TOKEN, "INVALID_ARGUMENT")]
    assert not mock.log


async def test_a_token_cannot_break_out_of_its_place(mock: MockProviders, opened: Opened) -> None:
    strange = 'a","topic":"news\u2028\\'

    assert await attempt(opened(), note(strange)) == [ACCEPTED]
    assert mock.log[-1]["token"] == strange


async def test_many_pushes_ask_for_one_access_token(mock: MockProviders, opened: Opened) -> None:
    provider = opened()

    await asyncio.gather(*(attempt(provider, note("a", "b")) for _ in range(20)))

    assert (provider.tokens_requested, mock.count("oauth"), mock.count("fcm", 200)) == (1, 1, 40)


async def test_an_access_token_is_renewed_before_it_ends_and_nobody_waits(
    mock: MockProviders, opened: Opened, clock: FakeClock
) -> None:
    provider = opened()
    await attempt(provider, note("a"))
    clock.advance(3600 - 200)

    mock.rule({"match": {"provider": "oauth"}, "reply": {"blackhole": True}})
    assert await attempt(provider, note("a")) == [ACCEPTED]

    assert provider.tokens_requested == 2


async def test_an_access_token_that_has_ended_is_asked_for_again(
    mock: MockProviders, opened: Opened, clock: FakeClock
) -> None:
    provider = opened()
    await attempt(provider, note("a"))
    clock.advance(3601)

    assert await attempt(provider, note("a")) == [ACCEPTED]
    assert provider.tokens_requested == 2


async def test_a_refused_access_token_is_renewed_once(mock: MockProviders, opened: Opened) -> None:
    provider = opened()
    await attempt(provider, note("a"))
    mock.fcm.tokens.clear()

    assert await attempt(provider, note("a", "b", "c")) == [ACCEPTED] * 3
    assert provider.tokens_requested == 2


async def test_a_new_access_token_that_is_refused_too_is_the_operators(mock: MockProviders, opened: Opened) -> None:
    mock.rule({"match": {"provider": "fcm"}, "reply": {"status": 401, "reason": "-"}})
    provider = opened()

    [outcome] = await attempt(provider, note("a"))

    assert outcome == Outcome(Verdict.MISCONFIGURED, "UNAUTHENTICATED", scope=Scope.APP)
    assert provider.tokens_requested == 2


@pytest.mark.parametrize(
    "reply,outcome",
    [
        ({"status": 400, "reason": "bad"}, Outcome(Verdict.MISCONFIGURED, "token bad", scope=Scope.APP)),
        ({"status": 401}, Outcome(Verdict.MISCONFIGURED, "token server_error", scope=Scope.APP)),
        ({"status": 503, "retry_after": 30}, Outcome(Verdict.RETRY, "token server_error", after=30.0, scope=Scope.APP)),
        ({"status": 429}, Outcome(Verdict.RETRY, "token server_error", scope=Scope.APP)),
        ({"close": True}, Outcome(Verdict.RETRY, "token closed", scope=Scope.APP)),
        ({"body": "[]"}, Outcome(Verdict.RETRY, "token HTTP 200", scope=Scope.APP)),
        ({"body": '{"access_token": "a\\nb"}'}, Outcome(Verdict.RETRY, "token HTTP 200", scope=Scope.APP)),
    ],
)  # fmt: skip
async def test_without_an_access_token_nothing_is_sent(
    mock: MockProviders, opened: Opened, reply: dict[str, Any], outcome: Outcome
) -> None:
    mock.rule({"match": {"provider": "oauth"}, "reply": reply})
    provider = opened()

    assert await attempt(provider, note("a", "b")) == [outcome] * 2
    assert await attempt(provider, note("a")) == [outcome]

    assert (mock.count("fcm"), provider.tokens_requested) == (0, 1)


async def test_after_a_pause_the_access_token_is_asked_for_again(
    mock: MockProviders, opened: Opened, clock: FakeClock
) -> None:
    mock.rule({"match": {"provider": "oauth"}, "reply": {"status": 503}, "times": 1})
    provider = opened()
    await attempt(provider, note("a"))
    clock.advance(2)

    assert await attempt(provider, note("a")) == [ACCEPTED]


async def test_data_is_padded_to_the_next_size(mock: MockProviders, opened: Opened) -> None:
    sizes = set()
    for value in ("v", "w" * 50):
        await attempt(opened(sizes=(256, 1024)), note("a", body=json.dumps({"data": {"k": value}}).encode()))
        sizes.add(mock.log[-1]["bytes"])

    assert len(sizes) == 1


@pytest.mark.parametrize(
    "body,field",
    [
        ([], "body"),
        ({"topic": "news"}, "body.topic"),
        ({"data": []}, "body.data"),
        ({"data": {"n": 1}}, "body.data.n"),
        ({"data": {"from": "me"}}, "body.data.from"),
        ({"data": {"google.x": "me"}}, "body.data.google.x"),
        ({"data": {"gcm": "me"}}, "body.data.gcm"),
        ({"data": {"k": "v" * 4096}}, "body.data and body.notification"),
        ({"data": {"k": "v" * 2048}, "notification": {"body": "v" * 2048}}, "body.data and body.notification"),
    ],
)
async def test_what_google_never_takes_is_refused_by_name(opened: Opened, body: Any, field: str) -> None:
    with pytest.raises(CallerError) as told:
        opened().check(Message(provider="fcm", body=json.dumps(body).encode()))

    assert told.value.field == field


@pytest.mark.parametrize(
    "changes,setting",
    [
        ({"client_email": ""}, "fcm.credentials_file"),
        ({"private_key": "x"}, "fcm.credentials_file"),
        ({"private_key": None}, "fcm.credentials_file"),
        ({"token_uri": "http://example.org/token"}, "fcm.credentials_file"),
        ({"project_id": ""}, "fcm.project"),
        ({"project_id": "a/../b"}, "fcm.project"),
    ],
)
async def test_a_service_account_that_lacks_something_is_reported(
    mock: MockProviders, opened: Opened, tmp_path: Path, changes: dict[str, Any], setting: str
) -> None:
    account = json.loads(mock.fcm.credentials_file.read_text()) | changes
    file = tmp_path / "account.json"
    file.write_text(json.dumps(account))

    with pytest.raises(ConfigError, match=setting):
        opened(credentials_file=str(file))


async def test_an_unchanged_account_keeps_its_access_token_when_it_is_read_again(
    mock: MockProviders, opened: Opened
) -> None:
    provider = opened()
    await attempt(provider, note("a"))

    provider.reload()
    await attempt(provider, note("a"))

    assert mock.count("oauth") == 1
