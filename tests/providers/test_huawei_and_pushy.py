"""Huawei and Pushy: many tokens in one request, and what one answer means for each."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.errors import CallerError, ConfigError
from hushbell.http.client import open_http
from hushbell.ports.http import HttpResponse
from hushbell.ports.provider import Provider, ProviderContext
from hushbell.providers.huawei import outcome as huawei_outcome
from hushbell.providers.huawei.provider import HuaweiProvider
from hushbell.providers.huawei.settings import HuaweiSettings
from hushbell.providers.pushy import outcome as pushy_outcome
from hushbell.providers.pushy.provider import PushyProvider
from hushbell.providers.pushy.settings import PushySettings
from hushbell.testing.clock import FakeClock
from hushbell.testing.mock.server import MockProviders
from hushbell.testing.scripted_provider import attempt
from hushbell.types import Millis

Opened = Callable[..., Any]

HUAWEI: list[tuple[int, str, Verdict, Scope]] = [
    (200, "80000000", Verdict.ACCEPTED, Scope.TOKEN),
    (200, "80100000", Verdict.ACCEPTED, Scope.TOKEN),
    (200, "80100001", Verdict.INVALID, Scope.TOKEN),
    (200, "80100003", Verdict.INVALID, Scope.TOKEN),
    (200, "80100004", Verdict.INVALID, Scope.TOKEN),
    (200, "80100013", Verdict.INVALID, Scope.TOKEN),
    (200, "80100016", Verdict.INVALID, Scope.TOKEN),
    (200, "80100017", Verdict.RETRY, Scope.APP),
    (200, "80100018", Verdict.INVALID, Scope.TOKEN),
    (200, "80200001", Verdict.MISCONFIGURED, Scope.APP),
    (401, "80200003", Verdict.MISCONFIGURED, Scope.APP),
    (401, "80200005", Verdict.MISCONFIGURED, Scope.APP),
    (200, "80300002", Verdict.MISCONFIGURED, Scope.APP),
    (200, "80300007", Verdict.DEAD_TOKEN, Scope.TOKEN),
    (400, "80300007", Verdict.DEAD_TOKEN, Scope.TOKEN),
    (200, "80300008", Verdict.INVALID, Scope.TOKEN),
    (200, "80300010", Verdict.INVALID, Scope.TOKEN),
    (200, "80300011", Verdict.INVALID, Scope.TOKEN),
    (200, "80300013", Verdict.MISCONFIGURED, Scope.APP),
    (200, "80600003", Verdict.RETRY, Scope.APP),
    (200, "81000001", Verdict.RETRY, Scope.PROVIDER),
    # Codes in answers that are not theirs, codes that nobody knew, and none.
    (503, "80300007", Verdict.RETRY, Scope.PROVIDER),
    (502, "80000000", Verdict.RETRY, Scope.PROVIDER),
    (200, "80199999", Verdict.INVALID, Scope.TOKEN),
    (200, "82000001", Verdict.RETRY, Scope.APP),
    (200, "", Verdict.UNKNOWN, Scope.PROVIDER),
    (301, "", Verdict.MISCONFIGURED, Scope.PROVIDER),
    (400, "", Verdict.RETRY, Scope.PROVIDER),
    (401, "", Verdict.MISCONFIGURED, Scope.APP),
    (403, "", Verdict.MISCONFIGURED, Scope.APP),
    (404, "", Verdict.MISCONFIGURED, Scope.PROVIDER),
    (413, "", Verdict.INVALID, Scope.TOKEN),
    (429, "", Verdict.RETRY, Scope.PROVIDER),
    (503, "", Verdict.RETRY, Scope.PROVIDER),
]


def answered(status: int, said: Any, *headers: tuple[str, str]) -> HttpResponse:
    return HttpResponse(status, headers, json.dumps(said).encode())


@pytest.mark.parametrize("status,code,verdict,scope", HUAWEI)
def test_each_of_huaweis_codes_has_its_outcome(status: int, code: str, verdict: Verdict, scope: Scope) -> None:
    result, dead = huawei_outcome.outcome(answered(status, {"code": code, "msg": "x", "requestId": "1"}))

    assert (result.verdict, result.scope, tuple(dead)) == (verdict, scope, ())


def test_the_table_leaves_no_code_of_huaweis_out() -> None:
    assert set(huawei_outcome._TABLE) <= {code for _, code, _, _ in HUAWEI}


@pytest.mark.parametrize(
    "said",
    [
        {"msg": json.dumps({"success": 1, "failure": 2, "illegal_tokens": ["a", "b"]})},
        {"msg": "Partial", "illegal_tokens": ["a", "b", 3]},
    ],
)
def test_a_partial_success_names_the_dead_and_nobody_else(said: dict[str, Any]) -> None:
    result, dead = huawei_outcome.outcome(answered(200, {"code": "80100000"} | said))

    assert (result, set(dead)) == (ACCEPTED, {"a", "b"})


@pytest.mark.parametrize("told", ["", "{", "[]", '{"illegal_tokens": 1}', "[" * 10_000])
def test_a_partial_success_that_names_nobody_is_one(told: str) -> None:
    assert huawei_outcome.outcome(answered(200, {"code": "80100000", "msg": told})) == (ACCEPTED, ())


PUSHY: list[tuple[int, Any, Verdict, Scope]] = [
    (200, {"success": True, "id": "x", "info": {"devices": 1}}, Verdict.ACCEPTED, Scope.TOKEN),
    (200, {"success": False}, Verdict.UNKNOWN, Scope.PROVIDER),
    (200, [], Verdict.UNKNOWN, Scope.PROVIDER),
    (400, {"code": "NO_RECIPIENTS"}, Verdict.DEAD_TOKEN, Scope.TOKEN),
    (404, {"code": "NO_RECIPIENTS"}, Verdict.DEAD_TOKEN, Scope.TOKEN),
    (500, {"code": "NO_RECIPIENTS"}, Verdict.RETRY, Scope.PROVIDER),
    (400, {"code": "INVALID_API_KEY"}, Verdict.MISCONFIGURED, Scope.APP),
    (401, {"code": "UNAUTHORIZED"}, Verdict.MISCONFIGURED, Scope.APP),
    (403, {"code": "ACCOUNT_SUSPENDED"}, Verdict.MISCONFIGURED, Scope.APP),
    (402, {"code": "SUBSCRIPTION_EXPIRED"}, Verdict.MISCONFIGURED, Scope.APP),
    (404, {"code": "APP_NOT_FOUND"}, Verdict.MISCONFIGURED, Scope.APP),
    (400, {"code": "RATE_LIMIT_EXCEEDED"}, Verdict.RETRY, Scope.PROVIDER),
    (429, {"code": "RATE_LIMIT_EXCEEDED"}, Verdict.RETRY, Scope.APP),
    (400, {"code": "INTERNAL_ERROR"}, Verdict.RETRY, Scope.PROVIDER),
    (500, {"code": "INTERNAL_ERROR"}, Verdict.RETRY, Scope.PROVIDER),
    (400, {"code": "PAYLOAD_LIMIT_EXCEEDED"}, Verdict.INVALID, Scope.TOKEN),
    (413, None, Verdict.INVALID, Scope.TOKEN),
    (400, None, Verdict.RETRY, Scope.PROVIDER),
    (401, None, Verdict.MISCONFIGURED, Scope.APP),
    (402, None, Verdict.MISCONFIGURED, Scope.APP),
    (403, None, Verdict.MISCONFIGURED, Scope.APP),
    (404, None, Verdict.MISCONFIGURED, Scope.PROVIDER),
    (302, None, Verdict.MISCONFIGURED, Scope.PROVIDER),
    (408, None, Verdict.RETRY, Scope.PROVIDER),
    (503, None, Verdict.RETRY, Scope.PROVIDER),
    (204, None, Verdict.UNKNOWN, Scope.PROVIDER),
]


@pytest.mark.parametrize("status,said,verdict,scope", PUSHY)
def test_each_of_pushys_answers_has_its_outcome(status: int, said: Any, verdict: Verdict, scope: Scope) -> None:
    result, dead = pushy_outcome.outcome(answered(status, said))

    assert (result.verdict, result.scope, tuple(dead)) == (verdict, scope, ())


@pytest.mark.parametrize("failed,dead", [(["a"], {"a"}), ([1, None, "b"], {"b"}), ("a", set()), (None, set())])
def test_pushy_names_the_dead(failed: Any, dead: set[str]) -> None:
    result, told = pushy_outcome.outcome(answered(200, {"success": True, "info": {"failed": failed}}))

    assert (result, set(told)) == (ACCEPTED, dead)


@given(st.integers(100, 599), st.binary(max_size=200))
def test_any_body_has_an_outcome_and_kills_no_token(status: int, body: bytes) -> None:
    for outcome in (huawei_outcome.outcome, pushy_outcome.outcome):
        result, dead = outcome(HttpResponse(status, (), body))

        assert result.verdict is not Verdict.DEAD_TOKEN
        assert not dead


# Against the stand-in.


@pytest.fixture
async def opened(mock: MockProviders, clock: FakeClock) -> AsyncIterator[Opened]:
    made: list[Provider] = []

    def make(kind: Any, **settings: Any) -> Any:
        tools = ProviderContext(clock=clock, random=bytes, open_http=open_http)
        given = {"timeout": 20.0, "http": mock.http()} | settings
        if kind is HuaweiProvider:
            made.append(HuaweiProvider(HuaweiSettings(**mock.huawei.app(**given)), tools))
        else:
            made.append(PushyProvider(PushySettings(**mock.pushy.app(**given)), tools))
        return made[-1]

    yield make
    for provider in made:
        await provider.close()


BODIES = {HuaweiProvider: b'{"data":"{\\"k\\":1}"}', PushyProvider: b'{"data":{"k":1}}'}


def note(kind: Any, *tokens: str, to: str = "token", body: bytes = b"") -> Notification:
    message = Message(provider=kind.name, body=body or BODIES[kind])
    ends = Millis(FakeClock().now() + 60_000)
    return Notification(ident=bytes(16), app="app", target_kind=to, targets=tokens, message=message, expires_at=ends)


@pytest.mark.parametrize("kind", [HuaweiProvider, PushyProvider])
async def test_a_thousand_tokens_travel_together_and_not_one_more(
    mock: MockProviders, opened: Opened, kind: Any
) -> None:
    tokens = [f"t{number}" for number in range(1001)]

    assert await attempt(opened(kind), note(kind, *tokens)) == [ACCEPTED] * 1001
    assert sorted(len(line["token"].split()) for line in mock.log if line["provider"] == kind.name) == [1, 1000]


@pytest.mark.parametrize("kind", [HuaweiProvider, PushyProvider])
async def test_the_dead_are_dropped_and_nobody_is_rung_twice(mock: MockProviders, opened: Opened, kind: Any) -> None:
    reply = {"status": 400, "reason": "NO_RECIPIENTS"} if kind is PushyProvider else {"reason": "80300007"}
    mock.rule({"match": {"provider": kind.name, "token_prefix": "dead"}, "reply": reply})

    outcomes = await attempt(opened(kind), note(kind, "a", "dead1", "b", "dead2", "a"))

    assert [outcome.verdict for outcome in outcomes] == [
        *(Verdict.ACCEPTED, Verdict.DEAD_TOKEN, Verdict.ACCEPTED, Verdict.DEAD_TOKEN, Verdict.ACCEPTED)
    ]
    assert mock.count(kind.name) == 1


@pytest.mark.parametrize(
    "kind,to,targets",
    [
        (HuaweiProvider, "topic", ["a", "b"]),
        (HuaweiProvider, "condition", ["'a' in topics"]),
        (PushyProvider, "topic", ["a"]),
    ],
)
async def test_topics_are_sent_to_one_by_one(
    mock: MockProviders, opened: Opened, kind: Any, to: str, targets: list[str]
) -> None:
    assert await attempt(opened(kind), note(kind, *targets, to=to)) == [ACCEPTED] * len(targets)
    assert mock.count(kind.name) == len(targets)


@pytest.mark.parametrize("kind", [HuaweiProvider, PushyProvider])
async def test_a_kind_of_target_that_does_not_exist_is_the_callers(opened: Opened, kind: Any) -> None:
    [outcome] = await attempt(opened(kind), note(kind, "x", to="everybody"))

    assert outcome.verdict is Verdict.INVALID


@pytest.mark.parametrize("kind", [HuaweiProvider, PushyProvider])
async def test_data_is_padded_to_the_next_size(mock: MockProviders, opened: Opened, kind: Any) -> None:
    sizes = set()
    for text in ("a", "b" * 40):
        data: Any = {"k": text}
        body = json.dumps({"data": data if kind is PushyProvider else json.dumps(data)}).encode()
        await attempt(opened(kind, sizes=(256,)), note(kind, "t", body=body))
        sizes.add(mock.log[-1]["bytes"])

    assert len(sizes) == 1


async def test_text_that_is_no_json_is_not_padded_for_huawei(mock: MockProviders, opened: Opened) -> None:
    assert await attempt(opened(HuaweiProvider, sizes=(256,)), note(HuaweiProvider, "t", body=b'{"data":"x"}')) == [
        ACCEPTED
    ]


async def test_an_access_token_of_huaweis_is_shared_and_renewed_when_it_is_refused(
    mock: MockProviders, opened: Opened, clock: FakeClock
) -> None:
    provider = opened(HuaweiProvider)
    await asyncio.gather(*(attempt(provider, note(HuaweiProvider, "t")) for _ in range(5)))
    assert provider.tokens_requested == 1

    mock.huawei.tokens.clear()
    assert await attempt(provider, note(HuaweiProvider, "t")) == [ACCEPTED]
    clock.advance(3601)
    assert await attempt(provider, note(HuaweiProvider, "t")) == [ACCEPTED]
    provider.reload()
    assert await attempt(provider, note(HuaweiProvider, "t")) == [ACCEPTED]

    assert provider.tokens_requested == 3


async def test_an_access_token_that_is_refused_again_is_the_operators(mock: MockProviders, opened: Opened) -> None:
    mock.rule({"match": {"provider": "huawei"}, "reply": {"reason": "80200003"}})

    [outcome] = await attempt(opened(HuaweiProvider), note(HuaweiProvider, "t"))

    assert outcome == Outcome(Verdict.MISCONFIGURED, "access token refused", scope=Scope.APP)
    assert mock.count("huawei") == 2


async def test_without_an_access_token_nothing_goes_to_huawei(mock: MockProviders, opened: Opened) -> None:
    mock.rule({"match": {"provider": "oauth"}, "reply": {"status": 400, "reason": "invalid_client"}})

    outcomes = await attempt(opened(HuaweiProvider), note(HuaweiProvider, "t", "u"))

    assert outcomes == [Outcome(Verdict.MISCONFIGURED, "token invalid_client", scope=Scope.APP)] * 2
    assert not mock.count("huawei")


async def test_pushy_keeps_nothing_longer_than_the_notification_lives(mock: MockProviders, opened: Opened) -> None:
    provider = opened(PushyProvider)

    await attempt(provider, note(PushyProvider, "t"))
    await attempt(provider, note(PushyProvider, "t", body=b'{"data":{},"time_to_live":5,"collapse_key":"mine"}'))

    bodies = [request.json for request in mock.requests]
    assert [(body["time_to_live"], body["collapse_key"]) for body in bodies] == [(60, "0" * 32), (5, "mine")]


@pytest.mark.parametrize(
    "kind,body,field",
    [
        (HuaweiProvider, {"topic": "x"}, "body.topic"),
        (HuaweiProvider, {"condition": "x"}, "body.condition"),
        (HuaweiProvider, {"data": {}}, "body.data"),
        (HuaweiProvider, {"data": "x" * 4096}, "body"),
        (PushyProvider, {"data": []}, "body.data"),
        (PushyProvider, {"data": {"k": "x" * 4096}}, "body.data"),
        (PushyProvider, {"time_to_live": -1}, "body.time_to_live"),
        (PushyProvider, {"time_to_live": 10**9}, "body.time_to_live"),
        (PushyProvider, {"time_to_live": "5"}, "body.time_to_live"),
    ],
)
async def test_what_is_never_taken_is_refused_by_name(opened: Opened, kind: Any, body: Any, field: str) -> None:
    with pytest.raises(CallerError) as told:
        opened(kind).check(Message(provider=kind.name, body=json.dumps(body).encode()))

    assert told.value.field == field


async def test_an_app_id_is_one(opened: Opened) -> None:
    with pytest.raises(ConfigError, match=r"huawei.app_id"):
        opened(HuaweiProvider, app_id="../x")
