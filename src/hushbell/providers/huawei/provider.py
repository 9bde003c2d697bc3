"""Huawei's Push Kit (reference/gateway.md 5.4): up to 1,000 tokens in one request."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

import orjson

from hushbell.config.providers import HuaweiApp
from hushbell.core.delivery.notification import Message, Notification
from hushbell.errors import CallerError, ConfigError
from hushbell.http.client import submit_request
from hushbell.ports.gateway import Outcome, Verdict
from hushbell.ports.http import HttpFailure, HttpRequest, HttpResponse
from hushbell.ports.making import ProviderContext
from hushbell.ports.provider import Done
from hushbell.providers import checks, files
from hushbell.providers.batches import TargetBatch, chunks
from hushbell.providers.credentials import ReloadableCredential
from hushbell.providers.huawei.outcome import DEAD, REFUSED_TOKEN, outcome
from hushbell.providers.oauth import AccessTokens
from hushbell.providers.padding import padded
from hushbell.providers.responses import failure
from hushbell.types import Millis

HOST = "push-api.cloud.huawei.com"
TOKEN_URL = "https://oauth-login.cloud.huawei.com/oauth2/v3/token"
PAYLOAD = 4096  # bytes without the tokens
HEADERS = frozenset({"content-type"})
JSON = ("content-type", "application/json;charset=utf-8")

NO_TARGET = Outcome(Verdict.INVALID, "unknown kind of target")


@dataclass(frozen=True, slots=True)
class _Credential:
    secret: str = field(repr=False)
    tokens: AccessTokens


class HuaweiProvider:
    """Tokens, topics and conditions, with one access token for everything."""

    name = "huawei"
    expires_at: Millis | None = None  # a secret has no end

    def __init__(self, settings: HuaweiApp, tools: ProviderContext) -> None:
        """
        Read the secret; no connection is made.

        Raises:
            ConfigError: the secret cannot be read, or the app's id is none.
        """
        if not settings.app_id.isascii() or not settings.app_id.isalnum():
            raise ConfigError("huawei.app_id: must be the number that Huawei gave out")
        self._settings = settings
        self._tools = tools
        self._http = tools.open_http(settings.http)
        self._url = f"https://{HOST}/v1/{quote(settings.app_id)}/messages:send"
        self._credential = ReloadableCredential(self._load)

    @property
    def asked(self) -> int:
        """How many access tokens were asked for with the current secret."""
        return self._credential.now.tokens.asked

    def check(self, message: Message) -> None:
        """Raise CallerError for what Huawei could never take."""
        checks.headers(message, HEADERS)
        body = checks.json_body(message, PAYLOAD)
        for target in ("token", "topic", "condition"):
            if target in body:
                raise CallerError(f"body.{target}", "is set for each push, not in the message")
        if not isinstance(body.get("data", ""), str):
            raise CallerError("body.data", "must be a text")

    def attempt(self, notification: Notification, places: Sequence[int], done: Done) -> None:
        """Try to deliver to the targets at these places."""
        if notification.kind not in ("token", "topic", "condition"):
            for place in places:
                done(place, NO_TARGET)
            return
        body = self._body(notification)
        for chunk in chunks(notification, places, done):
            self._send(chunk, body, again=False)

    def reload(self) -> None:
        """Read the secret again. The access token of an unchanged one is kept."""
        before = self._credential.now
        if self._credential.reload() and self._credential.now.secret == before.secret:
            self._credential.now = before

    async def close(self) -> None:
        """Let go of connections. Attempts under way end with UNKNOWN."""
        await self._http.close()

    def _body(self, note: Notification) -> bytes:
        """Return the message up to its target."""
        body = note.message.body
        if self._settings.sizes:
            parsed = orjson.loads(body)
            if str(parsed.get("data", "")).startswith("{"):
                parsed["data"] = padded(parsed["data"].encode(), self._settings.sizes).decode()
                body = orjson.dumps(parsed)
        comma = b"," if body[1:-1].strip() else b""
        return b'{"validate_only":false,"message":' + body[:-1] + comma + b'"' + note.kind.encode() + b'":'

    def _send(self, chunk: TargetBatch, body: bytes, *, again: bool) -> None:
        tokens = self._credential.now.tokens

        def ready(bearer: str, failed: Outcome | None) -> None:
            if failed is not None:
                chunk.tell(failed)
                return
            targets: list[str] | str = chunk.targets if chunk.note.kind == "token" else chunk.targets[0]
            headers = (("authorization", "Bearer " + bearer), JSON)
            request = HttpRequest(self._url, headers, body + orjson.dumps(targets) + b"}}", self._settings.timeout)
            submit_request(self._http, request, self, (chunk, body, tokens, bearer, again))

        tokens.get(ready)

    def on_response(
        self, key: tuple[TargetBatch, bytes, AccessTokens, str, bool], result: HttpResponse | HttpFailure
    ) -> None:
        """Report the outcomes of one request, or send it once more with a new access token."""
        chunk, body, tokens, bearer, again = key
        if isinstance(result, HttpFailure):
            chunk.tell(failure(result))
            return
        told, dead = outcome(result)
        if told is REFUSED_TOKEN and not again:
            tokens.refused(bearer)
            self._send(chunk, body, again=True)
        else:
            chunk.tell(told, dict.fromkeys(dead, DEAD))

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

        return _Credential(secret, AccessTokens(request, self._http, self._tools.clock))
