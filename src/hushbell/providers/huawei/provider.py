"""Huawei's Push Kit (reference/gateway.md 5.4): up to 1,000 tokens in one request."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

import orjson

from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import Outcome
from hushbell.errors import CallerError, ConfigError
from hushbell.http.client import submit_request
from hushbell.ports.http import HttpFailure, HttpRequest, HttpResponse
from hushbell.ports.provider import Attempt, ProviderContext
from hushbell.providers import checks, files
from hushbell.providers.batches import batches, supported
from hushbell.providers.credentials import ReloadableCredential
from hushbell.providers.huawei.outcome import DEAD, REFUSED_TOKEN, outcome
from hushbell.providers.huawei.settings import HuaweiSettings
from hushbell.providers.oauth import AccessTokens
from hushbell.providers.padding import padded
from hushbell.providers.responses import failure
from hushbell.types import Millis

HOST = "push-api.cloud.huawei.com"
TOKEN_URL = "https://oauth-login.cloud.huawei.com/oauth2/v3/token"
MAX_PAYLOAD = 4096  # bytes without the tokens
HEADERS = frozenset({"content-type"})
JSON = ("content-type", "application/json;charset=utf-8")


@dataclass(frozen=True, slots=True)
class _Credential:
    secret: str = field(repr=False)
    tokens: AccessTokens


class HuaweiProvider:
    """Tokens, topics and conditions, with one access token for all of them."""

    name = "huawei"
    credential_expires_at: Millis | None = None  # a secret has no end

    def __init__(self, settings: HuaweiSettings, context: ProviderContext) -> None:
        """
        Read the secret; no connection is made.

        Raises:
            ConfigError: the secret cannot be read, or the app's id is none.
        """
        if not settings.app_id.isascii() or not settings.app_id.isalnum():
            raise ConfigError("huawei.app_id: must be the number that Huawei gave out")
        self._settings = settings
        self._context = context
        self._http = context.open_http(settings.http)
        self._url = f"https://{HOST}/v1/{quote(settings.app_id)}/messages:send"
        self._credential = ReloadableCredential(self._load)

    @property
    def tokens_requested(self) -> int:
        """Return how many access tokens were requested with the current secret."""
        return self._credential.current.tokens.requested

    def check(self, message: Message) -> None:
        """Raise CallerError for what Huawei could never take."""
        checks.headers(message, HEADERS)
        body = checks.json_body(message, MAX_PAYLOAD)
        for target in ("token", "topic", "condition"):
            if target in body:
                raise CallerError(f"body.{target}", "is set for each push, not in the message")
        if not isinstance(body.get("data", ""), str):
            raise CallerError("body.data", "must be a text")

    def send(self, attempts: Sequence[Attempt]) -> None:
        """Send pushes, up to 1,000 tokens of a notification in one request."""
        for attempt in supported(attempts, ("token", "topic", "condition")):
            body = self._body(attempt.notification)
            for batch in batches(attempt):
                self._send(batch, body)

    def reload(self) -> None:
        """Read the secret again. The access token of an unchanged one is kept."""
        before = self._credential.current
        if self._credential.reload() and self._credential.current.secret == before.secret:
            self._credential.current = before

    async def close(self) -> None:
        """Close the connections. Attempts under way end with UNKNOWN."""
        await self._http.close()

    def _body(self, notification: Notification) -> bytes:
        """Return the message up to its target."""
        body = notification.message.body
        if self._settings.sizes:
            parsed = orjson.loads(body)
            if str(parsed.get("data", "")).startswith("{"):
                parsed["data"] = padded(parsed["data"].encode(), self._settings.sizes).decode()
                body = orjson.dumps(parsed)
        comma = b"," if body[1:-1].strip() else b""
        return (
            b'{"validate_only":false,"message":' + body[:-1] + comma + b'"' + notification.target_kind.encode() + b'":'
        )

    def _send(self, batch: Attempt, body: bytes, *, is_renewed: bool = False) -> None:
        tokens = self._credential.current.tokens

        def ready(bearer: str, failed: Outcome | None) -> None:
            if failed is not None:
                batch.report(failed)
                return
            targets: list[str] | str = batch.targets
            if batch.notification.target_kind != "token":
                targets = targets[0]
            headers = (("authorization", "Bearer " + bearer), JSON)
            request = HttpRequest(self._url, headers, body + orjson.dumps(targets) + b"}}", self._settings.timeout)
            submit_request(self._http, request, self, (batch, body, tokens, bearer, is_renewed))

        tokens.get(ready)

    def on_response(
        self, key: tuple[Attempt, bytes, AccessTokens, str, bool], result: HttpResponse | HttpFailure
    ) -> None:
        """Report the outcomes of one request, or send it once more with a new access token."""
        batch, body, tokens, bearer, is_renewed = key
        if isinstance(result, HttpFailure):
            batch.report(failure(result))
            return
        found, dead = outcome(result)
        if found is REFUSED_TOKEN and not is_renewed:
            tokens.forget(bearer)
            self._send(batch, body, is_renewed=True)
        else:
            batch.report(found, dict.fromkeys(dead, DEAD))

    def _load(self) -> _Credential:
        secret = files.read_line(self._settings.secret_file, "huawei.secret_file")

        def request(_: Millis) -> HttpRequest:
            form = {
                "grant_type": "client_credentials",
                "client_id": self._settings.app_id,
                "client_secret": secret,
            }
            headers = (("content-type", "application/x-www-form-urlencoded"),)
            return HttpRequest(TOKEN_URL, headers, urlencode(form).encode(), 10.0)

        return _Credential(secret, AccessTokens(request, self._http, self._context.clock))
