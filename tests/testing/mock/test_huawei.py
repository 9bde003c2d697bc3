"""Push Kit's checks have their error codes."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from hushbell.testing.mock.http import Request
from hushbell.testing.mock.huawei import APP_ID, MockHuawei
from hushbell.testing.mock.rules import SUCCESS, ScriptedReply

NOW = 1_700_000_000_000


def request(path: str, body: Any = b"", method: str = "POST", **headers: str) -> Request:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(method, path, {name.replace("_", "-"): value for name, value in headers.items()}, content, 1, 1)


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

    push, refusal = mock.check(
        request(f"/v1/{APP_ID}/messages:send", {"message": message}, authorization="Bearer good"), NOW
    )

    assert (refusal.reason if refusal else None) == code
    assert push.provider == "huawei"


@pytest.mark.parametrize(
    "bearer,app,code", [("bad", APP_ID, "80200001"), ("old", APP_ID, "80200003"), ("good", "1", "80300002")]
)
def test_huaweis_credentials_are_checked(tmp_path: Path, bearer: str, app: str, code: str) -> None:
    mock = MockHuawei(tmp_path)
    mock.tokens |= {"good": NOW + 1, "old": NOW}

    _, refusal = mock.check(
        request(f"/v1/{app}/messages:send", {"message": {"token": ["a"]}}, authorization=f"Bearer {bearer}"), NOW
    )

    assert refusal is not None
    assert refusal.reason == code


def test_huawei_gives_tokens_to_the_right_secret_only(tmp_path: Path) -> None:
    mock = MockHuawei(tmp_path)
    form = {
        "grant_type": "client_credentials",
        "client_id": APP_ID,
        "client_secret": mock.secret_file.read_text().strip(),
    }

    good = request("/oauth2/v3/token", urlencode(form).encode())
    bad = request("/oauth2/v3/token", urlencode(form | {"client_secret": "x"}).encode())

    assert mock.check(good, NOW)[1] is None
    assert json.loads(mock.respond(good, mock.check(good, NOW)[0], SUCCESS).body)["access_token"] in mock.tokens
    assert mock.check(bad, NOW)[1] == ScriptedReply(status=400, reason="1101")
