"""Pushy's checks have their error codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from hushbell.testing.mock.http import Request
from hushbell.testing.mock.pushy import MockPushy

NOW = 1_700_000_000_000


def request(path: str, body: Any = b"", method: str = "POST", **headers: str) -> Request:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(method, path, {name.replace("_", "-"): value for name, value in headers.items()}, content, 1, 1)


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

    _, refused = mock.check(request(path, body, content_type="application/json"), NOW)

    assert ((refused.status, refused.reason) if refused else None) == refusal


def test_pushys_key_and_type_are_checked(tmp_path: Path) -> None:
    mock = MockPushy(tmp_path)
    path = "/push?api_key=" + mock.key_file.read_text().strip()

    for made, status in (
        (request("/push?api_key=x", {"to": "a", "data": {}}, content_type="application/json"), 401),
        (request(path, {"to": "a", "data": {}}), 400),
        (request(path, {"to": "a", "data": {}}, "GET", content_type="application/json"), 400),
    ):
        refusal = mock.check(made, NOW)[1]
        assert refusal is not None
        assert refusal.status == status
