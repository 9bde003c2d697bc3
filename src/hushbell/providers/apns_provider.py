"""Apple's push service behind the gateway (reference/gateway.md 5.1): key or certificate, both environments."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hushbell.config.providers import ApnsApp
from hushbell.core.gateway import ids
from hushbell.core.gateway.notification import Message, Notification
from hushbell.errors import CallerError, ConfigError
from hushbell.ports.gateway import ACCEPTED, Outcome, Verdict
from hushbell.ports.http import Http, HttpAnswer, HttpFailure, Series
from hushbell.ports.making import Tools
from hushbell.ports.provider import Done
from hushbell.providers import checks, files
from hushbell.providers.answers import failure
from hushbell.providers.apns import BAD_TOKEN, PAYLOAD, PRODUCTION, SANDBOX, TOPIC
from hushbell.providers.apns_outcome import outcome
from hushbell.providers.apns_token import TokenSigner
from hushbell.providers.certificate import Certificate, SecretFile, load
from hushbell.providers.credentials import Reloaded
from hushbell.providers.padding import padded
from hushbell.providers.series import post_series
from hushbell.types import Millis

HOSTS = {"production": PRODUCTION, "development": SANDBOX}
OTHER = {"production": "development", "development": "production"}
VOIP = 5120  # bytes, Apple's limit for a payload of push type voip
HEADS = 1024  # sets of headers of messages that are remembered
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
ONLY_TOKENS = Outcome(Verdict.CALLER_ERROR, "only tokens")


Head = tuple[tuple[tuple[str, str], ...], bool, bool]
"""Headers without authorization; whether the topic is the app's default; whether each push gets an apns-id of ours."""


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

    def __init__(self, settings: ApnsApp, tools: Tools) -> None:
        """
        Read the credential; no connection is made.

        Raises:
            ConfigError: a file is missing or bad; names it and the setting.
        """
        self.settings = settings
        self.clock = tools.clock
        self._heads: dict[tuple[tuple[tuple[str, str], ...], bool], Head] = {}
        self.elsewhere: OrderedDict[str, str] = OrderedDict()  # token → the environment that knows it
        self._tools = tools
        self._credential = Reloaded(self._load)
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
        if notification.kind != "token":
            for place in places:
                done(place, ONLY_TOKENS)
            return
        _Attempt(self, notification, done).start(places)

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

    async def _retire(self, http: Http, file: SecretFile | None) -> None:
        """Close a client that gets no more requests, once those under way have ended."""
        try:
            await self._tools.clock.sleep(3 * self.settings.timeout)
        finally:
            await http.close()
            if file is not None:
                file.close()

    def head(self, given: tuple[tuple[str, str], ...], *, alone: bool) -> Head:
        """Return what goes with every push of a message with these headers; ``alone``: to a single token."""
        known = self._heads.get((given, alone))
        if known is None:
            if len(self._heads) >= HEADS:
                self._heads.clear()
            known = self._heads[given, alone] = self._made_head(given, alone=alone)
        return known

    def _made_head(self, given: tuple[tuple[str, str], ...], *, alone: bool) -> Head:
        names = {name for name, _ in given}
        own_topic = "apns-topic" not in names and bool(self.settings.topic)
        headers = [*given, *([("apns-topic", self.settings.topic)] if own_topic else [])]
        if "content-type" not in names:
            headers.append(JSON)
        # The caller's own id can only name one push.
        needs_id = "apns-id" not in names or not alone
        if needs_id:
            headers = [pair for pair in headers if pair[0] != "apns-id"]
        return tuple(headers), own_topic, needs_id

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

    def _open(self) -> Http:
        certificate, path = self._credential.now.certificate, ""
        self._file = None
        if certificate is not None:
            self._file = SecretFile(certificate.pem)
            path = self._file.path
        settings = replace(self.settings.http, certificate_file=path)
        return self._tools.open_http(settings, hosts=(PRODUCTION, SANDBOX))


class _Attempt:
    """One attempt at some tokens of one notification."""

    __slots__ = ("_body", "_done", "_head", "_ident", "_last", "_note", "_own_topic", "_provider", "_start")

    def __init__(self, provider: ApnsProvider, note: Notification, done: Done) -> None:
        self._provider = provider
        self._note = note
        self._done = done
        self._body = padded(note.message.body, provider.settings.sizes)
        self._head, self._own_topic, self._ident = provider.head(note.message.headers, alone=len(note.tokens) == 1)
        self._start = ids.prefix(note.ident)
        self._last = ""

    def start(self, places: Sequence[int]) -> None:
        """Send to every token, where it was last known to belong."""
        tokens, elsewhere = self._note.tokens, self._provider.elsewhere
        route = self._note.message.route or self._provider.settings.route
        if places and not elsewhere and all(map(TOKEN.fullmatch, [tokens[place] for place in places])):
            self._send(places, route)
            return
        good: dict[str, list[int]] = {route: []}
        for place in places:
            token = tokens[place]
            if not TOKEN.fullmatch(token):
                self._done(place, BAD_TOKEN)
            elif elsewhere and token in elsewhere:
                good.setdefault(elsewhere[token], []).append(place)
            else:
                good[route].append(place)
        for where, members in good.items():
            if members:
                self._send(members, where)

    def _send(self, places: Sequence[int], route: str, *, again: bool = False, probing: bool = False) -> None:
        provider, note = self._provider, self._note
        head = self._head
        bearer = ""
        if provider.signer is not None:
            bearer = provider.signer.token(provider.clock.now())
            head = (("authorization", "bearer " + bearer), *head)
        tokens, body, ident = note.tokens, self._body, note.ident

        def answered(place: int, result: HttpAnswer | HttpFailure) -> None:
            if isinstance(result, HttpFailure):
                told = failure(result)
            elif result.status == 200:
                told = ACCEPTED
            else:
                told = outcome(result, own_topic=self._own_topic)
                if told.reason == "ExpiredProviderToken" and not again and self._renew(bearer):
                    self._send((place,), route, again=True, probing=probing)
                    return
                if told == BAD_TOKEN and provider.settings.probe and not probing:
                    self._send((place,), OTHER[route], again=again, probing=True)
                    return
            if probing:
                told = self._probed(told, tokens[place], route)
            self._done(place, told)

        start, suffix = self._start, ids.suffix
        series = Series(f"https://{HOSTS[route]}/3/device/", head, provider.settings.timeout, "apns-id" * self._ident)
        if self._ident:
            members = [(place, tokens[place], start + suffix(ident, place), body) for place in places]
        else:
            members = [(place, tokens[place], "", body) for place in places]
        post_series(provider.http, series, members, answered)

    def _renew(self, refused: str) -> bool:
        """Say whether there is another provider token than the one that Apple says has expired."""
        signer = self._provider.signer
        return signer is not None and signer.renewed(refused, self._provider.clock.now()) is not None

    def _probed(self, told: Outcome, token: str, route: str) -> Outcome:
        """Return what follows for a token that one environment did not know, when the other has spoken."""
        if told.verdict is Verdict.ACCEPTED:
            self._provider.remember(token, route)
            return told
        if token in self._provider.elsewhere:
            del self._provider.elsewhere[token]
        if told.verdict is Verdict.DROP_TOKEN:
            return told
        if told.verdict in (Verdict.RETRY, Verdict.UNKNOWN):
            # The other environment's trouble is this token's only, not the app's.
            return Outcome(told.verdict, told.reason, after=told.after)
        return BAD_TOKEN  # the credential is not for the other environment, so the token cannot be either
