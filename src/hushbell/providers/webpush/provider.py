"""Web Push: browsers at the addresses they gave us (RFC 8030, 8291, 8292; reference/gateway.md 5.3)."""

import asyncio
import base64
import re
from collections.abc import Sequence
from uuid import UUID

from hushbell.config.providers import UnifiedPushApp, WebPushApp
from hushbell.core.delivery import push_ids
from hushbell.core.delivery.notification import Message, Notification
from hushbell.crypto.web_push import LONGEST, encrypt, new_key
from hushbell.errors import CallerError, ConfigError
from hushbell.http.client import fetch
from hushbell.http.ssrf import AddressRefused, ResolvedUrl, SsrfGuard
from hushbell.ports.gateway import Outcome, Verdict
from hushbell.ports.http import FailureKind, HttpFailure, HttpRequest, HttpResponse
from hushbell.ports.making import ProviderContext
from hushbell.ports.provider import Done
from hushbell.providers import checks, files
from hushbell.providers.credentials import ReloadableCredential
from hushbell.providers.texts import size_above
from hushbell.providers.webpush.outcome import outcome
from hushbell.providers.webpush.subscription import Subscription, parse
from hushbell.providers.webpush.vapid import Vapid
from hushbell.types import Millis

HEADERS = frozenset({"ttl", "urgency", "topic"})
URGENCIES = frozenset({"very-low", "low", "normal", "high"})
TTL = 2**31 - 1  # seconds, the most that push services read
ADDRESSES = 3  # of a host that are tried

NO_SUBSCRIPTION = Outcome(Verdict.DEAD_TOKEN, "not a subscription")
FORBIDDEN = Outcome(Verdict.INVALID, "forbidden address")
UNRESOLVED = Outcome(Verdict.RETRY, "unresolved address")
ONLY_TOKENS = Outcome(Verdict.INVALID, "only tokens")
TOO_LARGE = Outcome(Verdict.INVALID, "too large")
CLOSED = Outcome(Verdict.UNKNOWN, "closed")

_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)


class WebPushProvider:
    """
    One encrypted message for each subscription.

    Hosts are chosen by users. None may lead into our own network, and none speaks for another: whatever one answers
    or fails to answer concerns its own pushes only.
    """

    name = "webpush"
    expires_at: Millis | None = None  # a VAPID key has no end

    def __init__(self, settings: WebPushApp | UnifiedPushApp, tools: ProviderContext) -> None:
        """
        Read the key; no connection is made.

        Raises:
            ConfigError: the key file or the subject is bad.
        """
        self._settings = settings
        self._tools = tools
        self._vapid = ReloadableCredential(self._load)
        self._guard = SsrfGuard(tools.allow, tools.resolve)
        self._http = tools.open_http(settings.http)
        self._tasks: set[asyncio.Task[None]] = set()

    def check(self, message: Message) -> None:
        """Raise CallerError for what no push service could take."""
        given = checks.headers(message, HEADERS)
        checks.number("headers.ttl", given.get("ttl"), most=TTL)
        checks.one_of("headers.urgency", given.get("urgency"), URGENCIES)
        if "topic" in given and not _TOPIC.fullmatch(given["topic"]):
            raise CallerError("headers.topic", "must be 1 to 32 characters of base64url")
        checks.size("body", len(message.body), LONGEST)

    def attempt(self, notification: Notification, places: Sequence[int], done: Done) -> None:
        """Try to deliver to the subscriptions at these places."""
        if notification.kind != "token":
            for place in places:
                done(place, ONLY_TOKENS)
            return
        loop = asyncio.get_running_loop()
        for place in places:
            task = loop.create_task(self._attempt(notification, place, done))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def reload(self) -> None:
        """Read the key again. Tokens signed with an unchanged one are kept."""
        before = self._vapid.now
        if self._vapid.reload() and self._vapid.now and before and self._vapid.now.public == before.public:
            self._vapid.now = before

    async def close(self) -> None:
        """Let go of connections. Attempts under way end with UNKNOWN."""
        await self._http.close()
        await asyncio.sleep(0)  # a task that never began would tell nobody
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # One push.

    async def _attempt(self, note: Notification, place: int, done: Done) -> None:
        result = CLOSED
        try:
            result = await self._deliver(note, place)
        finally:
            done(place, result)

    async def _deliver(self, note: Notification, place: int) -> Outcome:
        if len(note.message.body) > LONGEST:
            return TOO_LARGE
        subscription = parse(note.tokens[place])
        if subscription is None:
            return NO_SUBSCRIPTION
        try:
            endpoint = self._guard.parse(subscription.endpoint)
            addresses = await self._addresses(endpoint)
        except AddressRefused as refused:
            return FORBIDDEN if refused.is_final else UNRESOLVED
        headers = (*self._headers(note, place, endpoint), ("content-encoding", "aes128gcm"))
        return await self._post(endpoint, headers, self._sealed(note.message.body, subscription), addresses)

    async def _addresses(self, endpoint: ResolvedUrl) -> Sequence[str]:
        """Return where to connect to. Where the operator has said it, no user decides."""
        return ("",) if self._settings.http.connect else await self._guard.admit(endpoint)

    async def _post(
        self, endpoint: ResolvedUrl, headers: tuple[tuple[str, str], ...], body: bytes, addresses: Sequence[str]
    ) -> Outcome:
        failed = HttpFailure(FailureKind.REFUSED, sent=False)
        for address in addresses[:ADDRESSES]:
            request = HttpRequest(endpoint.url, headers, body, self._settings.timeout, address=address)
            result = await fetch(self._http, request)
            if isinstance(result, HttpResponse):
                return outcome(result)
            failed = result
            if failed.sent or failed.kind is not FailureKind.REFUSED:
                break
        verdict = Verdict.UNKNOWN if failed.sent else Verdict.RETRY
        return Outcome(verdict, f"host {failed.kind.value}")

    def _headers(self, note: Notification, place: int, endpoint: ResolvedUrl) -> tuple[tuple[str, str], ...]:
        now = self._tools.clock.now()
        given = dict(note.message.headers)
        if "ttl" not in given:
            given["ttl"] = str(max(0, min(self._settings.ttl, (note.expires_at - now) // 1000)))
        if "topic" not in given:
            # The same on every attempt, so that a push service that holds it already replaces it.
            ident = UUID(push_ids.push_id(note.ident, place)).bytes
            given["topic"] = base64.urlsafe_b64encode(ident).rstrip(b"=").decode()
        if self._vapid.now is not None:
            given["authorization"] = self._vapid.now.header(endpoint.origin, now)
        return (*given.items(), ("content-type", "application/octet-stream"))

    def _sealed(self, plain: bytes, to: Subscription) -> bytes:
        padding = min(size_above(len(plain), self._settings.sizes), LONGEST) - len(plain)
        random = self._tools.random
        return encrypt(plain, to.key, to.auth, new_key(random), random(16), padding=max(0, padding))

    def _load(self) -> Vapid | None:
        settings, name = self._settings, self.name
        if not settings.key_file:
            return None
        try:
            return Vapid(files.read(settings.key_file, f"{name}.key_file"), settings.subject)
        except ValueError as error:
            setting = "subject" if "subject" in str(error) else "key_file"
            raise ConfigError(f"{name}.{setting}: {settings.key_file}: {error}") from None
