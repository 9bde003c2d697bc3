"""Apple's push service (reference/gateway.md 5.1): with a key or a certificate, in both environments."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from hushbell.core.delivery import push_ids
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Verdict
from hushbell.errors import CallerError, ConfigError
from hushbell.ports.http import HeaderFields, HttpClient, HttpFailure, HttpResponse, RequestItem, RequestTemplate
from hushbell.ports.provider import Attempt, Done, ProviderContext
from hushbell.providers import checks, files
from hushbell.providers.apns.certificate import Certificate, SecretFile, load
from hushbell.providers.apns.outcome import outcome
from hushbell.providers.apns.settings import ApnsSettings
from hushbell.providers.apns.token import TokenSigner
from hushbell.providers.batches import supported
from hushbell.providers.credentials import ReloadableCredential
from hushbell.providers.padding import padded
from hushbell.providers.responses import failure
from hushbell.providers.templates import TemplateCache, submit_all
from hushbell.types import Millis

PRODUCTION = "api.push.apple.com"
SANDBOX = "api.sandbox.push.apple.com"
HOSTS = {"production": PRODUCTION, "development": SANDBOX}
OTHER = {"production": "development", "development": "production"}
MAX_PAYLOAD = 4096  # bytes, Apple's limit
MAX_VOIP_PAYLOAD = 5120  # bytes, Apple's limit for push type voip
MAX_REMEMBERED = 10_000  # tokens whose environment is not the one their messages name

# Any text that stays one segment of the path: Apple itself reports the tokens that it does not know.
TOKEN = re.compile(r"[0-9A-Za-z_-]{1,200}", re.ASCII)
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,255}", re.ASCII)
TOO_LARGE = Outcome(Verdict.INVALID, "PayloadTooLarge")
BAD_TOKEN = Outcome(Verdict.DEAD_TOKEN, "BadDeviceToken")

PUSH_TYPES = frozenset(
    {"alert", "background", "voip", "complication", "fileprovider", "mdm"}
    | {"location", "liveactivity", "pushtotalk", "widgets", "controls"}
)
HEADERS = frozenset(
    {"apns-topic", "apns-push-type", "apns-priority", "apns-expiration", "apns-collapse-id", "apns-id", "content-type"}
)
JSON = ("content-type", "application/json; charset=utf-8")  # as other gateways send it; Apple does not look


@dataclass(frozen=True, slots=True)
class _Credential:
    """Proves who sends: a signer for the key, or a certificate in the connection itself."""

    signer: TokenSigner | None
    key: bytes
    certificate: Certificate | None


class ApnsProvider:
    """
    One request per token, side by side on few connections.

    A token that one environment does not know is tried in the other one before it is given up: builds for testing
    and from the store mix in every app sooner or later, and Apple says BadDeviceToken to both mistakes.
    """

    name = "apns"

    def __init__(self, settings: ApnsSettings, context: ProviderContext) -> None:
        """
        Read the credential; no connection is made.

        Raises:
            ConfigError: a file is missing or bad; names it and the setting.
        """
        self.settings = settings
        self.clock = context.clock
        self._templates = TemplateCache[_ApnsTemplate]()
        self.known_environment: OrderedDict[str, str] = OrderedDict()  # of tokens, where their messages name another
        self._context = context
        self._credential = ReloadableCredential(self._load)
        self._file: SecretFile | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self.http = self._open()

    @property
    def credential_expires_at(self) -> Millis | None:
        """Return when the certificate ends; a key has no end."""
        certificate = self._credential.current.certificate
        return certificate.expires_at if certificate else None

    @property
    def signed(self) -> int:
        """How many provider tokens were signed with the current key."""
        signer = self._credential.current.signer
        return signer.signed if signer else 0

    @property
    def signer(self) -> TokenSigner | None:
        """The signer of provider tokens, or None with a certificate."""
        return self._credential.current.signer

    def check(self, message: Message) -> None:
        """Raise CallerError for what Apple could never take."""
        given = checks.headers(message, HEADERS)
        checks.one_of("route", message.route or None, HOSTS)
        checks.one_of("headers.apns-push-type", given.get("apns-push-type"), PUSH_TYPES)
        checks.one_of("headers.apns-priority", given.get("apns-priority"), ("1", "5", "10"))
        checks.number("headers.apns-expiration", given.get("apns-expiration"))
        checks.size("headers.apns-collapse-id", len(given.get("apns-collapse-id", "")), 64)
        topic = given.get("apns-topic") or self.settings.topic
        if topic and not TOPIC.fullmatch(topic):
            raise CallerError("headers.apns-topic", "must be letters, digits, dots and hyphens")
        if not topic and self._credential.current.signer is not None:
            raise CallerError("headers.apns-topic", "is missing, and the app has no default")
        limit = MAX_VOIP_PAYLOAD if given.get("apns-push-type") == "voip" else MAX_PAYLOAD
        if not isinstance(checks.json_body(message, limit).get("aps"), dict):
            raise CallerError("body.aps", "must be an object")

    def send(self, attempts: Sequence[Attempt]) -> None:
        """Send pushes; those of notifications with the same headers are submitted together."""
        submit_all(self.http, self._parts(supported(attempts, ("token",))))

    def _parts(self, attempts: Iterable[Attempt]) -> Iterator[tuple[RequestTemplate, list[RequestItem]]]:
        for attempt in attempts:
            for environment, indexes in self._by_environment(attempt):
                template = self.template(attempt.notification, environment)
                yield template.template, template.items(attempt.notification, indexes, attempt.done)

    def _by_environment(self, attempt: Attempt) -> Iterable[tuple[str, Sequence[int]]]:
        """Return the indexes of each environment's tokens, as far as is known; report those that can be no tokens."""
        notification, indexes, done = attempt
        targets, known = notification.targets, self.known_environment
        if len(notification.message.body) > MAX_VOIP_PAYLOAD:  # of the push server; an API checks its callers'
            attempt.report(TOO_LARGE)
            return ()
        environment = notification.message.route or self.settings.route
        if indexes and not known and all(map(TOKEN.fullmatch, [targets[index] for index in indexes])):
            return ((environment, indexes),)
        found: dict[str, list[int]] = {}
        for index in indexes:
            token = targets[index]
            if TOKEN.fullmatch(token):
                found.setdefault(known.get(token, environment), []).append(index)
            else:
                done(index, BAD_TOKEN)
        return found.items()

    def reload(self) -> None:
        """Read the credential again. Requests under way end with the old one."""
        before = self._credential.current
        if not self._credential.reload():
            return
        now = self._credential.current
        if now.key == before.key and now.signer and before.signer:
            # The same key keeps its token: Apple takes it ill if one is made without need.
            self._credential.current = before
        elif now.certificate != before.certificate:
            task = asyncio.get_running_loop().create_task(self._retire(self.http, self._file))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
            self.http = self._open()

    async def close(self) -> None:
        """Close the connections. Attempts under way end with UNKNOWN."""
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await self.http.close()
        if self._file is not None:
            self._file.close()
            self._file = None

    async def _retire(self, http: HttpClient, file: SecretFile | None) -> None:
        """Close a client that gets no more requests, once those under way have ended."""
        try:
            await self._context.clock.sleep(3 * self.settings.timeout)
        finally:
            await http.close()
            if file is not None:
                file.close()

    def template(
        self, notification: Notification, environment: str, *, is_renewed: bool = False, is_other: bool = False
    ) -> "_ApnsTemplate":
        """Return the template of a notification's requests, with the current credential."""
        signer = self._credential.current.signer
        bearer = "" if signer is None else signer.token(self.clock.now())
        is_alone, has_collapse_id = len(notification.targets) == 1, notification.collapse_id != ""
        shape = (notification.message.headers, environment, is_alone, has_collapse_id, is_renewed, is_other)
        return self._templates.find(shape, bearer) or self._templates.add(
            shape, _ApnsTemplate(self, _Shape(*shape), bearer)
        )

    def remember(self, token: str, environment: str) -> None:
        """Note that a token belongs to this environment, even if its messages name the other."""
        self.known_environment[token] = environment
        self.known_environment.move_to_end(token)
        if len(self.known_environment) > MAX_REMEMBERED:
            self.known_environment.popitem(last=False)

    def _load(self) -> _Credential:
        settings = self.settings
        if settings.certificate_file:
            content = files.read(settings.certificate_file, "apns.certificate_file")
            password = None
            if settings.password_file:
                password = files.read(settings.password_file, "apns.password_file").rstrip(b"\r\n")
            certificate = load(content, password, f"apns.certificate_file: {settings.certificate_file}")
            return _Credential(None, b"", certificate)
        if not settings.key_file:
            raise ConfigError("apns.key_file: missing; apns.certificate_file may stand in its place")
        key = files.read(settings.key_file, "apns.key_file")
        try:
            signer = TokenSigner(key, key_id=settings.key_id, team_id=settings.team_id)
        except ConfigError as error:
            raise ConfigError(f"{error}: {settings.key_file}") from None
        return _Credential(signer, key, None)

    def _open(self) -> HttpClient:
        certificate, path = self._credential.current.certificate, ""
        self._file = None
        if certificate is not None:
            self._file = SecretFile(certificate.pem)
            path = self._file.path
        settings = replace(self.settings.http, certificate_file=path)
        return self._context.open_http(settings, hosts=(PRODUCTION, SANDBOX))


class _Shape(NamedTuple):
    """What decides the headers of a request, beside the credential."""

    headers: HeaderFields  # of the message
    environment: str
    is_alone: bool  # the notification has a single token
    has_collapse_id: bool  # of the notification
    is_renewed: bool  # Apple said that the provider token before this one has expired
    is_other: bool  # the environment is not the one where the token was expected


class _ApnsTemplate:
    """The request template of one shape and provider token, and the handler of its responses."""

    __slots__ = ("_is_default_topic", "_needs_collapse_id", "_needs_id", "_provider", "_shape", "bearer", "template")

    def __init__(self, provider: ApnsProvider, shape: _Shape, bearer: str) -> None:
        """Make the template; ``bearer`` is the provider token, or "" with a certificate."""
        names = {name for name, _ in shape.headers}
        self._is_default_topic = "apns-topic" not in names
        # An id that the caller chose can only name one push; all others get one of ours.
        self._needs_id = "apns-id" not in names or not shape.is_alone
        self._needs_collapse_id = shape.has_collapse_id and "apns-collapse-id" not in names
        headers = [("authorization", "bearer " + bearer)] if bearer else []
        headers += [pair for pair in shape.headers if pair[0] != "apns-id" or not self._needs_id]
        if self._is_default_topic and provider.settings.topic:
            headers.append(("apns-topic", provider.settings.topic))
        if "content-type" not in names:
            headers.append(JSON)
        varying = (("apns-id", self._needs_id), ("apns-collapse-id", self._needs_collapse_id))
        self.template = RequestTemplate(
            f"https://{HOSTS[shape.environment]}/3/device/",
            tuple(headers),
            provider.settings.timeout,
            tuple([name for name, is_needed in varying if is_needed]),
        )
        self.bearer = bearer
        self._provider = provider
        self._shape = shape

    def items(self, notification: Notification, indexes: Sequence[int], done: Done) -> list[RequestItem]:
        """Return a request for each index."""
        targets, ident = notification.targets, notification.ident
        body = padded(notification.message.body, self._provider.settings.sizes)
        shared = (notification.collapse_id,) if self._needs_collapse_id else ()
        if not self._needs_id:
            return [(self, (notification, index, done), targets[index], shared, body) for index in indexes]
        start, suffix = push_ids.prefix(ident), push_ids.suffix
        if not shared:
            return [
                (self, (notification, index, done), targets[index], (start + suffix(ident, index),), body)
                for index in indexes
            ]
        return [
            (self, (notification, index, done), targets[index], (start + suffix(ident, index), *shared), body)
            for index in indexes
        ]

    def on_response(self, push: tuple[Notification, int, Done], result: HttpResponse | HttpFailure) -> None:
        """Report the outcome of one request, or send it once more."""
        notification, index, done = push
        shape = self._shape
        if isinstance(result, HttpFailure):
            found = failure(result)
        elif result.status == 200:
            found = ACCEPTED
        else:
            found = outcome(result, is_default_topic=self._is_default_topic)
            if found.reason == "ExpiredProviderToken" and not shape.is_renewed and self._renew():
                self._send_again(push, shape.environment, is_renewed=True, is_other=shape.is_other)
                return
            if found == BAD_TOKEN and self._provider.settings.probe and not shape.is_other:
                self._send_again(push, OTHER[shape.environment], is_renewed=shape.is_renewed, is_other=True)
                return
        if shape.is_other:
            found = self._in_other_environment(found, notification.targets[index])
        done(index, found)

    def _send_again(
        self, push: tuple[Notification, int, Done], environment: str, *, is_renewed: bool, is_other: bool
    ) -> None:
        notification, index, done = push
        template = self._provider.template(notification, environment, is_renewed=is_renewed, is_other=is_other)
        self._provider.http.submit(template.template, template.items(notification, (index,), done))

    def _renew(self) -> bool:
        """Return whether there is another provider token than the one that Apple says has expired."""
        signer = self._provider.signer
        return signer is not None and signer.renewed(self.bearer, self._provider.clock.now()) is not None

    def _in_other_environment(self, found: Outcome, token: str) -> Outcome:
        """Return the outcome for a token that one environment did not know, after the other has answered."""
        if found.verdict is Verdict.ACCEPTED:
            self._provider.remember(token, self._shape.environment)
            return found
        self._provider.known_environment.pop(token, None)
        if found.verdict is Verdict.DEAD_TOKEN:
            return found
        if found.verdict in (Verdict.RETRY, Verdict.UNKNOWN):
            # The other environment's trouble is this token's only, not the app's.
            return Outcome(found.verdict, found.reason, after=found.after)
        return BAD_TOKEN  # the credential is not for the other environment, so the token cannot be either
