"""Firebase Cloud Messaging, HTTP v1 (reference/gateway.md 5.2): one request per target, side by side."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

import orjson
from cryptography.hazmat.primitives.asymmetric import rsa

from hushbell.config.providers import FcmApp
from hushbell.core.gateway.notification import Message, Notification
from hushbell.errors import CallerError, ConfigError
from hushbell.ports.gateway import ACCEPTED, Outcome, Verdict
from hushbell.ports.http import Http, HttpAnswer, HttpFailure, HttpRequest, Series
from hushbell.ports.making import Tools
from hushbell.ports.provider import Done
from hushbell.providers import checks, files
from hushbell.providers.answers import failure, json_object
from hushbell.providers.credentials import Reloaded
from hushbell.providers.fcm_outcome import REFUSED_TOKEN, outcome
from hushbell.providers.jwt import rs256, rsa_key
from hushbell.providers.oauth import AccessTokens
from hushbell.providers.padding import padded_data
from hushbell.providers.series import post_series
from hushbell.types import Millis

HOST = "fcm.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PAYLOAD = 4096  # bytes of data and notification
BODY = 16 * 1024  # bytes of a message with the parts for each platform
LONGEST_TOKEN = 4096  # characters; today's have about 170
FORMAT = ("x-goog-api-format-version", "2")  # errors with their details, as the clients of Google ask for
HEADERS = frozenset({"content-type", "x-goog-api-format-version", "x-firebase-client", "user-agent"})

TOO_LONG = Outcome(Verdict.DROP_TOKEN, "INVALID_ARGUMENT")
NO_TARGET = Outcome(Verdict.CALLER_ERROR, "unknown kind of target")


@dataclass(frozen=True, slots=True)
class _Account:
    """A service account."""

    email: str
    key: rsa.RSAPrivateKey = field(repr=False)
    key_id: str
    token_url: str
    project: str
    content: bytes = field(repr=False)

    def request(self, now: Millis) -> HttpRequest:
        """Ask for an access token (RFC 7523)."""
        seconds = now // 1000
        head = {"alg": "RS256", "typ": "JWT", "kid": self.key_id}
        claims: dict[str, str | int] = {
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.token_url,
            "iat": seconds,
            "exp": seconds + 3600,
        }
        form = urlencode({"grant_type": GRANT, "assertion": rs256(self.key, head, claims)})
        headers = (("content-type", "application/x-www-form-urlencoded"),)
        return HttpRequest(self.token_url, headers, form.encode(), 10.0)


@dataclass(frozen=True, slots=True)
class _Credential:
    account: _Account
    tokens: AccessTokens


class FcmProvider:
    """Tokens, topics and conditions. One access token serves everything; it is renewed before it ends."""

    name = "fcm"
    expires_at: Millis | None = None  # a service account's key has no end

    def __init__(self, settings: FcmApp, tools: Tools) -> None:
        """
        Read the service account; no connection is made.

        Raises:
            ConfigError: the file is missing or bad.
        """
        self._settings = settings
        self._tools = tools
        self._http = tools.open_http(settings.http, hosts=(HOST,))
        # Its address stands in the service account, so it may be anything that speaks HTTP.
        self._token_http = tools.open_http(settings.http)
        self._credential = Reloaded(self._load)

    @property
    def asked(self) -> int:
        """How many access tokens were asked for with the current account."""
        return self._credential.now.tokens.asked

    def check(self, message: Message) -> None:
        """Raise CallerError for what Google could never take."""
        checks.headers(message, HEADERS)
        body = checks.json_body(message, BODY)
        for target in ("token", "topic", "condition"):
            if target in body:
                raise CallerError(f"body.{target}", "is set for each push, not in the message")
        checks.size("body.data and body.notification", _payload(body), PAYLOAD)
        data = body.get("data", {})
        if not isinstance(data, dict):
            raise CallerError("body.data", "must be an object")
        for name, value in data.items():
            if not isinstance(value, str):
                raise CallerError(f"body.data.{name[:64]}", "must be a text")
            if name in ("from", "message_type") or name.startswith(("google", "gcm")):
                raise CallerError(f"body.data.{name[:64]}", "is a name that Google keeps for itself")

    def attempt(self, notification: Notification, places: Sequence[int], done: Done) -> None:
        """Try to deliver to the targets at these places."""
        _Attempt(self._credential.now, self._settings, self._http, notification, done).start(places)

    def reload(self) -> None:
        """Read the service account again. The access token of an unchanged one is kept."""
        before = self._credential.now
        if self._credential.reload() and self._credential.now.account.content == before.account.content:
            self._credential.now = before

    async def close(self) -> None:
        """Let go of connections. Attempts under way end with UNKNOWN."""
        await self._token_http.close()
        await self._http.close()

    def _load(self) -> _Credential:
        path = self._settings.credentials_file
        account = _account(files.read(path, "fcm.credentials_file"), path, self._settings.project)
        return _Credential(account, AccessTokens(account.request, self._token_http, self._tools.clock))


class _Attempt:
    """One attempt at some targets of one notification."""

    __slots__ = ("_credential", "_done", "_end", "_head", "_http", "_note", "_start", "_timeout", "_url")

    def __init__(
        self,
        credential: _Credential,
        settings: FcmApp,
        http: Http,
        note: Notification,
        done: Done,
    ) -> None:
        self._credential = credential
        self._http = http
        self._note = note
        self._done = done
        self._url = f"https://{HOST}/v1/projects/{credential.account.project}/messages:send"
        self._timeout = settings.timeout
        body = padded_data(note.message.body, settings.sizes)
        comma = b"," if body[1:-1].strip() else b""
        self._start = b'{"message":' + body[:-1] + comma + b'"' + note.kind.encode() + b'":'
        self._end = b"}}"
        head = note.message.headers
        if all(name != "content-type" for name, _ in head):
            head = (*head, ("content-type", "application/json"))
        if all(name != FORMAT[0] for name, _ in head):
            head = (*head, FORMAT)
        self._head = head

    def start(self, places: Sequence[int]) -> None:
        """Send to every target that could be one."""
        tokens = self._note.tokens
        if self._note.kind not in ("token", "topic", "condition"):
            for place in places:
                self._done(place, NO_TARGET)
            return
        good = []
        for place in places:
            if 0 < len(tokens[place]) <= LONGEST_TOKEN:
                good.append(place)
            else:
                self._done(place, TOO_LONG)
        if good:
            self._send(good)

    def _send(self, places: Sequence[int], *, again: bool = False) -> None:
        def ready(bearer: str, failed: Outcome | None) -> None:
            if failed is None:
                self._send_with(bearer, places, again=again)
                return
            for place in places:
                self._done(place, failed)

        self._credential.tokens.get(ready)

    def _send_with(self, bearer: str, places: Sequence[int], *, again: bool) -> None:
        head = (("authorization", "Bearer " + bearer), *self._head)
        url, start, end, timeout, tokens = self._url, self._start, self._end, self._timeout, self._note.tokens

        def answered(place: int, result: HttpAnswer | HttpFailure) -> None:
            if isinstance(result, HttpFailure):
                self._done(place, failure(result))
            elif result.status == 200:
                self._done(place, ACCEPTED)
            else:
                told = outcome(result)
                if told is REFUSED_TOKEN and not again:
                    self._credential.tokens.refused(bearer)
                    self._send((place,), again=True)
                else:
                    self._done(place, told)

        members = [(place, "", "", b"%b%b%b" % (start, orjson.dumps(tokens[place]), end)) for place in places]
        post_series(self._http, Series(url, head, timeout), members, answered)


def _payload(body: dict[str, object]) -> int:
    parts = {name: body[name] for name in ("data", "notification") if name in body}
    return len(json.dumps(parts, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")) if parts else 0


def _account(content: bytes, path: str, project: str) -> _Account:
    said = json_object(content)
    texts = {name: said.get(name, "") for name in ("client_email", "private_key", "private_key_id", "token_uri")}
    if not all(isinstance(value, str) for value in texts.values()) or not (
        texts["client_email"] and texts["token_uri"]
    ):
        raise ConfigError(f"fcm.credentials_file: {path} is not the JSON of a service account")
    address = urlsplit(texts["token_uri"])
    if address.scheme != "https" and address.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigError(f"fcm.credentials_file: {path}: token_uri must begin with https://")
    project = project or str(said.get("project_id", ""))
    if not project or not project.replace("-", "").replace(":", "").replace(".", "").isalnum() or not project.isascii():
        raise ConfigError(f"fcm.project: missing, and {path} names none")
    try:
        key = rsa_key(texts["private_key"].encode())
    except ValueError as error:
        raise ConfigError(f"fcm.credentials_file: {path}: private_key: {error}") from None
    return _Account(texts["client_email"], key, texts["private_key_id"], texts["token_uri"], project, content)
