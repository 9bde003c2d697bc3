"""Many tokens in one request: what one response means for each of them, at Huawei and at Pushy."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.errors import CallerError, ConfigError
from hushbell.http.client import open_http
from hushbell.ports.provider import Provider, ProviderContext
from hushbell.providers.huawei.provider import HuaweiProvider
from hushbell.providers.huawei.settings import HuaweiSettings
from hushbell.providers.pushy.provider import PushyProvider
from hushbell.providers.pushy.settings import PushySettings
from hushbell.testing.clock import FakeClock
from hushbell.testing.mock.server import MockProviders
from hushbell.testing.scripted_provider import attempt
from hushbell.types import Millis

Opened = Callable[..., Any]


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
