"""Apple's push service: requests, outcomes, provider tokens."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.errors import ConfigError
from hushbell.ports.http import HttpResponse
from hushbell.providers.apns.outcome import outcome
from hushbell.providers.apns.token import TokenSigner
from hushbell.testing.certificates import new_key
from hushbell.testing.clock import FakeClock

MINUTE = 60.0
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
