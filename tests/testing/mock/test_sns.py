"""Amazon's checks have their error codes."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from hushbell.providers.sns.sigv4 import AwsKey, signed
from hushbell.testing.mock.http import Request
from hushbell.testing.mock.sns import MockSns
from hushbell.types import Millis

NOW = 1_700_000_000_000


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

    _, refusal = mock.check(Request("POST", "/", headers, change.get("body", body), 1, 1), change.get("now", NOW))

    assert (refusal.reason if refusal else None) == code


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

    _, refusal = mock.check(Request("POST", "/", headers, body, 1, 1), NOW)

    assert refusal is not None
    assert refusal.reason == code


def sns_request(mock: MockSns, **change: str) -> tuple[bytes, dict[str, str]]:
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
