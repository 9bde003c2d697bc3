"""What each of Huawei's responses means."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.core.delivery.outcome import ACCEPTED, Scope, Verdict
from hushbell.ports.http import HttpResponse
from hushbell.providers.huawei import outcome as huawei_outcome

HUAWEI: list[tuple[int, str, Verdict, Scope]] = [
    (200, "80000000", Verdict.ACCEPTED, Scope.TOKEN),
    (200, "80100000", Verdict.ACCEPTED, Scope.TOKEN),
    (200, "80100001", Verdict.INVALID, Scope.TOKEN),
    (200, "80100003", Verdict.INVALID, Scope.TOKEN),
    (200, "80100004", Verdict.INVALID, Scope.TOKEN),
    (200, "80100013", Verdict.INVALID, Scope.TOKEN),
    (200, "80100016", Verdict.INVALID, Scope.TOKEN),
    (200, "80100017", Verdict.RETRY, Scope.APP),
    (200, "80100018", Verdict.INVALID, Scope.TOKEN),
    (200, "80200001", Verdict.MISCONFIGURED, Scope.APP),
    (401, "80200003", Verdict.MISCONFIGURED, Scope.APP),
    (401, "80200005", Verdict.MISCONFIGURED, Scope.APP),
    (200, "80300002", Verdict.MISCONFIGURED, Scope.APP),
    (200, "80300007", Verdict.DEAD_TOKEN, Scope.TOKEN),
    (400, "80300007", Verdict.DEAD_TOKEN, Scope.TOKEN),
    (200, "80300008", Verdict.INVALID, Scope.TOKEN),
    (200, "80300010", Verdict.INVALID, Scope.TOKEN),
    (200, "80300011", Verdict.INVALID, Scope.TOKEN),
    (200, "80300013", Verdict.MISCONFIGURED, Scope.APP),
    (200, "80600003", Verdict.RETRY, Scope.APP),
    (200, "81000001", Verdict.RETRY, Scope.PROVIDER),
    # Codes in answers that are not theirs, codes that nobody knew, and none.
    (503, "80300007", Verdict.RETRY, Scope.PROVIDER),
    (502, "80000000", Verdict.RETRY, Scope.PROVIDER),
    (200, "80199999", Verdict.INVALID, Scope.TOKEN),
    (200, "82000001", Verdict.RETRY, Scope.APP),
    (200, "", Verdict.UNKNOWN, Scope.PROVIDER),
    (301, "", Verdict.MISCONFIGURED, Scope.PROVIDER),
    (400, "", Verdict.RETRY, Scope.PROVIDER),
    (401, "", Verdict.MISCONFIGURED, Scope.APP),
    (403, "", Verdict.MISCONFIGURED, Scope.APP),
    (404, "", Verdict.MISCONFIGURED, Scope.PROVIDER),
    (413, "", Verdict.INVALID, Scope.TOKEN),
    (429, "", Verdict.RETRY, Scope.PROVIDER),
    (503, "", Verdict.RETRY, Scope.PROVIDER),
]


def answered(status: int, said: Any, *headers: tuple[str, str]) -> HttpResponse:
    return HttpResponse(status, headers, json.dumps(said).encode())


@pytest.mark.parametrize("status,code,verdict,scope", HUAWEI)
def test_each_of_huaweis_codes_has_its_outcome(status: int, code: str, verdict: Verdict, scope: Scope) -> None:
    result, dead = huawei_outcome.outcome(answered(status, {"code": code, "msg": "x", "requestId": "1"}))

    assert (result.verdict, result.scope, tuple(dead)) == (verdict, scope, ())


def test_the_table_leaves_no_code_of_huaweis_out() -> None:
    assert set(huawei_outcome._TABLE) <= {code for _, code, _, _ in HUAWEI}


@pytest.mark.parametrize(
    "said",
    [
        {"msg": json.dumps({"success": 1, "failure": 2, "illegal_tokens": ["a", "b"]})},
        {"msg": "Partial", "illegal_tokens": ["a", "b", 3]},
    ],
)
def test_a_partial_success_names_the_dead_and_nobody_else(said: dict[str, Any]) -> None:
    result, dead = huawei_outcome.outcome(answered(200, {"code": "80100000"} | said))

    assert (result, set(dead)) == (ACCEPTED, {"a", "b"})


@pytest.mark.parametrize("told", ["", "{", "[]", '{"illegal_tokens": 1}', "[" * 10_000])
def test_a_partial_success_that_names_nobody_is_one(told: str) -> None:
    assert huawei_outcome.outcome(answered(200, {"code": "80100000", "msg": told})) == (ACCEPTED, ())


@given(st.integers(100, 599), st.binary(max_size=200))
def test_any_body_has_an_outcome_and_kills_no_token(status: int, body: bytes) -> None:
    result, dead = huawei_outcome.outcome(HttpResponse(status, (), body))

    assert result.verdict is not Verdict.DEAD_TOKEN
    assert not dead
