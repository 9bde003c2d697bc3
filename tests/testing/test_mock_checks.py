"""What the stand-in checks as strictly as the provider whose place it takes."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.exceptions import InvalidTag

from hushbell.testing.mock.gorush import MockGorush
from hushbell.testing.mock.http import Request
from hushbell.testing.mock.huawei import APP_ID, MockHuawei
from hushbell.testing.mock.pushy import MockPushy
from hushbell.testing.mock.rules import FINE, ScriptedReply
from hushbell.testing.mock.sns import MockSns
from hushbell.testing.mock.webpush import MockWebPush

NOW = 1_700_000_000_000


def request(path: str, body: Any = b"", method: str = "POST", **headers: str) -> Request:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(method, path, {name.replace("_", "-"): value for name, value in headers.items()}, content, 1, 1)


# Huawei.


@pytest.mark.parametrize(
    "message,code",
    [
        ({"token": ["a"], "data": "x"}, None),
        ({"topic": "a"}, None),
        ({"token": ["a"], "topic": "b"}, "80100003"),
        ({"token": []}, "80100003"),
        ({"token": [""]}, "80100003"),
        ({"token": [1]}, "80100003"),
        ({}, "80100003"),
        ({"token": ["a", "a"]}, "80300010"),
        ({"token": [str(n) for n in range(1001)]}, "80300010"),
        ({"token": ["a"], "data": {"k": "v"}}, "80100001"),
        ({"token": ["a"], "data": "x" * 4097}, "80300008"),
    ],
)
def test_each_of_huaweis_checks_has_its_code(tmp_path: Path, message: Any, code: str | None) -> None:
    mock = MockHuawei(tmp_path)
    mock.tokens["good"] = NOW + 1

    seen, said = mock.look(
        request(f"/v1/{APP_ID}/messages:send", {"message": message}, authorization="Bearer good"), NOW
    )

    assert (said.reason if said else None) == code
    assert seen.provider == "huawei"


@pytest.mark.parametrize(
    "bearer,app,code", [("bad", APP_ID, "80200001"), ("old", APP_ID, "80200003"), ("good", "1", "80300002")]
)
def test_huaweis_credentials_are_checked(tmp_path: Path, bearer: str, app: str, code: str) -> None:
    mock = MockHuawei(tmp_path)
    mock.tokens |= {"good": NOW + 1, "old": NOW}

    _, said = mock.look(
        request(f"/v1/{app}/messages:send", {"message": {"token": ["a"]}}, authorization=f"Bearer {bearer}"), NOW
    )

    assert said is not None
    assert said.reason == code


def test_huawei_gives_tokens_to_the_right_secret_only(tmp_path: Path) -> None:
    mock = MockHuawei(tmp_path)
    form = {
        "grant_type": "client_credentials",
        "client_id": APP_ID,
        "client_secret": mock.secret_file.read_text().strip(),
    }

    good = request("/oauth2/v3/token", urlencode(form).encode())
    bad = request("/oauth2/v3/token", urlencode(form | {"client_secret": "x"}).encode())

    assert mock.look(good, NOW)[1] is None
    assert json.loads(mock.reply(good, mock.look(good, NOW)[0], FINE).body)["access_token"] in mock.tokens
    assert mock.look(bad, NOW)[1] == ScriptedReply(status=400, reason="1101")


# Pushy.


@pytest.mark.parametrize(
    "body,refusal",
    [
        ({"to": "a", "data": {}}, None),
        ({"to": ["a", "b"], "data": {"k": 1}, "time_to_live": 5}, None),
        ({"data": {}}, (400, "NO_RECIPIENTS")),
        ({"to": [], "data": {}}, (400, "NO_RECIPIENTS")),
        ({"to": [1], "data": {}}, (400, "NO_RECIPIENTS")),
        ({"to": "a"}, (400, "NO_DATA")),
        ({"to": "a", "data": {}, "time_to_live": -1}, (400, "INVALID_PARAM")),
        ({"to": "a", "data": {}, "time_to_live": "1"}, (400, "INVALID_PARAM")),
        ({"to": "a", "data": {"k": "x" * 4096}}, (400, "PAYLOAD_LIMIT_EXCEEDED")),
        (b"[]", (400, "NO_RECIPIENTS")),
        (b"{", (400, "NO_RECIPIENTS")),
    ],
)
def test_each_of_pushys_checks_has_its_answer(tmp_path: Path, body: Any, refusal: tuple[int, str] | None) -> None:
    mock = MockPushy(tmp_path)
    path = "/push?api_key=" + mock.key_file.read_text().strip()

    _, said = mock.look(request(path, body, content_type="application/json"), NOW)

    assert ((said.status, said.reason) if said else None) == refusal


def test_pushys_key_and_type_are_checked(tmp_path: Path) -> None:
    mock = MockPushy(tmp_path)
    path = "/push?api_key=" + mock.key_file.read_text().strip()

    for made, status in (
        (request("/push?api_key=x", {"to": "a", "data": {}}, content_type="application/json"), 401),
        (request(path, {"to": "a", "data": {}}), 400),
        (request(path, {"to": "a", "data": {}}, "GET", content_type="application/json"), 400),
    ):
        said = mock.look(made, NOW)[1]
        assert said is not None
        assert said.status == status


# Amazon.


@pytest.mark.parametrize(
    "change,code",
    [
        ({"authorization": ""}, "IncompleteSignature"),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=AKIA"}, "IncompleteSignature"),
        ({"ident": "AKIAOTHER"}, "InvalidClientTokenId"),
        ({"signature": "0" * 64}, "SignatureDoesNotMatch"),
        ({"date": "20231114T221319Z"}, "SignatureDoesNotMatch"),
        ({"date": "20231113T221320Z"}, "SignatureDoesNotMatch"),
        ({"date": "yesterday"}, "IncompleteSignature"),
        ({"names": "content-type"}, "SignatureDoesNotMatch"),
        ({"now": NOW + 901_000}, "RequestExpired"),
        ({"body": b"Action=Publish"}, "SignatureDoesNotMatch"),
        ({}, None),
    ],
)
def test_each_fault_of_a_signature_has_its_code(tmp_path: Path, change: dict[str, Any], code: str | None) -> None:
    mock = MockSns(tmp_path)
    body, headers = sns_request(mock)
    parts = headers["authorization"]
    for name, pattern in (("ident", mock._ident), ("names", "content-type;host;x-amz-date")):
        if name in change:
            parts = parts.replace(pattern, change[name])
    if "signature" in change:
        parts = parts[:-64] + change["signature"]
    headers |= {
        "authorization": change.get("authorization", parts),
        "x-amz-date": change.get("date", headers["x-amz-date"]),
    }

    _, said = mock.look(Request("POST", "/", headers, change.get("body", body), 1, 1), change.get("now", NOW))

    assert (said.reason if said else None) == code


@pytest.mark.parametrize(
    "change,code",
    [
        ({"Action": "Subscribe"}, "InvalidAction"),
        ({"TargetArn": "arn:aws:sns:us-east-1:123456789012:endpoint/a"}, "InvalidParameter"),
        ({"TargetArn": "x"}, "InvalidParameter"),
        ({"Message": "{"}, "InvalidParameter"),
        ({"Message": "{}"}, "InvalidParameter"),
        ({"MessageStructure": "text"}, "InvalidParameter"),
    ],
)
def test_each_fault_of_a_publish_has_its_code(tmp_path: Path, change: dict[str, str], code: str) -> None:
    mock = MockSns(tmp_path)
    body, headers = sns_request(mock, **change)

    _, said = mock.look(Request("POST", "/", headers, body, 1, 1), NOW)

    assert said is not None
    assert said.reason == code


def sns_request(mock: MockSns, **change: str) -> tuple[bytes, dict[str, str]]:
    from hushbell.providers.sns.sigv4 import AwsKey, signed
    from hushbell.types import Millis

    form = {
        "Action": "Publish",
        "Version": "2010-03-31",
        "TargetArn": "arn:aws:sns:eu-west-1:123456789012:endpoint/a",
        "MessageStructure": "json",
        "Message": '{"default":""}',
    }
    body = urlencode(form | change).encode()
    host, key = "sns.eu-west-1.amazonaws.com", AwsKey(mock._ident, mock._secret)
    made = signed(
        key, host=host, region="eu-west-1", service="sns", headers=(("content-type", "x"),), body=body, now=Millis(NOW)
    )
    return body, dict(made) | {"host": host}


# Push services.

GOOD = {"ttl": "60", "content_encoding": "aes128gcm", "host": "push.example.net"}


@pytest.mark.parametrize(
    "path,changes,status",
    [
        ("/wpush/x/y", {}, 404),
        ("/wpush/x", {"method": "GET"}, 405),
        ("/wpush/x", {"ttl": ""}, 400),
        ("/wpush/x", {"ttl": "-1"}, 400),
        ("/wpush/x", {"topic": "x" * 33}, 400),
        ("/wpush/x", {"topic": "a b"}, 400),
        ("/wpush/x", {"urgency": "now"}, 400),
        ("/wpush/x", {"body": b"x" * 4097}, 413),
        ("/wpush/x", {"authorization": ""}, 401),
        ("/wpush/x", {"authorization": "vapid t=a.b.c, k=AAAA"}, 401),
        ("/wpush/x", {"host": "other.example.net"}, 401),
        ("/wpush/x", {"now": NOW + 13 * 3_600_000}, 401),
        ("/wpush/nobody", {}, 404),
        ("/wpush/x", {"content_encoding": "aesgcm"}, 415),
        ("/wpush/x", {"body": b"not encrypted"}, 400),
        ("/wpush/x", {"body": bytes(200)}, 400),
        ("/up/x", {"body": b""}, 400),
        ("/up/x", {"body": b"raw"}, None),
    ],
)
def test_each_of_the_push_services_checks_has_its_status(
    tmp_path: Path, path: str, changes: dict[str, Any], status: int | None
) -> None:
    from hushbell.providers.webpush.vapid import Vapid
    from hushbell.types import Millis

    mock = MockWebPush(tmp_path)
    mock.subscribe("x")
    vapid = Vapid(mock.key_file.read_bytes(), "mailto:operator@example.org")
    given = GOOD | {"authorization": vapid.header("https://push.example.net", Millis(NOW))} | changes
    body, method, now = given.pop("body", b"x"), given.pop("method", "POST"), given.pop("now", NOW)

    _, said = mock.look(request(path, body, method, **given), now)

    assert (said.status if said else None) == status


def test_a_subscription_opens_only_what_is_meant_for_it(tmp_path: Path) -> None:
    import os

    from hushbell.crypto.web_push import encrypt, new_key

    mock = MockWebPush(tmp_path)
    alice, mallory = mock.subscribe(), mock.subscribe()
    sent = encrypt(b"hi", alice.key.public_key(), alice.auth, new_key(os.urandom), os.urandom(16))

    assert alice.open(sent) == b"hi"
    with pytest.raises(InvalidTag):
        mallory.open(sent)


# Gateways.


@pytest.mark.parametrize(
    "body,bearer,status",
    [
        ({"notifications": [{"tokens": ["a"]}]}, None, None),
        ({"notifications": []}, None, 400),
        ({}, None, 400),
        (b"{", None, 400),
        ({"notifications": [{}] * 101}, None, 400),
        ({"notifications": [{"tokens": ["a"]}]}, "wrong", 401),
    ],
)
def test_each_of_a_gateways_checks_has_its_status(
    tmp_path: Path, body: Any, bearer: str | None, status: int | None
) -> None:
    headers = {"authorization": f"Bearer {bearer}"} if bearer else {}

    _, said = MockGorush(tmp_path).look(request("/api/push", body, **headers), NOW)

    assert (said.status if said else None) == status
