"""Apple's push service: requests, outcomes, provider tokens."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.config.gateway import ServerApnsSettings, Texts
from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.core.push import Push
from hushbell.errors import ConfigError
from hushbell.http.curl import CurlHttp
from hushbell.http.h2.client import H2Client
from hushbell.ports.gateway import Gateway
from hushbell.ports.http import HttpRequest, HttpResponse
from hushbell.providers.apns.adapter import Apns, App, payload, request
from hushbell.providers.apns.outcome import outcome
from hushbell.providers.apns.provider import SANDBOX
from hushbell.providers.apns.token import TokenSigner
from hushbell.testing.certificates import new_key
from hushbell.testing.clock import FakeClock
from hushbell.testing.mock.server import MockProviders
from hushbell.types import NotificationType

MakePush = Callable[..., Push]
MINUTE = 60.0
APP = App(host=SANDBOX, topic="org.example.app", texts=Texts(), sizes=(1024, 2048, 4096), timeout=1.0)
_, KEY = new_key()

TABLE: list[tuple[int, str, Verdict, Scope]] = [
    (400, "BadDeviceToken", Verdict.DEAD_TOKEN, Scope.TOKEN),
    (400, "DeviceTokenNotForTopic", Verdict.DEAD_TOKEN, Scope.TOKEN),
    (410, "Unregistered", Verdict.DEAD_TOKEN, Scope.TOKEN),
    (410, "ExpiredToken", Verdict.DEAD_TOKEN, Scope.TOKEN),
    (410, "SomethingNew", Verdict.DEAD_TOKEN, Scope.TOKEN),
    (400, "BadTopic", Verdict.INVALID, Scope.TOKEN),
    (400, "MissingTopic", Verdict.INVALID, Scope.TOKEN),
    (400, "TopicDisallowed", Verdict.INVALID, Scope.TOKEN),
    (400, "InvalidPushType", Verdict.INVALID, Scope.TOKEN),
    (400, "BadCollapseId", Verdict.INVALID, Scope.TOKEN),
    (400, "BadExpirationDate", Verdict.INVALID, Scope.TOKEN),
    (400, "BadMessageId", Verdict.INVALID, Scope.TOKEN),
    (400, "BadPriority", Verdict.INVALID, Scope.TOKEN),
    (400, "DuplicateHeaders", Verdict.INVALID, Scope.TOKEN),
    (400, "MissingDeviceToken", Verdict.INVALID, Scope.TOKEN),
    (400, "PayloadEmpty", Verdict.INVALID, Scope.TOKEN),
    (400, "SomethingNew", Verdict.INVALID, Scope.TOKEN),
    (400, "IdleTimeout", Verdict.RETRY, Scope.PROVIDER),
    (403, "BadCertificate", Verdict.MISCONFIGURED, Scope.APP),
    (403, "BadCertificateEnvironment", Verdict.MISCONFIGURED, Scope.APP),
    (403, "Forbidden", Verdict.MISCONFIGURED, Scope.APP),
    (403, "InvalidProviderToken", Verdict.MISCONFIGURED, Scope.APP),
    (403, "MissingProviderToken", Verdict.MISCONFIGURED, Scope.APP),
    (403, "ExpiredProviderToken", Verdict.MISCONFIGURED, Scope.APP),
    (403, "UnrelatedKeyIdInToken", Verdict.MISCONFIGURED, Scope.APP),
    (403, "BadEnvironmentKeyIdInToken", Verdict.MISCONFIGURED, Scope.APP),
    (403, "SomethingNew", Verdict.MISCONFIGURED, Scope.APP),
    (404, "BadPath", Verdict.MISCONFIGURED, Scope.PROVIDER),
    (405, "MethodNotAllowed", Verdict.MISCONFIGURED, Scope.PROVIDER),
    (413, "PayloadTooLarge", Verdict.INVALID, Scope.TOKEN),
    (429, "TooManyRequests", Verdict.RETRY, Scope.TOKEN),
    (429, "TooManyProviderTokenUpdates", Verdict.RETRY, Scope.APP),
    (500, "InternalServerError", Verdict.RETRY, Scope.PROVIDER),
    (500, "Unregistered", Verdict.RETRY, Scope.PROVIDER),
    (503, "ServiceUnavailable", Verdict.RETRY, Scope.PROVIDER),
    (503, "Shutdown", Verdict.RETRY, Scope.PROVIDER),
]


def answer(status: int, reason: str = "", *headers: tuple[str, str], **more: Any) -> HttpResponse:
    body = json.dumps({"reason": reason} | more).encode() if reason else b""
    return HttpResponse(status, headers, body)


@pytest.mark.parametrize("status,reason,verdict,scope", TABLE)
def test_each_of_apples_answers_has_its_outcome(status: int, reason: str, verdict: Verdict, scope: Scope) -> None:
    result = outcome(answer(status, reason))

    assert (result.verdict, result.reason, result.scope) == (verdict, reason, scope)


def test_200_is_accepted() -> None:
    assert outcome(answer(200)) == ACCEPTED


def test_a_410_tells_since_when() -> None:
    assert outcome(answer(410, "Unregistered", timestamp=1_700_000_000_123)).since == 1_700_000_000_123


@pytest.mark.parametrize("timestamp", [None, "1", -1, True, 1.5, [], {}])
def test_a_410_with_a_strange_time_tells_none(timestamp: Any) -> None:
    result = outcome(answer(410, "Unregistered", timestamp=timestamp))

    assert result == Outcome(Verdict.DEAD_TOKEN, "Unregistered")


@pytest.mark.parametrize("reason", ["BadTopic", "MissingTopic", "TopicDisallowed"])
def test_a_topic_of_the_operators_is_the_operators_error(reason: str) -> None:
    assert outcome(answer(400, reason), is_default_topic=True) == Outcome(
        Verdict.MISCONFIGURED, reason, scope=Scope.APP
    )


@pytest.mark.parametrize(
    "value,after", [("30", 30.0), ("", None), ("x", None), ("-1", None), ("٣", None), ("999999999", 86_400.0)]
)
def test_retry_after_is_obeyed_in_reason(value: str, after: float | None) -> None:
    assert outcome(answer(503, "Shutdown", ("retry-after", value))).after == after


def test_signing_too_often_waits_for_twenty_minutes_at_least() -> None:
    assert outcome(answer(429, "TooManyProviderTokenUpdates", ("retry-after", "1"))).after == 1200


@given(st.integers(100, 599), st.binary(max_size=200))
def test_any_body_has_an_outcome_and_only_apple_kills_a_token(status: int, body: bytes) -> None:
    result = outcome(HttpResponse(status, (), body))

    assert (result.verdict is Verdict.ACCEPTED) == (status == 200)
    assert result.verdict is not Verdict.DEAD_TOKEN


@pytest.mark.parametrize("body", [b"[]", b"null", b'{"reason":1}', b'{"reason":"<b>no</b>"}', b"[" * 100_000])
def test_a_proxys_body_is_nobodys_reason(body: bytes) -> None:
    assert outcome(HttpResponse(410, (), body)).verdict is Verdict.RETRY


def test_a_request_says_what_apple_wants(push: MakePush) -> None:
    made = request(push(1), APP, "jwt")

    assert isinstance(made, HttpRequest)
    assert made.url == f"https://api.sandbox.push.apple.com/3/device/{push(1).device_token}"
    assert dict(made.headers) == {
        "authorization": "bearer jwt",
        "apns-topic": "im.status.ethereum",
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-id": "00000000-0000-0000-0000-000000000001",
        "apns-expiration": "1700086400",
        "apns-collapse-id": push(1).collapse_id,
    }
    content = json.loads(made.body)
    del content["padding"]
    assert content == {
        "aps": {"alert": "You have a new message", "mutable-content": 1},
        "encryptedMessage": "0x",
        "chatId": "0x" + (b"c" * 64).hex(),
        "publicKey": "0x" + (b"\1" * 64).hex(),
    }


def test_a_request_shows_neither_token(push: MakePush) -> None:
    made = repr(request(push(1), APP, "secret-jwt"))

    assert push(1).device_token not in made
    assert "secret-jwt" not in made


def test_a_registration_without_a_topic_uses_the_apps(push: MakePush) -> None:
    made = request(push(1, apn_topic=""), APP, "jwt")

    assert isinstance(made, HttpRequest)
    assert dict(made.headers)["apns-topic"] == "org.example.app"


@pytest.mark.parametrize("token", ["", "abc", "xyz!", "../..", "aa?bb", "ab" * 101, "٣٣"])
def test_a_device_token_that_is_not_hex_is_dead_without_asking(push: MakePush, token: str) -> None:
    assert request(push(1, device_token=token), APP, "jwt") == Outcome(Verdict.DEAD_TOKEN, "BadDeviceToken")


def test_no_topic_at_all_is_the_operators_error(push: MakePush) -> None:
    made = request(push(1, apn_topic=""), replace(APP, topic=""), "jwt")

    assert made == Outcome(Verdict.MISCONFIGURED, "MissingTopic", scope=Scope.APP)


@pytest.mark.parametrize("topic", ["a\r\nb: c", "a b", "é", "x" * 256])
def test_a_topic_that_is_no_bundle_id_reaches_no_header(push: MakePush, topic: str) -> None:
    assert request(push(1, apn_topic=topic), APP, "jwt") == Outcome(Verdict.INVALID, "BadTopic")


@pytest.mark.parametrize("length", range(0, 1700, 13))
def test_payloads_have_few_sizes(push: MakePush, length: int) -> None:
    made = payload(push(1, message=b"m" * length), "You have a new message", (1024, 2048, 4096))

    assert made is not None
    assert len(made) in (1024, 2048, 4096)
    assert json.loads(made)["encryptedMessage"] == "0x" + (b"m" * length).hex()


def test_types_cannot_be_told_apart_by_size(push: MakePush) -> None:
    made = [request(push(1, type=kind), APP, "jwt") for kind in NotificationType if kind]

    assert {len(one.body) for one in made if isinstance(one, HttpRequest)} == {1024}


@pytest.mark.parametrize("sizes", [(), (1024, 4096)])
@pytest.mark.parametrize("chat", [0, 64, 1500, 1900, 3000])
def test_no_payload_is_larger_than_apple_takes(push: MakePush, chat: int, sizes: tuple[int, ...]) -> None:
    made = [payload(push(1, message=b"m" * n, chat_id=b"c" * chat), "words", sizes) for n in range(0, 2500, 7)]

    assert all(one is None or len(one) <= 4096 for one in made)


def test_a_message_too_long_for_apple_rings_without_it(push: MakePush) -> None:
    made = payload(push(1, message=b"m" * 3000), "words", (1024, 4096))

    assert made is not None
    assert json.loads(made)["encryptedMessage"] == "0x"


def test_a_chat_id_too_long_for_apple_is_the_callers_error(push: MakePush) -> None:
    assert request(push(1, chat_id=b"c" * 3000), APP, "jwt") == Outcome(Verdict.INVALID, "PayloadTooLarge")


@pytest.mark.parametrize("key", [b"", b"no key", new_key()[1][:-40]])
def test_a_file_that_is_no_key_is_named(key: bytes) -> None:
    with pytest.raises(ConfigError, match="key_file"):
        TokenSigner(key, key_id="K", team_id="T")


async def test_two_hours_cost_three_signatures() -> None:
    clock = FakeClock()
    signer = TokenSigner(KEY, key_id="K", team_id="T")

    tokens = set()
    for _ in range(120):
        tokens.add(signer.token(clock.now()))
        await clock.sleep(MINUTE)

    assert signer.signed == len(tokens) == 3


def test_a_clock_set_back_far_signs_anew() -> None:
    clock = FakeClock()
    signer = TokenSigner(KEY, key_id="K", team_id="T")
    first = signer.token(clock.now())

    clock.advance(-86_400)

    assert signer.token(clock.now()) != first


@pytest.fixture
async def mock(clock: FakeClock) -> AsyncIterator[MockProviders]:
    async with MockProviders(now=clock.now) as made:
        yield made


@pytest.fixture
def signer(mock: MockProviders) -> TokenSigner:
    return TokenSigner(mock.apns.key_pem, key_id=mock.apns.key_id, team_id=mock.apns.team_id)


@pytest.fixture(params=["own sender", "own sender attempted", "libcurl"])
async def apns(
    request: pytest.FixtureRequest,
    mock: MockProviders,
    signer: TokenSigner,
    clock: FakeClock,
    attempted: Callable[[Apns], Gateway],
) -> AsyncIterator[Gateway]:
    http = mock.http()
    settings = ServerApnsSettings(key_file="", key_id="", team_id="", timeout=2.0, http=http)
    made = Apns(settings, CurlHttp(http) if request.param == "libcurl" else H2Client(http), signer, clock)
    yield attempted(made) if "attempted" in request.param else made
    await made.close()


async def test_what_apple_gets_passes_apples_checks(apns: Gateway, mock: MockProviders, push: MakePush) -> None:
    assert await apns.deliver([push(1), push(2)]) == [ACCEPTED] * 2
    assert {line["token"] for line in mock.log} == {push(1).device_token, push(2).device_token}
    assert {line["apns_id"] for line in mock.log} == {push(1).notification_id, push(2).notification_id}
    assert mock.connections_made == 1


async def test_a_refused_push_does_not_disturb_its_neighbours(
    apns: Gateway, mock: MockProviders, push: MakePush
) -> None:
    dead = {"status": 410, "timestamp": 7}
    mock.rule({"match": {"token_prefix": push(2).device_token}, "reply": dead})

    outcomes = await apns.deliver([push(1), push(2), push(3, device_token="no hex"), push(4)])

    bad = Outcome(Verdict.DEAD_TOKEN, "BadDeviceToken")
    assert outcomes == [ACCEPTED, Outcome(Verdict.DEAD_TOKEN, "Unregistered", since=7), bad, ACCEPTED]  # type: ignore[arg-type]


async def test_a_token_that_apple_calls_expired_is_signed_again_once(
    apns: Gateway, mock: MockProviders, signer: TokenSigner, clock: FakeClock, push: MakePush
) -> None:
    await apns.deliver([push(1)])
    clock.advance(25 * MINUTE)
    mock.rule({"reply": {"status": 403, "reason": "ExpiredProviderToken"}, "times": 1})

    outcomes = await apns.deliver([push(2)])

    assert outcomes == [ACCEPTED]
    assert signer.signed == 2


async def test_a_fresh_token_called_expired_is_a_wrong_clock(
    apns: Gateway, mock: MockProviders, signer: TokenSigner, push: MakePush
) -> None:
    mock.rule({"reply": {"status": 403, "reason": "ExpiredProviderToken"}, "times": 1})

    [result] = await apns.deliver([push(1)])

    assert (result.verdict, result.scope) == (Verdict.MISCONFIGURED, Scope.APP)
    assert signer.signed == 1


async def test_reconnecting_signs_nothing_anew(
    apns: Gateway, mock: MockProviders, signer: TokenSigner, push: MakePush
) -> None:
    for number in range(1, 6):
        mock.rule({"reply": {"close": True}, "times": 1})
        await apns.deliver([push(number)])

    assert signer.signed == 1
    assert mock.connections_made >= 5


async def test_a_goaway_loses_nothing(apns: Gateway, mock: MockProviders, push: MakePush) -> None:
    mock.rule({"reply": {"goaway": True}, "times": 1})

    outcomes = [await apns.deliver([push(number)]) for number in (1, 2, 3)]

    assert outcomes == [[ACCEPTED]] * 3
    assert mock.connections_made == 2


async def test_a_stream_apple_did_not_look_at_is_sent_again(apns: Gateway, mock: MockProviders, push: MakePush) -> None:
    mock.rule({"reply": {"refuse": True}, "times": 1})

    assert await apns.deliver([push(1)]) == [ACCEPTED]
    assert mock.count("apns", 200) == 1


async def test_a_reset_stream_leaves_the_outcome_unknown(apns: Gateway, mock: MockProviders, push: MakePush) -> None:
    mock.rule({"reply": {"reset": True}, "times": 1})

    [result] = await apns.deliver([push(1)])

    assert result.verdict is Verdict.UNKNOWN


async def test_more_pushes_than_streams_wait_their_turn(clock: FakeClock, push: MakePush) -> None:
    async with MockProviders(now=clock.now, streams=3) as mock:
        http = mock.http(connections=1)
        settings = ServerApnsSettings(key_file="", key_id="", team_id="", timeout=5.0, http=http)
        signer = TokenSigner(mock.apns.key_pem, key_id=mock.apns.key_id, team_id=mock.apns.team_id)
        apns = Apns(settings, H2Client(http), signer, clock)

        outcomes = await apns.deliver([push(number) for number in range(1, 41)])
        await apns.close()

        assert outcomes == [ACCEPTED] * 40
        assert mock.connections_made == 1
