"""A gateway's checks have their statuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from hushbell.testing.mock.gorush import MockGorush
from hushbell.testing.mock.http import Request

NOW = 1_700_000_000_000


def request(path: str, body: Any = b"", method: str = "POST", **headers: str) -> Request:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(method, path, {name.replace("_", "-"): value for name, value in headers.items()}, content, 1, 1)


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

    _, refusal = MockGorush(tmp_path).check(request("/api/push", body, **headers), NOW)

    assert (refusal.status if refusal else None) == status
