"""What each answer of Huawei's Push Kit means (reference/gateway.md 5.4). Pure functions."""

from collections.abc import Collection

from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.ports.http import HttpResponse
from hushbell.providers.responses import by_status, error_code, json_object, retry_after

PARTIAL = "80100000"
DEAD = Outcome(Verdict.DEAD_TOKEN, "illegal_token")
REFUSED_TOKEN = Outcome(Verdict.MISCONFIGURED, "access token refused", scope=Scope.APP)
"""The access token was not taken: worth one more try with a new one."""

_TABLE: dict[str, Outcome] = {
    "80000000": ACCEPTED,
    PARTIAL: ACCEPTED,  # except for the tokens that it names
    "80200001": REFUSED_TOKEN,  # authentication
    "80200003": REFUSED_TOKEN,  # access token expired
    "80200005": REFUSED_TOKEN,  # JSON web token expired
    "80300007": Outcome(Verdict.DEAD_TOKEN, "80300007"),  # all tokens are invalid
    "80100017": Outcome(Verdict.RETRY, "80100017", after=60.0, scope=Scope.APP),  # too many topics at once
    "80600003": Outcome(Verdict.RETRY, "80600003", scope=Scope.APP),  # their OAuth service failed
    "81000001": Outcome(Verdict.RETRY, "81000001", scope=Scope.PROVIDER),  # internal error
    "80300002": Outcome(Verdict.MISCONFIGURED, "80300002", scope=Scope.APP),  # the app may not push
    "80300013": Outcome(Verdict.MISCONFIGURED, "80300013", scope=Scope.APP),  # address for receipts
    **{
        code: Outcome(Verdict.INVALID, code)
        for code in (
            "80100001",  # parameters
            "80100003",  # structure
            "80100004",  # ttl
            "80100013",  # collapse_key
            "80100016",  # sensitive words
            "80100018",  # signature of the content
            "80300008",  # too large
            "80300010",  # too many tokens
            "80300011",  # urgency without permission
        )
    },
}


def outcome(answer: HttpResponse) -> tuple[Outcome, Collection[str]]:
    """Return what an answer means for the tokens of its request, and which of them it says are dead."""
    fields = json_object(answer.body)
    code = error_code(fields.get("code"))
    known = _TABLE.get(code)
    if known is None or answer.status not in (200, 400, 401):
        return _by_status(answer, code), ()
    if code != PARTIAL:
        return known, ()
    # The list stands in the text as JSON of its own, or beside it.
    listed = fields.get("illegal_tokens", json_object(str(fields.get("msg", "")).encode()).get("illegal_tokens"))
    return ACCEPTED, frozenset(filter(_is_text, listed)) if isinstance(listed, list) else ()


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _by_status(answer: HttpResponse, code: str) -> Outcome:
    """Return the outcome of a response whose code, if any, is none of the table's."""
    status, after = answer.status, retry_after(answer)
    if status == 401:
        return REFUSED_TOKEN
    if status in (200, 400) and code.startswith(("801", "803")):
        return Outcome(Verdict.INVALID, code)
    if status in (200, 400) and code:
        return Outcome(Verdict.RETRY, code, after=after, scope=Scope.APP)
    return by_status(status, code, after)
