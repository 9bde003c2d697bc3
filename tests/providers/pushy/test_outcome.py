"""What each of Pushy's responses means."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.core.delivery.outcome import ACCEPTED, Scope, Verdict
from hushbell.ports.http import HttpResponse
from hushbell.providers.pushy import outcome as pushy_outcome

PUSHY: list[tuple[int, Any, Verdict, Scope]] = [
    (200, {"success": True, "id": "x", "info": {"devices": 1}}, Verdict.ACCEPTED, Scope.TOKEN),
    (200, {"success": False}, Verdict.UNKNOWN, Scope.PROVIDER),
    (200, [], Verdict.UNKNOWN, Scope.PROVIDER),
    (400, {"code": "NO_RECIPIENTS"}, Verdict.DEAD_TOKEN, Scope.TOKEN),
    (404, {"code": "NO_RECIPIENTS"}, Verdict.DEAD_TOKEN, Scope.TOKEN),
    (500, {"code": "NO_RECIPIENTS"}, Verdict.RETRY, Scope.PROVIDER),
    (400, {"code": "INVALID_API_KEY"}, Verdict.MISCONFIGURED, Scope.APP),
    (401, {"code": "UNAUTHORIZED"}, Verdict.MISCONFIGURED, Scope.APP),
    (403, {"code": "ACCOUNT_SUSPENDED"}, Verdict.MISCONFIGURED, Scope.APP),
    (402, {"code": "SUBSCRIPTION_EXPIRED"}, Verdict.MISCONFIGURED, Scope.APP),
    (404, {"code": "APP_NOT_FOUND"}, Verdict.MISCONFIGURED, Scope.APP),
    (400, {"code": "RATE_LIMIT_EXCEEDED"}, Verdict.RETRY, Scope.PROVIDER),
    (429, {"code": "RATE_LIMIT_EXCEEDED"}, Verdict.RETRY, Scope.APP),
    (400, {"code": "INTERNAL_ERROR"}, Verdict.RETRY, Scope.PROVIDER),
    (500, {"code": "INTERNAL_ERROR"}, Verdict.RETRY, Scope.PROVIDER),
    (400, {"code": "PAYLOAD_LIMIT_EXCEEDED"}, Verdict.INVALID, Scope.TOKEN),
    (413, None, Verdict.INVALID, Scope.TOKEN),
    (400, None, Verdict.RETRY, Scope.PROVIDER),
    (401, None, Verdict.MISCONFIGURED, Scope.APP),
    (402, None, Verdict.MISCONFIGURED, Scope.APP),
    (403, None, Verdict.MISCONFIGURED, Scope.APP),
    (404, None, Verdict.MISCONFIGURED, Scope.PROVIDER),
    (302, None, Verdict.MISCONFIGURED, Scope.PROVIDER),
    (408, None, Verdict.RETRY, Scope.PROVIDER),
    (503, None, Verdict.RETRY, Scope.PROVIDER),
    (204, None, Verdict.UNKNOWN, Scope.PROVIDER),
]


def answered(status: int, said: Any, *headers: tuple[str, str]) -> HttpResponse:
    return HttpResponse(status, headers, json.dumps(said).encode())


@pytest.mark.parametrize("status,said,verdict,scope", PUSHY)
def test_each_of_pushys_answers_has_its_outcome(status: int, said: Any, verdict: Verdict, scope: Scope) -> None:
    result, dead = pushy_outcome.outcome(answered(status, said))

    assert (result.verdict, result.scope, tuple(dead)) == (verdict, scope, ())


@pytest.mark.parametrize("failed,dead", [(["a"], {"a"}), ([1, None, "b"], {"b"}), ("a", set()), (None, set())])
def test_pushy_names_the_dead(failed: Any, dead: set[str]) -> None:
    result, told = pushy_outcome.outcome(answered(200, {"success": True, "info": {"failed": failed}}))

    assert (result, set(told)) == (ACCEPTED, dead)


@given(st.integers(100, 599), st.binary(max_size=200))
def test_any_body_has_an_outcome_and_kills_no_token(status: int, body: bytes) -> None:
    result, dead = pushy_outcome.outcome(HttpResponse(status, (), body))

    assert result.verdict is not Verdict.DEAD_TOKEN
    assert not dead
