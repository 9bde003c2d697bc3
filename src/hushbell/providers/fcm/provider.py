"""Firebase Cloud Messaging, HTTP v1 (reference/gateway.md 5.2): one request per target, side by side."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

import orjson
from cryptography.hazmat.primitives.asymmetric import rsa

from hushbell.config.providers import FcmApp
from hushbell.core.delivery.notification import Message, Notification
from hushbell.errors import CallerError, ConfigError
from hushbell.ports.gateway import ACCEPTED, Outcome, Verdict
from hushbell.ports.http import HeaderFields, HttpFailure, HttpRequest, HttpResponse, RequestItem, RequestTemplate
from hushbell.ports.making import ProviderContext
from hushbell.ports.provider import Attempt, Done
from hushbell.providers import checks, files
from hushbell.providers.credentials import ReloadableCredential
from hushbell.providers.fcm.outcome import REFUSED_TOKEN, outcome
from hushbell.providers.jwt import rs256, rsa_key
from hushbell.providers.oauth import AccessTokens
from hushbell.providers.padding import padded_data
from hushbell.providers.responses import failure, json_object
from hushbell.providers.templates import TemplateCache, submit_all
from hushbell.types import Millis

HOST = "fcm.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PAYLOAD = 4096  # bytes of data and notification
BODY = 16 * 1024  # bytes of a message with the parts for each platform
LONGEST_TOKEN = 4096  # characters; today's have about 170
JSON = ("content-type", "application/json")
FORMAT = ("x-goog-api-format-version", "2")  # errors with their details, as the clients of Google ask for
HEADERS = frozenset({"content-type", "x-goog-api-format-version", "x-firebase-client", "user-agent"})

TOO_LONG = Outcome(Verdict.DEAD_TOKEN, "INVALID_ARGUMENT")
NO_TARGET = Outcome(Verdict.INVALID, "unknown kind of target")


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

    def __init__(self, settings: FcmApp, tools: ProviderContext) -> None:
        """
        Read the service account; no connection is made.

        Raises:
            ConfigError: the file is missing or bad.
        """
        self.settings = settings
        self._tools = tools
        self._http = tools.open_http(settings.http, hosts=(HOST,))
        # Its address stands in the service account, so it may be anything that speaks HTTP.
        self._token_http = tools.open_http(settings.http)
        self._credential = ReloadableCredential(self._load)
        self._templates = TemplateCache[_FcmTemplate]()

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
        self.attempt_all([(notification, places, done)])

    def attempt_all(self, attempts: Sequence[Attempt]) -> None:
        """Try to deliver several notifications; those whose headers are alike leave together."""
        fit = [(note, good, done) for note, places, done in attempts if (good := _targets(note, places, done))]
        if fit:
            self.send(self._credential.now, fit)

    def send(self, credential: _Credential, attempts: Sequence[Attempt], *, again: bool = False) -> None:
        """Send as soon as there is an access token; ``again``: the one before was refused."""

        def ready(bearer: str, failed: Outcome | None) -> None:
            if failed is None:
                submit_all(self._http, self._parts(credential, bearer, attempts, again=again))
                return
            for _, places, done in attempts:
                for place in places:
                    done(place, failed)

        credential.tokens.get(ready)

    def _parts(
        self, credential: _Credential, bearer: str, attempts: Sequence[Attempt], *, again: bool
    ) -> Iterator[tuple[RequestTemplate, list[RequestItem]]]:
        for note, places, done in attempts:
            made = self._template(credential, bearer, note.message.headers, again=again)
            yield made.template, made.items(note, places, done)

    def _template(self, credential: _Credential, bearer: str, given: HeaderFields, *, again: bool) -> "_FcmTemplate":
        """Return the template of messages with these headers, with the current access token."""
        key = given, again
        return self._templates.find(key, bearer) or self._templates.add(
            key, _FcmTemplate(self, credential, bearer, given, again=again)
        )

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
        path = self.settings.credentials_file
        account = _account(files.read(path, "fcm.credentials_file"), path, self.settings.project)
        return _Credential(account, AccessTokens(account.request, self._token_http, self._tools.clock))


class _FcmTemplate:
    """How all messages with the same headers go with one access token, and what their answers mean."""

    __slots__ = ("_again", "_credential", "_provider", "bearer", "template")

    def __init__(
        self, provider: FcmProvider, credential: _Credential, bearer: str, given: HeaderFields, *, again: bool
    ) -> None:
        names = {name for name, _ in given}
        usual = [pair for pair in (JSON, FORMAT) if pair[0] not in names]
        url = f"https://{HOST}/v1/projects/{credential.account.project}/messages:send"
        headers = (("authorization", "Bearer " + bearer), *given, *usual)
        self.template = RequestTemplate(url, headers, provider.settings.timeout)
        self.bearer = bearer
        self._provider = provider
        self._credential = credential
        self._again = again  # the access token before this one was refused

    def items(self, note: Notification, places: Sequence[int], done: Done) -> list[RequestItem]:
        """Return a request for each place."""
        tokens = note.tokens
        body = padded_data(note.message.body, self._provider.settings.sizes)
        comma = b"" if body == b"{}" or not body[1:-1].strip() else b","
        start = b'{"message":%b%b"%b":' % (body[:-1], comma, note.kind.encode())
        return [
            (self, (note, place, done), "", (), b"%b%b}}" % (start, orjson.dumps(tokens[place]))) for place in places
        ]

    def on_response(self, push: tuple[Notification, int, Done], result: HttpResponse | HttpFailure) -> None:
        """Report the outcome of one request, or send it once more with a new access token."""
        note, place, done = push
        if isinstance(result, HttpFailure):
            told = failure(result)
        elif result.status == 200:
            told = ACCEPTED
        else:
            told = outcome(result)
            if told is REFUSED_TOKEN and not self._again:
                self._credential.tokens.refused(self.bearer)
                self._provider.send(self._credential, [(note, (place,), done)], again=True)
                return
        done(place, told)


def _targets(note: Notification, places: Sequence[int], done: Done) -> Sequence[int]:
    """Return the places whose targets could be some, and refuse the others."""
    if note.kind not in ("token", "topic", "condition"):
        for place in places:
            done(place, NO_TARGET)
        return ()
    tokens = note.tokens
    good = [place for place in places if 0 < len(tokens[place]) <= LONGEST_TOKEN]
    if len(good) < len(places):
        for place in places:
            if not 0 < len(tokens[place]) <= LONGEST_TOKEN:
                done(place, TOO_LONG)
    return good


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
