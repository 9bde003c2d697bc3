"""Amazon SNS: signatures, outcomes, what is sent."""

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
from hushbell.providers.sns.outcome import CODES, outcome
from hushbell.providers.sns.provider import SnsProvider
from hushbell.providers.sns.settings import SnsSettings
from hushbell.providers.sns.sigv4 import AwsKey, signed, signing_key
from hushbell.testing.clock import FakeClock
from hushbell.testing.mock.server import MockProviders
from hushbell.testing.scripted_provider import attempt
from hushbell.types import Millis

Opened = Callable[..., SnsProvider]
ARN = "arn:aws:sns:eu-west-1:123456789012:endpoint/APNS/app/0000"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:news"

# Amazon's published test suite for signature version 4.
SUITE = AwsKey("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SUITE_TIME = Millis(1_440_938_160_000)  # 2015-08-30 12:36:00


@pytest.mark.parametrize(
    "method,headers,body,names,signature",
    [
        ("GET", (), b"", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", (), b"", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "POST",
            (("Content-Type", "application/x-www-form-urlencoded"),),
            b"Param1=value1",
            "content-type;host;x-amz-date",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ],
)
def test_signatures_are_those_of_the_published_suite(
    method: str, headers: Any, body: bytes, names: str, signature: str
) -> None:
    made = signed(
        SUITE,
        host="example.amazonaws.com",
        region="us-east-1",
        service="service",
        headers=headers,
        body=body,
        now=SUITE_TIME,
        method=method,
    )

    assert dict(made)["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )


def test_the_signing_key_is_the_documented_one() -> None:
    key = signing_key(SUITE.secret, "20120215", "us-east-1", "iam")

    assert key.hex() == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"


def test_a_temporary_key_sends_its_session_along_signed() -> None:
    key = AwsKey("AKID", "secret", "session")

    made = dict(signed(key, host="h", region="r", service="s", now=Millis(0)))

    assert made["x-amz-security-token"] == "session"
    assert "x-amz-security-token" in made["authorization"]
    assert "secret" not in repr(key)


# Outcomes.


def answer(status: int, code: str = "", text: str = "refused", *headers: tuple[str, str]) -> HttpResponse:
    body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{text}</Message></Error></ErrorResponse>"
    return HttpResponse(status, headers, body.encode() if code else b"")


TABLE: list[tuple[int, str, Verdict, Scope]] = [
    (400, "EndpointDisabled", Verdict.DEAD_TOKEN, Scope.TOKEN),
    (404, "NotFound", Verdict.DEAD_TOKEN, Scope.TOKEN),
    (400, "InvalidParameter", Verdict.INVALID, Scope.TOKEN),
    (400, "InvalidParameterValue", Verdict.INVALID, Scope.TOKEN),
    (400, "ValidationError", Verdict.INVALID, Scope.TOKEN),
    (400, "PlatformApplicationDisabled", Verdict.MISCONFIGURED, Scope.APP),
    (403, "AuthorizationError", Verdict.MISCONFIGURED, Scope.APP),
    (403, "AccessDenied", Verdict.MISCONFIGURED, Scope.APP),
    (403, "InvalidClientTokenId", Verdict.MISCONFIGURED, Scope.APP),
    (403, "SignatureDoesNotMatch", Verdict.MISCONFIGURED, Scope.APP),
    (400, "IncompleteSignature", Verdict.MISCONFIGURED, Scope.APP),
    (403, "MissingAuthenticationToken", Verdict.MISCONFIGURED, Scope.APP),
    (403, "UnrecognizedClientException", Verdict.MISCONFIGURED, Scope.APP),
    (403, "ExpiredToken", Verdict.MISCONFIGURED, Scope.APP),
    (400, "RequestExpired", Verdict.MISCONFIGURED, Scope.APP),
    (403, "InvalidSecurity", Verdict.MISCONFIGURED, Scope.APP),
    (403, "OptInRequired", Verdict.MISCONFIGURED, Scope.APP),
    (400, "KMSAccessDenied", Verdict.MISCONFIGURED, Scope.APP),
    (400, "KMSDisabled", Verdict.MISCONFIGURED, Scope.APP),
    (400, "KMSInvalidState", Verdict.MISCONFIGURED, Scope.APP),
    (400, "KMSNotFound", Verdict.MISCONFIGURED, Scope.APP),
    (403, "KMSOptInRequired", Verdict.MISCONFIGURED, Scope.APP),
    (400, "Throttling", Verdict.RETRY, Scope.APP),
    (400, "ThrottlingException", Verdict.RETRY, Scope.APP),
    (429, "Throttled", Verdict.RETRY, Scope.APP),
    (400, "KMSThrottling", Verdict.RETRY, Scope.APP),
    (500, "InternalError", Verdict.RETRY, Scope.PROVIDER),
    (500, "InternalFailure", Verdict.RETRY, Scope.PROVIDER),
    (503, "ServiceUnavailable", Verdict.RETRY, Scope.PROVIDER),
    # Codes in answers that are not theirs, and codes that nobody knew.
    (503, "EndpointDisabled", Verdict.RETRY, Scope.PROVIDER),
    (403, "NotFound", Verdict.MISCONFIGURED, Scope.APP),
    (400, "SomethingNew", Verdict.INVALID, Scope.TOKEN),
]


@pytest.mark.parametrize("status,code,verdict,scope", TABLE)
def test_each_of_amazons_codes_has_its_outcome(status: int, code: str, verdict: Verdict, scope: Scope) -> None:
    assert outcome(answer(status, code)) == Outcome(verdict, code, scope=scope)


def test_the_table_leaves_no_code_out() -> None:
    assert set(CODES) <= {code for _, code, _, _ in TABLE}


def test_an_endpoint_that_is_gone_is_dead_though_it_is_called_a_parameter() -> None:
    text = "Invalid parameter: TargetArn Reason: No endpoint found for the target arn specified"

    assert outcome(answer(400, "InvalidParameter", text)).verdict is Verdict.DEAD_TOKEN


def test_throttling_waits_as_long_as_it_says() -> None:
    assert outcome(answer(400, "Throttling", "slow", ("retry-after", "9"))).after == 9.0


@pytest.mark.parametrize(
    "status,verdict,scope",
    [
        (200, Verdict.ACCEPTED, Scope.TOKEN),
        (301, Verdict.MISCONFIGURED, Scope.PROVIDER),
        (400, Verdict.RETRY, Scope.PROVIDER),
        (401, Verdict.MISCONFIGURED, Scope.APP),
        (403, Verdict.MISCONFIGURED, Scope.APP),
        (404, Verdict.MISCONFIGURED, Scope.PROVIDER),
        (408, Verdict.RETRY, Scope.PROVIDER),
        (413, Verdict.INVALID, Scope.TOKEN),
        (429, Verdict.RETRY, Scope.PROVIDER),
        (502, Verdict.RETRY, Scope.PROVIDER),
        (204, Verdict.UNKNOWN, Scope.PROVIDER),
    ],
)
def test_a_status_without_a_code_kills_no_token(status: int, verdict: Verdict, scope: Scope) -> None:
    result = outcome(answer(status))

    assert (result.verdict, result.scope) == (verdict, scope)


@given(st.integers(100, 599), st.binary(max_size=200))
def test_any_body_has_an_outcome(status: int, body: bytes) -> None:
    assert outcome(HttpResponse(status, (), body)).verdict is not Verdict.DEAD_TOKEN


# Against the mock, which signs anew what it gets.


@pytest.fixture
async def opened(mock: MockProviders) -> AsyncIterator[Opened]:
    made: list[SnsProvider] = []

    def make(**settings: Any) -> SnsProvider:
        tools = ProviderContext(clock=FakeClock(), random=bytes, open_http=open_http)
        made.append(
            SnsProvider(SnsSettings(**mock.sns.app(**{"timeout": 20.0, "http": mock.http()} | settings)), tools)
        )
        return made[-1]

    yield make
    for provider in made:
        await provider.close()


def note(*arns: str, kind: str = "token", headers: Any = (), body: Any = None) -> Notification:
    content = json.dumps({"default": "hi"} if body is None else body).encode()
    message = Message(provider="sns", headers=headers, body=content)
    ends = Millis(2**41)
    return Notification(ident=bytes(16), app="app", target_kind=kind, targets=arns, message=message, expires_at=ends)


async def test_attributes_and_strange_letters_survive_the_signature(mock: MockProviders, opened: Opened) -> None:
    headers = (("AWS.SNS.MOBILE.APNS.PUSH_TYPE", "background"), ("AWS.SNS.MOBILE.APNS.TTL", "60"))
    body = {"default": "grüße & = + %", "APNS": json.dumps({"aps": {"alert": "ü"}})}

    assert await attempt(opened(), note(ARN, headers=headers, body=body)) == [ACCEPTED]


async def test_a_topic_is_published_to(mock: MockProviders, opened: Opened) -> None:
    assert await attempt(opened(), note(TOPIC, kind="topic")) == [ACCEPTED]
    assert mock.log[0]["topic"] == TOPIC


@pytest.mark.parametrize(
    "arn",
    [
        *("", "abc", "arn:aws:s3:::bucket", "arn:aws:sns:evil.example/x:123456789012:endpoint/a"),
        *("arn:aws:sns:eu-west-1:1:endpoint/a", TOPIC, ARN + "\n", "arn:aws:sns:eu-west-1@evil.org:123456789012:a/b"),
    ],
)
async def test_what_is_no_endpoint_is_never_asked_for(mock: MockProviders, opened: Opened, arn: str) -> None:
    assert await attempt(opened(), note(arn)) == [Outcome(Verdict.DEAD_TOKEN, "not an ARN of SNS")]
    assert not mock.log


async def test_the_apps_region_is_the_only_one_if_it_is_set(opened: Opened) -> None:
    [outcome] = await attempt(opened(region="us-east-1"), note(ARN))

    assert outcome.verdict is Verdict.INVALID


async def test_a_condition_cannot_be_sent_to(opened: Opened) -> None:
    [outcome] = await attempt(opened(), note("x", kind="condition"))

    assert outcome.verdict is Verdict.INVALID


async def test_payloads_are_padded_each_in_its_own_form(mock: MockProviders, opened: Opened) -> None:
    sizes: set[tuple[int, int]] = set()
    for text in ("a", "b" * 60):
        google = {"fcmV1Message": {"message": {"data": {"k": text}}}}
        body = {"default": "", "APNS": json.dumps({"aps": {"alert": text}}), "GCM": json.dumps(google)}
        await attempt(opened(sizes=(256,)), note(ARN, body=body))
        await attempt(opened(sizes=(256,)), note(ARN, body={"default": "", "GCM": json.dumps({"data": {"k": text}})}))
        sizes.update((index, line["bytes"]) for index, line in enumerate(mock.log[-2:]))

    # Quotation marks are written as three characters in a form, so sizes differ by a few of them at most.
    assert {index for index, _ in sizes} == {0, 1}
    assert len(sizes) == 2


@pytest.mark.parametrize("content", ["", "[default]\n", "[other]\naws_access_key_id=a\naws_secret_access_key=b\n", "x"])
def test_a_file_without_the_profile_is_reported(tmp_path: Path, mock: MockProviders, content: str) -> None:
    file = tmp_path / "credentials"
    file.write_text(content)
    tools = ProviderContext(clock=FakeClock(), random=bytes, open_http=open_http)

    with pytest.raises(ConfigError, match=r"sns.credentials_file: .*\[default\]"):
        SnsProvider(SnsSettings(**mock.sns.app(credentials_file=str(file))), tools)


def test_a_region_is_one(mock: MockProviders) -> None:
    context = ProviderContext(clock=FakeClock(), random=bytes, open_http=open_http)

    with pytest.raises(ConfigError, match=r"sns.region"):
        SnsProvider(SnsSettings(**mock.sns.app(region="evil.org/")), context)


@pytest.mark.parametrize(
    "headers,body,field",
    [
        ((("ttl", "1"),), {"default": ""}, "headers.'ttl'"),
        ((("AWS.SNS.MOBILE.APNS.TTL", "1\n"),), {"default": ""}, "headers.AWS.SNS.MOBILE.APNS.TTL"),
        ((), [], "body"),
        ((), {}, "body.default"),
        ((), {"default": "", "APNS": {"aps": {}}}, "body.APNS"),
    ],
)
async def test_what_amazon_never_takes_is_refused_by_name(opened: Opened, headers: Any, body: Any, field: str) -> None:
    with pytest.raises(CallerError) as told:
        opened().check(Message(provider="sns", headers=headers, body=json.dumps(body).encode()))

    assert told.value.field == field
