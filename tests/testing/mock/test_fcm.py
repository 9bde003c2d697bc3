"""Google's checks have their error codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from hushbell.testing.mock.fcm import PROJECT, MockFcm
from hushbell.testing.mock.http import Request

NOW = 1_700_000_000_000
PATH = f"/v1/projects/{PROJECT}/messages:send"


def send(folder: Path, body: Any, path: str = PATH, bearer: str = "good") -> tuple[int, str | None]:
    """Return the status of the response and Google's error code, None if there is none."""
    mock = MockFcm(folder)
    mock.tokens |= {"good": NOW + 1, "old": NOW}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = Request("POST", path, {"authorization": f"Bearer {bearer}"}, content, 1, 1)

    push, refusal = mock.check(request, NOW)
    if refusal is None:
        return 200, None
    response = mock.respond(request, push, refusal)
    return response.status, json.loads(response.body)["error"].get("details", [{}])[0].get("errorCode")


@pytest.mark.parametrize(
    "body,status,code",
    [
        ({"message": {"token": "a"}}, 200, None),
        ({"message": {"token": "a", "topic": "b"}}, 400, "INVALID_ARGUMENT"),
        ({"message": {}}, 400, "INVALID_ARGUMENT"),
        ({"message": {"token": "a", "data": {"n": 1}}}, 400, "INVALID_ARGUMENT"),
        ({"message": {"token": "a", "colour": "red"}}, 400, "INVALID_ARGUMENT"),
        ({"message": {"token": "a", "data": {"n": "x" * 4096}}}, 400, "INVALID_ARGUMENT"),
        (b"nonsense", 400, "INVALID_ARGUMENT"),
    ],
)
def test_each_of_googles_checks_has_its_code(tmp_path: Path, body: Any, status: int, code: str | None) -> None:
    assert send(tmp_path, body) == (status, code)


def test_a_bad_bearer_a_wrong_project_and_a_wrong_path_are_refused(tmp_path: Path) -> None:
    body = {"message": {"token": "a"}}

    assert send(tmp_path, body, bearer="old")[0] == 401
    assert send(tmp_path, body, PATH.replace("demo", "other"))[0] == 403
    assert send(tmp_path, body, PATH + "x")[0] == 404


@pytest.mark.parametrize(
    "form", ["", "grant_type=password", "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=a.b.c"]
)
def test_only_the_accounts_own_key_gets_an_access_token(tmp_path: Path, form: str) -> None:
    _, refusal = MockFcm(tmp_path).check(Request("POST", "/token", {}, form.encode(), 1, 1), NOW)

    assert refusal is not None
    assert refusal.status == 400
