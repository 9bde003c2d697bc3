"""Web Push and UnifiedPush: subscriptions, VAPID, headers, what hosts of users' own may and may not do."""

import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.config.gateway import HttpSettings
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.errors import CallerError, ConfigError
from hushbell.http.client import open_http
from hushbell.ports.http import HttpResponse
from hushbell.ports.provider import ProviderContext
from hushbell.providers.unifiedpush.provider import UnifiedPushProvider
from hushbell.providers.unifiedpush.settings import UnifiedPushSettings
from hushbell.providers.webpush.outcome import outcome
from hushbell.providers.webpush.provider import WebPushProvider
from hushbell.providers.webpush.settings import WebPushSettings
from hushbell.providers.webpush.subscription import parse
from hushbell.providers.webpush.vapid import Vapid
from hushbell.testing.certificates import new_key
from hushbell.testing.clock import FakeClock
from hushbell.testing.mock.server import MockProviders
from hushbell.testing.scripted_provider import attempt
from hushbell.types import Millis

Opened = Callable[..., WebPushProvider]
SUBJECT = "mailto:operator@example.org"


@pytest.mark.parametrize(
    "status,verdict,after",
    [
        (200, Verdict.ACCEPTED, None),
        (201, Verdict.ACCEPTED, None),
        (202, Verdict.ACCEPTED, None),
        (204, Verdict.ACCEPTED, None),
        (404, Verdict.DEAD_TOKEN, None),
        (410, Verdict.DEAD_TOKEN, None),
        (400, Verdict.INVALID, None),
        (413, Verdict.INVALID, None),
        (301, Verdict.INVALID, None),
        (405, Verdict.INVALID, None),
        (401, Verdict.RETRY, 300.0),
        (403, Verdict.RETRY, 300.0),
        (408, Verdict.RETRY, 9.0),
        (425, Verdict.RETRY, 9.0),
        (429, Verdict.RETRY, 9.0),
        (500, Verdict.RETRY, 9.0),
        (507, Verdict.RETRY, 9.0),
        (199, Verdict.UNKNOWN, None),
    ],
)
def test_each_status_has_its_outcome_and_concerns_one_push(status: int, verdict: Verdict, after: float | None) -> None:
    result = outcome(HttpResponse(status, (("retry-after", "9"),), b""))

    assert (result.verdict, result.after, result.scope) == (verdict, after, Scope.TOKEN)


def test_a_refused_key_waits_as_long_as_it_is_told_if_that_is_longer() -> None:
    assert outcome(HttpResponse(403, (("retry-after", "900"),), b"")).after == 900.0


# Subscriptions.

POINT = base64.urlsafe_b64encode(
    bytes.fromhex(
        "0415" "71b1becdfde360551aaf1ed0f4cd366c11cebe555f89bcb7b186a53339173168ece2ebe018597bd30479b86e3c8f"
        "8eced577ca59187e9246990db682008b0e"
    )
).decode()  # fmt: skip


def test_a_browsers_json_is_a_subscription_in_either_form(good: str) -> None:
    said = json.loads(good)
    flat = {"endpoint": said["endpoint"], **said["keys"]}
    padded = {
        "endpoint": said["endpoint"],
        "keys": {name: value.replace("-", "+").replace("_", "/") + "==" for name, value in said["keys"].items()},
    }

    assert parse(good) is not None
    for form in (flat, padded):
        assert parse(json.dumps(form)) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": None},
        {"endpoint": 1},
        {"keys": None},
        {"keys": []},
        {"keys": {"p256dh": "", "auth": "AAAAAAAAAAAAAAAAAAAAAA"}},
        {"keys": {"p256dh": POINT[:-8], "auth": "AAAAAAAAAAAAAAAAAAAAAA"}},
        {"keys": {"p256dh": "é", "auth": "AAAAAAAAAAAAAAAAAAAAAA"}},
        {"auth": "AAAA"},
    ],
)
def test_what_lacks_something_is_no_subscription(good: str, change: dict[str, Any]) -> None:
    said = json.loads(good) | change
    if "auth" in change:
        said["keys"]["auth"] = said.pop("auth")

    assert parse(json.dumps(said)) is None


@given(st.text(max_size=200))
def test_any_text_is_a_subscription_or_none(text: str) -> None:
    assert parse(text) is None
    assert parse('{"endpoint":"' + text) is None


def test_a_subscription_of_any_length_is_cheap_to_refuse(good: str) -> None:
    assert parse(good[:-1] + " " * 5000 + "}") is None


@pytest.fixture
def good(tmp_path: Path) -> str:
    from hushbell.testing.mock.webpush import MockWebPush

    return MockWebPush(tmp_path).subscribe("browser").token


# VAPID.


def test_one_token_serves_a_push_service_for_ten_hours() -> None:
    _, pem = new_key()
    vapid = Vapid(pem, SUBJECT)
    hour = 3600_000

    first = vapid.header("https://a.example", Millis(0))

    assert vapid.header("https://a.example", Millis(9 * hour)) == first
    assert vapid.header("https://b.example", Millis(0)) != first
    assert vapid.header("https://a.example", Millis(11 * hour)) != first
    assert vapid.signed == 3


def test_only_so_many_push_services_are_remembered() -> None:
    _, pem = new_key()
    vapid = Vapid(pem, SUBJECT)

    for number in range(1100):
        vapid.header(f"https://{number}.example", Millis(0))

    assert len(vapid._headers) == 1024


def test_a_key_may_be_32_bytes_in_base64url() -> None:
    key, pem = new_key()
    raw = key.private_numbers().private_value.to_bytes(32, "big")
    text = base64.urlsafe_b64encode(raw).rstrip(b"=") + b"\n"

    assert Vapid(text, SUBJECT).public == Vapid(pem, SUBJECT).public


@pytest.mark.parametrize("key", [b"", b"AAAA", b"=" * 44, b"A" * 43, "é".encode(), b"-----BEGIN PRIVATE KEY-----"])
def test_what_is_no_key_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError):
        Vapid(key, SUBJECT)


@pytest.mark.parametrize("subject", ["", "operator@example.org", "http://example.org", "mailto:a\nb"])
def test_a_subject_must_be_an_address(subject: str) -> None:
    with pytest.raises(ValueError):
        Vapid(new_key()[1], subject)


# Against the mock.


@pytest.fixture
async def opened(mock: MockProviders, clock: FakeClock) -> AsyncIterator[Opened]:
    made: list[WebPushProvider] = []

    def make(resolve: Any = None, allow: Sequence[str] = (), **settings: Any) -> WebPushProvider:
        import os

        tools = ProviderContext(
            clock=clock, random=os.urandom, open_http=open_http, allow=tuple(allow), resolve=resolve
        )
        given = {"timeout": 20.0, "http": mock.http()} | settings
        made.append(WebPushProvider(WebPushSettings(**mock.webpush.app(**given)), tools))
        return made[-1]

    yield make
    for provider in made:
        await provider.close()


@pytest.fixture
async def unified(mock: MockProviders, clock: FakeClock) -> AsyncIterator[Opened]:
    made: list[WebPushProvider] = []

    def make(**settings: Any) -> WebPushProvider:
        import os

        tools = ProviderContext(clock=clock, random=os.urandom, open_http=open_http)
        given = {"timeout": 20.0, "http": mock.http()} | settings
        made.append(UnifiedPushProvider(UnifiedPushSettings(**mock.webpush.app(**given)), tools))
        return made[-1]

    yield make
    for provider in made:
        await provider.close()


def note(*tokens: str, body: bytes = b"hello", headers: Sequence[tuple[str, str]] = (), **changes: Any) -> Notification:
    message = Message(provider="webpush", headers=tuple(headers), body=body)
    given = {"ident": bytes(range(16)), "app": "app", "target_kind": "token", "targets": tokens, "message": message}
    return Notification(**given | {"expires_at": Millis(2**41)} | changes)


async def test_a_browser_reads_what_was_sent(mock: MockProviders, opened: Opened) -> None:
    tokens = [mock.webpush.subscribe(name).token for name in "abc"]

    assert await attempt(opened(), note(*tokens, body="grüß dich".encode())) == [ACCEPTED] * 3
    assert sorted(mock.webpush.opened) == [(f"/wpush/{name}", "grüß dich".encode()) for name in "abc"]


async def test_messages_have_few_sizes_where_the_app_says_so(mock: MockProviders, opened: Opened) -> None:
    token = mock.webpush.subscribe().token
    provider = opened(sizes=(128, 1024))

    for length in (0, 10, 128, 129, 1024, 3000):
        await attempt(provider, note(token, body=b"x" * length))

    assert [line["bytes"] - 103 for line in mock.log] == [128, 128, 128, 1024, 1024, 3000]
    assert [len(plain) for _, plain in mock.webpush.opened] == [0, 10, 128, 129, 1024, 3000]


async def test_every_attempt_replaces_the_one_before(mock: MockProviders, opened: Opened) -> None:
    tokens = [mock.webpush.subscribe(name).token for name in "ab"]
    provider = opened()

    for _ in range(2):
        await attempt(provider, note(*tokens))

    topics = {(line["token"], line["topic"]) for line in mock.log}
    assert len(topics) == 2
    assert len({topic for _, topic in topics}) == 2


async def test_the_callers_headers_come_first(mock: MockProviders, opened: Opened) -> None:
    headers = (("ttl", "5"), ("urgency", "low"), ("topic", "mine"))

    await attempt(opened(), note(mock.webpush.subscribe().token, headers=headers))

    assert (mock.log[0]["topic"], mock.log[0]["priority"]) == ("mine", "low")


async def test_a_push_service_keeps_nothing_longer_than_the_notification_lives(
    mock: MockProviders, opened: Opened, clock: FakeClock
) -> None:
    note_ = note(mock.webpush.subscribe().token, expires_at=Millis(clock.now() + 90_500))

    await attempt(opened(), note_)
    await attempt(opened(ttl=60), note_)

    assert [request.request.headers["ttl"] for request in mock.requests] == ["90", "60"]


async def test_an_address_into_our_network_is_never_asked(mock: MockProviders, opened: Opened) -> None:
    provider = opened(resolve=lambda host: ("10.0.0.1",), http=HttpSettings(ca_file=str(mock.ca_file)))
    inside = mock.webpush.subscribe(host="127.0.0.1").token
    named = mock.webpush.subscribe(host="evil.example.org").token

    assert await attempt(provider, note(inside, named)) == [Outcome(Verdict.INVALID, "forbidden address")] * 2


async def test_a_name_that_does_not_resolve_is_tried_again(opened: Opened, mock: MockProviders) -> None:
    provider = opened(resolve=lambda host: (), http=HttpSettings())

    [outcome] = await attempt(provider, note(mock.webpush.subscribe().token))

    assert outcome == Outcome(Verdict.RETRY, "unresolved address")


async def test_a_push_goes_to_the_address_that_was_checked(mock: MockProviders, opened: Opened) -> None:
    settings = HttpSettings(ca_file=str(mock.ca_file))
    provider = opened(resolve=lambda host: ("127.0.0.1",), allow=("127.0.0.0/8",), http=settings)
    host = f"www.push.example.net:{mock.port}"

    assert await attempt(provider, note(mock.webpush.subscribe(host=host).token)) == [ACCEPTED]


async def test_another_address_of_a_host_is_tried_if_one_does_not_answer(mock: MockProviders, opened: Opened) -> None:
    settings = HttpSettings(ca_file=str(mock.ca_file))
    provider = opened(resolve=lambda host: ("127.0.0.9", "127.0.0.1"), allow=("127.0.0.0/8",), http=settings)
    host = f"www.push.example.net:{mock.port}"

    assert await attempt(provider, note(mock.webpush.subscribe(host=host).token)) == [ACCEPTED]


async def test_no_host_speaks_for_another(mock: MockProviders, opened: Opened) -> None:
    token = mock.webpush.subscribe().token
    provider = opened(timeout=0.3)
    for reply in ({"status": 401}, {"status": 503}, {"close": True}, {"blackhole": True}):
        mock.rule({"reply": reply})

        [outcome] = await attempt(provider, note(token))

        assert outcome.scope is Scope.TOKEN
        assert outcome.verdict in (Verdict.RETRY, Verdict.UNKNOWN)


@pytest.mark.parametrize(
    "token", ["", "{", "https://push.example.net/wpush/x", '{"endpoint":"https://push.example.net"}']
)
async def test_what_is_no_subscription_is_dropped(opened: Opened, token: str) -> None:
    assert await attempt(opened(), note(token)) == [Outcome(Verdict.DEAD_TOKEN, "not a subscription")]


async def test_a_message_that_nobody_checked_ends_all_the_same(mock: MockProviders, opened: Opened) -> None:
    [outcome] = await attempt(opened(), note(mock.webpush.subscribe().token, body=b"x" * 4000))

    assert outcome == Outcome(Verdict.INVALID, "too large")


async def test_a_topic_cannot_be_sent_to(opened: Opened) -> None:
    [outcome] = await attempt(opened(), note("news", target_kind="topic"))

    assert outcome.verdict is Verdict.INVALID


@pytest.mark.parametrize(
    "headers,body,field",
    [
        ({"ttl": "soon"}, b"", "headers.ttl"),
        ({"ttl": "99999999999"}, b"", "headers.ttl"),
        ({"urgency": "now"}, b"", "headers.urgency"),
        ({"topic": "x" * 33}, b"", "headers.topic"),
        ({"topic": ""}, b"", "headers.topic"),
        ({}, b"x" * 3994, "body"),
    ],
)
async def test_what_no_push_service_takes_is_refused_by_name(
    opened: Opened, headers: dict[str, str], body: bytes, field: str
) -> None:
    with pytest.raises(CallerError) as told:
        opened().check(Message(provider="webpush", headers=tuple(headers.items()), body=body))

    assert told.value.field == field


def test_the_subject_is_named_if_it_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(new_key()[1])
    tools = ProviderContext(clock=FakeClock(), random=bytes, open_http=open_http)

    with pytest.raises(ConfigError, match=r"webpush.subject"):
        WebPushProvider(WebPushSettings(key_file=str(tmp_path / "key"), subject="me"), tools)
    with pytest.raises(ConfigError, match=r"unifiedpush.subject"):
        UnifiedPushProvider(UnifiedPushSettings(key_file=str(tmp_path / "key"), subject=""), tools)


# UnifiedPush.


async def test_old_distributors_get_the_bytes_as_they_are(mock: MockProviders, unified: Opened) -> None:
    assert await attempt(unified(), note("https://push.example.net/up/abc?up=1", body=b"\0raw")) == [ACCEPTED]
    assert mock.webpush.opened == [("/up/abc", b"\0raw")]


async def test_new_distributors_get_messages_as_browsers_do(mock: MockProviders, unified: Opened) -> None:
    assert await attempt(unified(), note(mock.webpush.subscribe("phone").token)) == [ACCEPTED]
    assert mock.webpush.opened == [("/wpush/phone", b"hello")]


async def test_plain_addresses_can_be_switched_off(unified: Opened) -> None:
    [outcome] = await attempt(unified(legacy=False), note("https://push.example.net/up/abc"))

    assert outcome.verdict is Verdict.DEAD_TOKEN


async def test_a_key_is_not_needed(mock: MockProviders, unified: Opened) -> None:
    assert await attempt(unified(key_file=""), note("https://push.example.net/up/abc")) == [ACCEPTED]


@pytest.mark.parametrize("token", ["https://127.0.0.1/up/abc", "http://push.example.net/up/abc", "ftp://x", "abc"])
async def test_a_plain_address_passes_the_guard_too(mock: MockProviders, unified: Opened, token: str) -> None:
    [outcome] = await attempt(unified(http=HttpSettings()), note(token))

    assert outcome == Outcome(Verdict.INVALID, "forbidden address")


async def test_an_address_is_at_most_a_thousand_bytes(unified: Opened) -> None:
    [outcome] = await attempt(unified(), note("https://push.example.net/up/" + "a" * 1000))

    assert outcome.verdict is Verdict.DEAD_TOKEN


@pytest.mark.parametrize("body", [b"", b"x" * 4097])
def test_old_distributors_take_1_to_4096_bytes(body: bytes, tmp_path: Path) -> None:
    tools = ProviderContext(clock=FakeClock(), random=bytes, open_http=open_http)
    provider = UnifiedPushProvider(UnifiedPushSettings(), tools)

    with pytest.raises(CallerError, match="body"):
        provider.check(Message(provider="unifiedpush", body=body))
