"""A gateway elsewhere: what it is sent, and what its answers mean for each push."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.core.delivery import push_ids
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.errors import CallerError, ConfigError
from hushbell.http.client import open_http
from hushbell.ports.provider import ProviderContext
from hushbell.providers.gorush.outcome import logged_outcomes
from hushbell.providers.gorush.provider import GorushProvider
from hushbell.providers.gorush.settings import GorushSettings
from hushbell.providers.hushbell.provider import HushbellProvider, own_outcome
from hushbell.providers.hushbell.settings import HushbellSettings
from hushbell.testing.clock import FakeClock
from hushbell.testing.mock.server import MockProviders
from hushbell.testing.scripted_provider import attempt
from hushbell.types import Millis

Opened = Callable[..., Any]
BODY = b'{"platform":1,"message":"hi","topic":"org.example.app"}'


@pytest.fixture
async def opened(mock: MockProviders) -> AsyncIterator[Opened]:
    made: list[GorushProvider] = []

    def make(kind: Any = GorushProvider, **settings: Any) -> Any:
        tools = ProviderContext(clock=FakeClock(), random=bytes, open_http=open_http)
        given = {"timeout": 20.0, "http": mock.http()} | settings
        if kind is GorushProvider:
            made.append(GorushProvider(GorushSettings(**mock.gorush.app(**given)), tools))
        else:
            made.append(HushbellProvider(HushbellSettings(**mock.gorush.app(**given)), tools))
        return made[-1]

    yield make
    for provider in made:
        await provider.close()


def note(*tokens: str, kind: str = "token", body: bytes = BODY) -> Notification:
    message = Message(provider="gorush", body=body)
    ends = Millis(2**41)
    return Notification(
        ident=bytes(range(16)), app="app", target_kind=kind, targets=tokens, message=message, expires_at=ends
    )


async def test_each_token_is_a_notification_of_its_own_name(mock: MockProviders, opened: Opened) -> None:
    await attempt(opened(), note("aa", "bb"))

    assert [request.json for request in mock.requests] == [
        {
            "notifications": [
                json.loads(BODY) | {"tokens": [token], "notif_id": push_ids.push_id(bytes(range(16)), place)}
                for place, token in enumerate(("aa", "bb"))
            ]
        }
    ]


@pytest.mark.parametrize("kind,field", [("topic", "topic"), ("condition", "condition")])
async def test_topics_and_conditions_go_where_gorush_has_them(
    mock: MockProviders, opened: Opened, kind: str, field: str
) -> None:
    assert await attempt(opened(), note("news", kind=kind, body=b'{"platform":2}')) == [ACCEPTED]
    assert mock.log[0]["token"] == "news"


async def test_a_kind_of_target_that_does_not_exist_is_the_callers(opened: Opened) -> None:
    [outcome] = await attempt(opened(), note("x", kind="everybody"))

    assert outcome.verdict is Verdict.INVALID


async def sent_together(provider: Any, *notes: Notification) -> list[Outcome]:
    """Have a provider try notifications with a single target in one turn of the event loop."""
    return [outcome for [outcome] in await asyncio.gather(*(attempt(provider, each) for each in notes))]


def whole(number: int, item: str) -> Notification:
    """Return a notification whose body names its target."""
    return note(f"token-{number}", body=item.encode())._replace(ident=bytes([number]) * 16)


async def test_bodies_that_name_their_targets_leave_as_they_are_in_one_request(
    mock: MockProviders, opened: Opened
) -> None:
    items = [f'{{"tokens":["token-{n}"],"platform":1,"data":{{"chatId":"0x{n}"}}}}' for n in range(1, 4)]

    outcomes = await sent_together(opened(), *(whole(n, item) for n, item in enumerate(items, 1)))

    assert outcomes == [ACCEPTED] * 3
    assert [request.request.body.decode() for request in mock.requests] == [f'{{"notifications":[{",".join(items)}]}}']


async def test_items_of_the_specification_that_are_alike_have_their_tokens_side_by_side(
    mock: MockProviders, opened: Opened
) -> None:
    def item(number: int, chat: str) -> str:
        return (
            f'{{"tokens":["token-{number}"],"platform":1,"message":"hi"'
            f',"data":{{"chat_id":"{chat}","message":"0x","installation_ids":["],\\"platform\\":{number}"]}}}}'
        )

    await sent_together(opened(), *(whole(n, item(n, chat)) for n, chat in enumerate(("0x0a", "0x0b", "0x0a"), 1)))

    [request] = mock.requests
    assert [(each["tokens"], each["data"]) for each in request.json["notifications"]] == [
        (
            ["token-1", "token-3"],
            {"chat_id": "0x0a", "message": "0x", "installation_ids": ['],"platform":1', '],"platform":3']},
        ),
        (["token-2"], {"chat_id": "0x0b", "message": "0x", "installation_ids": ['],"platform":2']}),
    ]


async def test_closing_sends_what_was_gathered(mock: MockProviders, opened: Opened) -> None:
    provider = opened()
    trying = asyncio.create_task(attempt(provider, whole(1, '{"tokens":["token-1"],"platform":1}')))
    await asyncio.sleep(0)

    await provider.close()

    assert len(await trying) == 1


async def test_no_request_holds_more_than_the_other_takes(mock: MockProviders, opened: Opened) -> None:
    assert await attempt(opened(batch=3), note(*(f"{n:02x}" for n in range(7)))) == [ACCEPTED] * 7
    assert mock.count("gorush") == 3


async def test_a_request_that_is_refused_as_a_whole_is_repeated_piece_by_piece(
    mock: MockProviders, opened: Opened
) -> None:
    mock.rule({"match": {"provider": "gorush", "token_prefix": "bad"}, "reply": {"status": 400}})

    outcomes = await attempt(opened(), note("aa", "bad", "cc"))

    assert [outcome.verdict for outcome in outcomes] == [Verdict.ACCEPTED, Verdict.INVALID, Verdict.ACCEPTED]


@pytest.mark.parametrize(
    "kind,reason,outcome",
    [
        (GorushProvider, "Unregistered", Outcome(Verdict.DEAD_TOKEN, "Unregistered")),
        (GorushProvider, "Requested entity was not found.", Outcome(Verdict.DEAD_TOKEN, "UNREGISTERED")),
        (GorushProvider, "BadCollapseId", Outcome(Verdict.INVALID, "BadCollapseId")),
        (GorushProvider, "dial tcp: lookup", Outcome(Verdict.RETRY, "failed-push")),
        (HushbellProvider, "Unregistered", Outcome(Verdict.DEAD_TOKEN, "Unregistered", since=Millis(7))),
        (HushbellProvider, "ServiceUnavailable", Outcome(Verdict.RETRY, "ServiceUnavailable")),
        (HushbellProvider, "SomethingNew", Outcome(Verdict.INVALID, "SomethingNew")),
    ],
)
async def test_the_logs_tell_what_came_of_each_push(
    mock: MockProviders, opened: Opened, kind: Any, reason: str, outcome: Outcome
) -> None:
    reply = {"reason": reason, "timestamp": 7}
    mock.rule({"match": {"token_prefix": "bb"}, "reply": reply})

    assert await attempt(opened(kind), note("aa", "bb", "cc")) == [ACCEPTED, outcome, ACCEPTED]


async def test_a_repeated_request_has_the_same_key_and_another_has_another(mock: MockProviders, opened: Opened) -> None:
    provider = opened(HushbellProvider)

    await attempt(provider, note("aa", "bb"))
    await attempt(provider, note("aa", "bb"))
    await attempt(provider, note("aa"))

    first, second, third = (request.request.headers["idempotency-key"] for request in mock.requests)
    assert first == second
    assert third != first


@pytest.mark.parametrize(
    "log,outcome",
    [
        ({}, None),
        ({"code": 1}, None),
        ({"code": "a b"}, None),
        ({"code": "x"}, None),
        ({"code": "x", "token_dead": True}, Outcome(Verdict.DEAD_TOKEN, "x")),
        ({"code": "x", "token_dead": True, "timestamp": -1}, Outcome(Verdict.DEAD_TOKEN, "x")),
        ({"code": "x", "token_dead": "yes"}, None),
        ({"code": "x", "retryable": True}, Outcome(Verdict.RETRY, "x")),
        ({"code": "x", "retryable": True, "retry_after": 5}, Outcome(Verdict.RETRY, "x", after=5.0)),
        ({"code": "x", "retryable": True, "retry_after": 1e9}, Outcome(Verdict.RETRY, "x")),
        ({"code": "x", "retryable": True, "retry_after": "5"}, Outcome(Verdict.RETRY, "x")),
        ({"code": "x", "retryable": False}, Outcome(Verdict.INVALID, "x")),
    ],
)
def test_each_line_of_a_hushbell_gateway_has_its_outcome(log: dict[str, Any], outcome: Outcome | None) -> None:
    assert own_outcome(log) == outcome


LOG_FIELDS = st.sampled_from(["type", "notif_id", "error", "code", "token_dead", "retryable", "timestamp", "x"])
VALUES = st.none() | st.booleans() | st.integers() | st.sampled_from(["failed-push", "a", "Unregistered", "\n"])


@given(VALUES | st.dictionaries(LOG_FIELDS, VALUES, max_size=6))
def test_logs_of_any_shape_are_survived(logs: Any) -> None:
    provider = HushbellProvider.__new__(HushbellProvider)

    for body in ({"logs": logs}, {"logs": [logs]}, logs):
        assert isinstance(provider._logged(json.dumps(body).encode()), dict)


def test_an_address_that_shows_tokens_on_the_way_is_refused(mock: MockProviders) -> None:
    tools = ProviderContext(clock=FakeClock(), random=bytes, open_http=open_http)

    with pytest.raises(ConfigError, match=r"gorush.url"):
        GorushProvider(GorushSettings(**mock.gorush.app(url="http://gorush.example.org")), tools)
    GorushProvider(GorushSettings(**mock.gorush.app(url="http://127.0.0.1:8088")), tools)


@pytest.mark.parametrize(
    "body,field",
    [
        (b"[]", "body"),
        (b"{}", "body.platform"),
        (b'{"platform":4}', "body.platform"),
        (b'{"platform":1,"to":"x"}', "body.to"),
        (b'{"platform":1,"notif_id":"x"}', "body.notif_id"),
    ],
)
async def test_what_is_no_notification_is_refused_by_name(opened: Opened, body: bytes, field: str) -> None:
    with pytest.raises(CallerError) as told:
        opened().check(Message(provider="gorush", body=body))

    assert told.value.field == field


async def test_a_server_under_load_says_when_to_come_back(mock: MockProviders, opened: Opened) -> None:
    mock.rule({"reply": {"status": 429, "retry_after": 17}})

    assert await attempt(opened(), note("aa")) == [Outcome(Verdict.RETRY, "HTTP 429", after=17.0, scope=Scope.PROVIDER)]


async def test_a_slash_at_the_end_of_the_url_is_no_second_one(mock: MockProviders, opened: Opened) -> None:
    await attempt(opened(url="https://localhost/"), note("aa"))

    assert mock.requests[0].request.path == "/api/push"


@given(
    st.binary()
    | st.recursive(
        st.none() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["logs", "notif_id", "type", "error", "timestamp"]), x),
    ).map(lambda x: json.dumps(x).encode())
)
def test_any_answer_is_read_without_an_error(answer: bytes) -> None:
    assert isinstance(logged_outcomes(answer), dict)


async def test_each_logged_failure_is_the_outcome_of_its_name(mock: MockProviders, opened: Opened) -> None:
    names = [push_ids.push_id(bytes(range(16)), index) for index in range(4)]
    logs = [
        {"type": "failed-push", "notif_id": names[1], "error": "Unregistered", "timestamp": 5},
        {"type": "failed-push", "notif_id": names[2], "error": "Requested entity was not found."},
        {"type": "failed-push", "notif_id": names[3], "error": 'Post "https://…/token": EOF'},
    ]
    mock.rule({"reply": {"body": json.dumps({"success": "ok", "counts": 4, "logs": logs})}})

    outcomes = await attempt(opened(), note("aa", "bb", "cc", "dd"))

    assert [outcome.verdict.name for outcome in outcomes] == ["ACCEPTED", "DEAD_TOKEN", "DEAD_TOKEN", "RETRY"]
    assert outcomes[1].since == 5
    assert outcomes[3].reason == "failed-push"
