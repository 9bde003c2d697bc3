"""What each answer of Amazon SNS means (reference/gateway.md 5.4). Pure functions."""

import re

from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.ports.http import HttpResponse
from hushbell.providers.responses import by_status, retry_after

# No XML parser for what comes from outside: one word is all that is wanted.
_CODE = re.compile(rb"<Code>([A-Za-z.]{1,64})</Code>")
_NO_ENDPOINT = b"No endpoint found for the target arn"

_TABLE: dict[Verdict, dict[Scope, tuple[str, ...]]] = {
    Verdict.DEAD_TOKEN: {Scope.TOKEN: ("EndpointDisabled", "NotFound")},
    Verdict.INVALID: {Scope.TOKEN: ("InvalidParameter", "InvalidParameterValue", "ValidationError")},
    Verdict.MISCONFIGURED: {
        Scope.APP: (
            "PlatformApplicationDisabled",
            "AuthorizationError",
            "AccessDenied",
            "InvalidClientTokenId",
            "SignatureDoesNotMatch",
            "IncompleteSignature",
            "MissingAuthenticationToken",
            "UnrecognizedClientException",
            "ExpiredToken",
            "RequestExpired",
            "InvalidSecurity",
            "OptInRequired",
            "KMSAccessDenied",
            "KMSDisabled",
            "KMSInvalidState",
            "KMSNotFound",
            "KMSOptInRequired",
        )
    },
    Verdict.RETRY: {
        Scope.APP: ("Throttling", "ThrottlingException", "Throttled", "KMSThrottling"),
        Scope.PROVIDER: ("InternalError", "InternalFailure", "ServiceUnavailable"),
    },
}
CODES = {
    code: Outcome(verdict, code, scope=scope)
    for verdict, scopes in _TABLE.items()
    for scope, codes in scopes.items()
    for code in codes
}


def outcome(answer: HttpResponse) -> Outcome:
    """Reduce an answer to what must happen. Any body is allowed, even a proxy's."""
    status = answer.status
    if status == 200:
        return ACCEPTED
    match = _CODE.search(answer.body)
    code = match[1].decode() if match else ""
    known = CODES.get(code)
    if known is None or (known.verdict is Verdict.DEAD_TOKEN and status not in (400, 404)):
        return by_status(status, code, retry_after(answer))
    if code == "InvalidParameter" and _NO_ENDPOINT in answer.body:
        return Outcome(Verdict.DEAD_TOKEN, code)
    if known.verdict is Verdict.RETRY:
        return Outcome(known.verdict, code, after=retry_after(answer), scope=known.scope)
    return known
