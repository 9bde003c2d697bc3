"""Firebase Cloud Messaging, HTTP v1 (reference/gateway.md 5.2): one request per target, side by side."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

import orjson
from cryptography.hazmat.primitives.asymmetric import rsa

from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Verdict
from hushbell.errors import CallerError, ConfigError
from hushbell.ports.http import HeaderFields, HttpFailure, HttpRequest, HttpResponse, RequestItem, RequestTemplate
from hushbell.ports.provider import Attempt, Done, ProviderContext
from hushbell.providers import checks, files
from hushbell.providers.batches import supported
from hushbell.providers.credentials import ReloadableCredential
from hushbell.providers.fcm.outcome import REFUSED_TOKEN, outcome
from hushbell.providers.fcm.settings import FcmSettings
from hushbell.providers.jwt import rs256, rsa_key
from hushbell.providers.oauth import AccessTokens
from hushbell.providers.padding import padded_data
from hushbell.providers.responses import failure, json_object
from hushbell.providers.templates import TemplateCache, submit_all
from hushbell.types import Millis

HOST = "fcm.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
MAX_PAYLOAD = 4096  # bytes of data and notification
MAX_BODY = 16 * 1024  # bytes of a message with the parts for each platform
MAX_TOKEN = 4096  # characters; today's have about 170
JSON = ("content-type", "application/json")
FORMAT = ("x-goog-api-format-version", "2")  # errors with their details, as the clients of Google ask for
HEADERS = frozenset({"content-type", "x-goog-api-format-version", "x-firebase-client", "user-agent"})

TOO_LONG = Outcome(Verdict.DEAD_TOKEN, "INVALID_ARGUMENT")


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
    """Tokens, topics and conditions. One access token serves all of them; it is renewed before it ends."""

    name = "fcm"
    credential_expires_at: Millis | None = None  # a service account's key has no end

    def __init__(self, settings: FcmSettings, context: ProviderContext) -> None:
        """
        Read the service account; no connection is made.

        Raises:
            ConfigError: the file is missing or bad.
        """
        self.settings = settings
        self._context = context
        self._http = context.open_http(settings.http, hosts=(HOST,))
        # Its address stands in the service account, so it may be anything that speaks HTTP.
        self._token_http = context.open_http(settings.http)
        self._credential = ReloadableCredential(self._load)
        self._templates = TemplateCache[_FcmTemplate]()

    @property
    def tokens_requested(self) -> int:
        """Return how many access tokens were requested with the current account."""
        return self._credential.current.tokens.requested

    def check(self, message: Message) -> None:
        """Raise CallerError for what Google could never take."""
        checks.headers(message, HEADERS)
        body = checks.json_body(message, MAX_BODY)
        for target in ("token", "topic", "condition"):
            if target in body:
                raise CallerError(f"body.{target}", "is set for each push, not in the message")
        checks.size("body.data and body.notification", _payload(body), MAX_PAYLOAD)
        data = body.get("data", {})
        if not isinstance(data, dict):
            raise CallerError("body.data", "must be an object")
        for name, value in data.items():
            if not isinstance(value, str):
                raise CallerError(f"body.data.{name[:64]}", "must be a text")
            if name in ("from", "message_type") or name.startswith(("google", "gcm")):
                raise CallerError(f"body.data.{name[:64]}", "is a name that Google keeps for itself")

    def send(self, attempts: Sequence[Attempt]) -> None:
        """Send pushes as soon as there is an access token."""
        fit = list(map(_without_bad_targets, supported(attempts, ("token", "topic", "condition"))))
        if fit:
            self.send_with_token(self._credential.current, fit)

    def send_with_token(
        self, credential: _Credential, attempts: Sequence[Attempt], *, is_renewed: bool = False
    ) -> None:
        """Send as soon as there is an access token; ``is_renewed``: the one before was refused."""

        def ready(bearer: str, failed: Outcome | None) -> None:
            if failed is None:
                submit_all(self._http, self._parts(credential, bearer, attempts, is_renewed=is_renewed))
                return
            for attempt in attempts:
                attempt.report(failed)

        credential.tokens.get(ready)

    def _parts(
        self, credential: _Credential, bearer: str, attempts: Sequence[Attempt], *, is_renewed: bool
    ) -> Iterator[tuple[RequestTemplate, list[RequestItem]]]:
        for attempt in attempts:
            headers = attempt.notification.message.headers
            key = headers, is_renewed
            template = self._templates.find(key, bearer) or self._templates.add(
                key, _FcmTemplate(self, credential, bearer, headers, is_renewed=is_renewed)
            )
            yield template.template, template.items(attempt)

    def reload(self) -> None:
        """Read the service account again. The access token of an unchanged one is kept."""
        before = self._credential.current
        if self._credential.reload() and self._credential.current.account.content == before.account.content:
            self._credential.current = before

    async def close(self) -> None:
        """Close the connections. Attempts under way end with UNKNOWN."""
        await self._token_http.close()
        await self._http.close()

    def _load(self) -> _Credential:
        path = self.settings.credentials_file
        account = _account(files.read(path, "fcm.credentials_file"), path, self.settings.project)
        return _Credential(account, AccessTokens(account.request, self._token_http, self._context.clock))


class _FcmTemplate:
    """The request template of messages with the same headers and access token, and the handler of its responses."""

    __slots__ = ("_credential", "_is_renewed", "_provider", "bearer", "template")

    def __init__(
        self, provider: FcmProvider, credential: _Credential, bearer: str, given: HeaderFields, *, is_renewed: bool
    ) -> None:
        names = {name for name, _ in given}
        usual = [pair for pair in (JSON, FORMAT) if pair[0] not in names]
        url = f"https://{HOST}/v1/projects/{credential.account.project}/messages:send"
        headers = (("authorization", "Bearer " + bearer), *given, *usual)
        self.template = RequestTemplate(url, headers, provider.settings.timeout)
        self.bearer = bearer
        self._provider = provider
        self._credential = credential
        self._is_renewed = is_renewed  # the access token before this one was refused

    def items(self, attempt: Attempt) -> list[RequestItem]:
        """Return a request for each push."""
        notification, indexes, done = attempt
        targets = notification.targets
        body = padded_data(notification.message.body, self._provider.settings.sizes)
        comma = b"" if body == b"{}" or not body[1:-1].strip() else b","
        start = b'{"message":%b%b"%b":' % (body[:-1], comma, notification.target_kind.encode())
        return [
            (self, (notification, index, done), "", (), b"%b%b}}" % (start, orjson.dumps(targets[index])))
            for index in indexes
        ]

    def on_response(self, push: tuple[Notification, int, Done], result: HttpResponse | HttpFailure) -> None:
        """Report the outcome of one request, or send it once more with a new access token."""
        notification, index, done = push
        if isinstance(result, HttpFailure):
            found = failure(result)
        elif result.status == 200:
            found = ACCEPTED
        else:
            found = outcome(result)
            if found is REFUSED_TOKEN and not self._is_renewed:
                self._credential.tokens.forget(self.bearer)
                attempt = Attempt(notification, (index,), done)
                self._provider.send_with_token(self._credential, [attempt], is_renewed=True)
                return
        done(index, found)


def _without_bad_targets(attempt: Attempt) -> Attempt:
    """Return an attempt without the targets that are too long or empty, which are reported."""
    notification, indexes, done = attempt
    targets = notification.targets
    if all(0 < len(targets[index]) <= MAX_TOKEN for index in indexes):
        return attempt
    good: list[int] = []
    for index in indexes:
        if 0 < len(targets[index]) <= MAX_TOKEN:
            good.append(index)
        else:
            done(index, TOO_LONG)
    return Attempt(notification, good, done)


def _payload(body: dict[str, object]) -> int:
    parts = {name: body[name] for name in ("data", "notification") if name in body}
    return len(json.dumps(parts, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")) if parts else 0


def _account(content: bytes, path: str, project: str) -> _Account:
    fields = json_object(content)
    texts = {name: fields.get(name, "") for name in ("client_email", "private_key", "private_key_id", "token_uri")}
    if not all(isinstance(value, str) for value in texts.values()) or not (
        texts["client_email"] and texts["token_uri"]
    ):
        raise ConfigError(f"fcm.credentials_file: {path} is not the JSON of a service account")
    address = urlsplit(texts["token_uri"])
    if address.scheme != "https" and address.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigError(f"fcm.credentials_file: {path}: token_uri must begin with https://")
    project = project or str(fields.get("project_id", ""))
    if not project or not project.replace("-", "").replace(":", "").replace(".", "").isalnum() or not project.isascii():
        raise ConfigError(f"fcm.project: missing, and {path} names none")
    try:
        key = rsa_key(texts["private_key"].encode())
    except ValueError as error:
        raise ConfigError(f"fcm.credentials_file: {path}: private_key: {error}") from None
    return _Account(texts["client_email"], key, texts["private_key_id"], texts["token_uri"], project, content)
