"""Access tokens (RFC 6749): one request however many pushes wait, and a new one before the token ends."""

from collections.abc import Callable

from hushbell.core.delivery.outcome import Outcome, Scope, Verdict
from hushbell.http.client import submit_request
from hushbell.ports.clock import Clock
from hushbell.ports.http import HttpClient, HttpFailure, HttpRequest, HttpResponse
from hushbell.providers.responses import error_code, json_object, retry_after
from hushbell.types import Millis

RENEW_BEFORE = 5 * 60_000  # milliseconds before its end that a token is requested again
PAUSE = 1_000  # milliseconds after a failure without another request
MAX_LIFE = 24 * 3600  # seconds; a token that claims more is used for an hour

Ready = Callable[[str, Outcome | None], None]
"""Called with the token, or with "" and the outcome of the pushes that need it."""


class AccessTokens:
    """The current token of one credential, shared by all requests that carry it."""

    def __init__(self, request: Callable[[Millis], HttpRequest], http: HttpClient, clock: Clock) -> None:
        """
        Start without a token.

        Args:
            request: builds the request for a token at that time.
            http: sends it.
            clock: says when a token ends.
        """
        self._request = request
        self._http = http
        self._clock = clock
        self._token = ""
        self._ends_at = 0
        self._is_requested = False
        self._waiting: list[Ready] = []
        self._failed: Outcome | None = None
        self._failed_at = 0
        self.requested = 0  # how many tokens were requested

    def get(self, ready: Ready) -> None:
        """Call ``ready`` with the token, at once if there is one."""
        now = self._clock.now()
        if self._token and now < self._ends_at:
            if now >= self._ends_at - RENEW_BEFORE:
                self._request_token(now)
            ready(self._token, None)
        elif self._failed is not None and 0 <= now - self._failed_at < PAUSE:
            ready("", self._failed)
        else:
            self._waiting.append(ready)
            self._request_token(now)

    def forget(self, token: str) -> None:
        """Forget a token that the provider refused. A newer one is kept."""
        if token == self._token:
            self._token = ""

    def _request_token(self, now: Millis) -> None:
        if self._is_requested or (self._failed is not None and 0 <= now - self._failed_at < PAUSE):
            return
        self._is_requested = True
        self.requested += 1
        submit_request(self._http, self._request(now), self)

    def on_response(self, _key: object, result: HttpResponse | HttpFailure) -> None:
        """Hand the token, or the outcome without one, to all that wait for it."""
        now = self._clock.now()
        self._is_requested = False
        token, seconds = _granted(result)
        self._failed = None
        if token:
            self._token, self._ends_at = token, now + int(seconds * 1000)
        else:
            self._failed, self._failed_at = refusal(result), now
        waiting, self._waiting = self._waiting, []
        for ready in waiting:
            ready(token, self._failed)


def refusal(result: HttpResponse | HttpFailure) -> Outcome:
    """Return the outcome of a push that gets no token. It was not sent, so it is never UNKNOWN."""
    if isinstance(result, HttpFailure):
        return Outcome(Verdict.RETRY, f"token {result.kind.value}", scope=Scope.APP)
    reason = error_code(json_object(result.body).get("error")) or f"HTTP {result.status}"
    if result.status in (408, 429) or result.status >= 500 or result.status < 300:
        return Outcome(Verdict.RETRY, f"token {reason}", after=retry_after(result), scope=Scope.APP)
    return Outcome(Verdict.MISCONFIGURED, f"token {reason}", scope=Scope.APP)


def _granted(result: HttpResponse | HttpFailure) -> tuple[str, float]:
    """Return the token of an answer and the seconds it lives, or "" (RFC 6749, 5.1)."""
    if isinstance(result, HttpFailure) or result.status != 200:
        return "", 0
    fields = json_object(result.body)
    token, seconds = fields.get("access_token"), fields.get("expires_in")
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable() or len(token) > 8192:
        return "", 0
    known = isinstance(seconds, int | float) and 0 < seconds <= MAX_LIFE
    return token, float(seconds or 0) if known else 3600.0
