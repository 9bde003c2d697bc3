"""Apple's push service behind the gateway (reference/gateway.md 5.1): key or certificate, both environments."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from hushbell.config.providers import ApnsApp
from hushbell.core.delivery import push_ids
from hushbell.core.delivery.notification import Message, Notification
from hushbell.errors import CallerError, ConfigError
from hushbell.ports.gateway import ACCEPTED, Outcome, Verdict
from hushbell.ports.http import HeaderFields, HttpClient, HttpFailure, HttpResponse, RequestItem, RequestTemplate
from hushbell.ports.making import ProviderContext
from hushbell.ports.provider import Attempt, Done
from hushbell.providers import checks, files
from hushbell.providers.apns.adapter import BAD_TOKEN, PAYLOAD, PRODUCTION, SANDBOX, TOPIC
from hushbell.providers.apns.certificate import Certificate, SecretFile, load
from hushbell.providers.apns.outcome import outcome
from hushbell.providers.apns.token import TokenSigner
from hushbell.providers.credentials import ReloadableCredential
from hushbell.providers.padding import padded
from hushbell.providers.responses import failure
from hushbell.providers.templates import TemplateCache, submit_all
from hushbell.types import Millis

HOSTS = {"production": PRODUCTION, "development": SANDBOX}
OTHER = {"production": "development", "development": "production"}
VOIP = 5120  # bytes, Apple's limit for a payload of push type voip
REMEMBERED = 10_000  # tokens whose environment is not the one their messages name

# Whatever leaves the path a path: Apple says itself which tokens it does not know.
TOKEN = re.compile(r"[0-9A-Za-z_-]{1,200}", re.ASCII)

PUSH_TYPES = frozenset(
    {"alert", "background", "voip", "complication", "fileprovider", "mdm"}
    | {"location", "liveactivity", "pushtotalk", "widgets", "controls"}
)
HEADERS = frozenset(
    {"apns-topic", "apns-push-type", "apns-priority", "apns-expiration", "apns-collapse-id", "apns-id", "content-type"}
)
JSON = ("content-type", "application/json; charset=utf-8")  # as other gateways send it; Apple does not look
ONLY_TOKENS = Outcome(Verdict.INVALID, "only tokens")


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

    def __init__(self, settings: ApnsApp, tools: ProviderContext) -> None:
        """
        Read the credential; no connection is made.

        Raises:
            ConfigError: a file is missing or bad; names it and the setting.
        """
        self.settings = settings
        self.clock = tools.clock
        self._templates = TemplateCache[_ApnsTemplate]()
        self.elsewhere: OrderedDict[str, str] = OrderedDict()  # token → the environment that knows it
        self._tools = tools
        self._credential = ReloadableCredential(self._load)
        self._file: SecretFile | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self.http = self._open()

    @property
    def expires_at(self) -> Millis | None:
        """Return when the certificate ends; a key has no end."""
        certificate = self._credential.now.certificate
        return certificate.expires_at if certificate else None

    @property
    def signed(self) -> int:
        """How many provider tokens were signed with the current key."""
        signer = self._credential.now.signer
        return signer.signed if signer else 0

    @property
    def signer(self) -> TokenSigner | None:
        """The signer of provider tokens, or None with a certificate."""
        return self._credential.now.signer

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
        if not topic and self._credential.now.signer is not None:
            raise CallerError("headers.apns-topic", "is missing, and the app has no default")
        most = VOIP if given.get("apns-push-type") == "voip" else PAYLOAD
        if not isinstance(checks.json_body(message, most).get("aps"), dict):
            raise CallerError("body.aps", "must be an object")

    def attempt(self, notification: Notification, places: Sequence[int], done: Done) -> None:
        """Try to deliver to the tokens at these places."""
        self.attempt_all([(notification, places, done)])

    def attempt_all(self, attempts: Sequence[Attempt]) -> None:
        """Try to deliver several notifications; those whose headers are alike leave together."""
        submit_all(self.http, self._parts(attempts))

    def _parts(self, attempts: Sequence[Attempt]) -> Iterator[tuple[RequestTemplate, list[RequestItem]]]:
        for note, places, done in attempts:
            for route, here in self._routed(note, places, done):
                made = self.template(note.message.headers, route, alone=len(note.tokens) == 1)
                yield made.template, made.items(note, here, done)

    def _routed(
        self, notification: Notification, places: Sequence[int], done: Done
    ) -> Iterable[tuple[str, Sequence[int]]]:
        """Return which tokens belong to which environment, as far as is known; refuse those that can be none."""
        tokens, elsewhere = notification.tokens, self.elsewhere
        if notification.kind != "token":
            for place in places:
                done(place, ONLY_TOKENS)
            return ()
        route = notification.message.route or self.settings.route
        if places and not elsewhere and all(map(TOKEN.fullmatch, [tokens[place] for place in places])):
            return ((route, places),)
        routed: dict[str, list[int]] = {}
        for place in places:
            if TOKEN.fullmatch(tokens[place]):
                routed.setdefault(elsewhere.get(tokens[place], route), []).append(place)
            else:
                done(place, BAD_TOKEN)
        return routed.items()

    def reload(self) -> None:
        """Read the credential again. Requests under way end with the old one."""
        before = self._credential.now
        if not self._credential.reload():
            return
        now = self._credential.now
        if now.key == before.key and now.signer and before.signer:
            # The same key keeps its token: Apple takes it ill if one is made without need.
            self._credential.now = before
        elif now.certificate != before.certificate:
            task = asyncio.get_running_loop().create_task(self._retire(self.http, self._file))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
            self.http = self._open()

    async def close(self) -> None:
        """Let go of connections. Attempts under way end with UNKNOWN."""
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
            await self._tools.clock.sleep(3 * self.settings.timeout)
        finally:
            await http.close()
            if file is not None:
                file.close()

    def template(
        self, given: HeaderFields, route: str, *, alone: bool, again: bool = False, probing: bool = False
    ) -> "_ApnsTemplate":
        """Return the template of messages with these headers, with the current credential."""
        signer = self._credential.now.signer
        bearer = "" if signer is None else signer.token(self.clock.now())
        key = given, route, alone, again, probing
        return self._templates.find(key, bearer) or self._templates.add(
            key, _ApnsTemplate(self, given, route, bearer, alone=alone, again=again, probing=probing)
        )

    def remember(self, token: str, route: str) -> None:
        """Note that a token belongs to this environment, whatever its messages say."""
        self.elsewhere[token] = route
        self.elsewhere.move_to_end(token)
        if len(self.elsewhere) > REMEMBERED:
            self.elsewhere.popitem(last=False)

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
        certificate, path = self._credential.now.certificate, ""
        self._file = None
        if certificate is not None:
            self._file = SecretFile(certificate.pem)
            path = self._file.path
        settings = replace(self.settings.http, certificate_file=path)
        return self._tools.open_http(settings, hosts=(PRODUCTION, SANDBOX))


class _ApnsTemplate:
    """How all messages with the same headers go to one environment, and what their answers mean."""

    __slots__ = ("_again", "_given", "_needs_id", "_own_topic", "_probing", "_provider", "_route", "bearer", "template")

    def __init__(
        self,
        provider: ApnsProvider,
        given: HeaderFields,
        route: str,
        bearer: str,  # the provider token; "" with a certificate
        *,
        alone: bool,  # to a single token
        again: bool,  # with another provider token than the one that has expired
        probing: bool,  # where the token was not expected
    ) -> None:
        names = {name for name, _ in given}
        self._own_topic = "apns-topic" not in names and bool(provider.settings.topic)
        # The caller's own id can only name one push; all others get one of ours.
        self._needs_id = "apns-id" not in names or not alone
        headers = [("authorization", "bearer " + bearer)] if bearer else []
        headers += [pair for pair in given if pair[0] != "apns-id" or not self._needs_id]
        if self._own_topic:
            headers.append(("apns-topic", provider.settings.topic))
        if "content-type" not in names:
            headers.append(JSON)
        url = f"https://{HOSTS[route]}/3/device/"
        self.template = RequestTemplate(
            url, tuple(headers), provider.settings.timeout, ("apns-id",) if self._needs_id else ()
        )
        self.bearer = bearer
        self._provider = provider
        self._given = given
        self._route = route
        self._again = again
        self._probing = probing

    def items(self, note: Notification, places: Sequence[int], done: Done) -> list[RequestItem]:
        """Return a request for each place."""
        tokens, ident = note.tokens, note.ident
        body = padded(note.message.body, self._provider.settings.sizes)
        if not self._needs_id:
            return [(self, (note, place, done), tokens[place], (), body) for place in places]
        start, suffix = push_ids.prefix(ident), push_ids.suffix
        return [(self, (note, place, done), tokens[place], (start + suffix(ident, place),), body) for place in places]

    def on_response(self, push: tuple[Notification, int, Done], result: HttpResponse | HttpFailure) -> None:
        """Report the outcome of one request, or send it once more."""
        note, place, done = push
        if isinstance(result, HttpFailure):
            told = failure(result)
        elif result.status == 200:
            told = ACCEPTED
        else:
            told = outcome(result, own_topic=self._own_topic)
            if told.reason == "ExpiredProviderToken" and not self._again and self._renew():
                self._send(push, self._route, again=True, probing=self._probing)
                return
            if told == BAD_TOKEN and self._provider.settings.probe and not self._probing:
                self._send(push, OTHER[self._route], again=self._again, probing=True)
                return
        if self._probing:
            told = self._probed(told, note.tokens[place])
        done(place, told)

    def _send(self, push: tuple[Notification, int, Done], route: str, *, again: bool, probing: bool) -> None:
        """Attempt one token once more."""
        note, place, done = push
        made = self._provider.template(self._given, route, alone=len(note.tokens) == 1, again=again, probing=probing)
        self._provider.http.submit(made.template, made.items(note, (place,), done))

    def _renew(self) -> bool:
        """Say whether there is another provider token than the one that Apple says has expired."""
        signer = self._provider.signer
        return signer is not None and signer.renewed(self.bearer, self._provider.clock.now()) is not None

    def _probed(self, told: Outcome, token: str) -> Outcome:
        """Return what follows for a token that one environment did not know, when the other has spoken."""
        if told.verdict is Verdict.ACCEPTED:
            self._provider.remember(token, self._route)
            return told
        if token in self._provider.elsewhere:
            del self._provider.elsewhere[token]
        if told.verdict is Verdict.DEAD_TOKEN:
            return told
        if told.verdict in (Verdict.RETRY, Verdict.UNKNOWN):
            # The other environment's trouble is this token's only, not the app's.
            return Outcome(told.verdict, told.reason, after=told.after)
        return BAD_TOKEN  # the credential is not for the other environment, so the token cannot be either
