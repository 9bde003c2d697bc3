"""Web Push: browsers at the addresses they gave us (RFC 8030, 8291, 8292; reference/gateway.md 5.3)."""

import base64
import re
from collections.abc import Sequence
from uuid import UUID

from hushbell.core.delivery import push_ids
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import Outcome, Verdict
from hushbell.crypto.web_push import MAX_PLAINTEXT, encrypt, new_key
from hushbell.errors import CallerError, ConfigError
from hushbell.http.client import fetch
from hushbell.http.ssrf import AddressRefused, ResolvedUrl, SsrfGuard
from hushbell.ports.http import FailureKind, HttpFailure, HttpRequest, HttpResponse
from hushbell.ports.provider import Attempt, ProviderContext
from hushbell.providers import checks, files
from hushbell.providers.batches import PushTasks, supported
from hushbell.providers.credentials import ReloadableCredential
from hushbell.providers.padding import size_above
from hushbell.providers.unifiedpush.settings import UnifiedPushSettings
from hushbell.providers.webpush.outcome import outcome
from hushbell.providers.webpush.settings import WebPushSettings
from hushbell.providers.webpush.subscription import Subscription, parse
from hushbell.providers.webpush.vapid import Vapid
from hushbell.types import Millis

HEADERS = frozenset({"ttl", "urgency", "topic"})
URGENCIES = frozenset({"very-low", "low", "normal", "high"})
MAX_TTL = 2**31 - 1  # seconds, the most that push services read
MAX_ADDRESSES = 3  # of a host that are tried

NO_SUBSCRIPTION = Outcome(Verdict.DEAD_TOKEN, "not a subscription")
FORBIDDEN = Outcome(Verdict.INVALID, "forbidden address")
UNRESOLVED = Outcome(Verdict.RETRY, "unresolved address")
TOO_LARGE = Outcome(Verdict.INVALID, "too large")

_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)


class WebPushProvider:
    """
    One encrypted message for each subscription.

    Hosts are chosen by users. None may lead into our own network, and none speaks for another: whatever one answers
    or fails to answer concerns its own pushes only.
    """

    name = "webpush"
    credential_expires_at: Millis | None = None  # a VAPID key has no end

    def __init__(self, settings: WebPushSettings | UnifiedPushSettings, context: ProviderContext) -> None:
        """
        Read the key; no connection is made.

        Raises:
            ConfigError: the key file or the subject is bad.
        """
        self._settings = settings
        self._context = context
        self._vapid = ReloadableCredential(self._load)
        self._guard = SsrfGuard(context.allow, context.resolve)
        self._http = context.open_http(settings.http)
        self._tasks = PushTasks(self._deliver)

    def check(self, message: Message) -> None:
        """Raise CallerError for what no push service could take."""
        given = checks.headers(message, HEADERS)
        checks.number("headers.ttl", given.get("ttl"), most=MAX_TTL)
        checks.one_of("headers.urgency", given.get("urgency"), URGENCIES)
        if "topic" in given and not _TOPIC.fullmatch(given["topic"]):
            raise CallerError("headers.topic", "must be 1 to 32 characters of base64url")
        checks.size("body", len(message.body), MAX_PLAINTEXT)

    def send(self, attempts: Sequence[Attempt]) -> None:
        """Send pushes, each in a task of its own: names are resolved and a host's further addresses tried."""
        self._tasks.send(list(supported(attempts, ("token",))))

    def reload(self) -> None:
        """Read the key again. Tokens signed with an unchanged one are kept."""
        before = self._vapid.current
        if self._vapid.reload() and self._vapid.current and before and self._vapid.current.public == before.public:
            self._vapid.current = before

    async def close(self) -> None:
        """Close all connections. Pushes under way end with UNKNOWN."""
        await self._http.close()
        await self._tasks.close()

    async def _deliver(self, notification: Notification, index: int) -> Outcome:
        if len(notification.message.body) > MAX_PLAINTEXT:
            return TOO_LARGE
        subscription = parse(notification.tokens[index])
        if subscription is None:
            return NO_SUBSCRIPTION
        try:
            endpoint = self._guard.parse(subscription.endpoint)
            addresses = await self._addresses(endpoint)
        except AddressRefused as refused:
            return FORBIDDEN if refused.is_final else UNRESOLVED
        headers = (*self._headers(notification, index, endpoint), ("content-encoding", "aes128gcm"))
        return await self._post(endpoint, headers, self._sealed(notification.message.body, subscription), addresses)

    async def _addresses(self, endpoint: ResolvedUrl) -> Sequence[str]:
        """Return where to connect to. Where the operator has said it, no user decides."""
        return ("",) if self._settings.http.connect else await self._guard.resolve(endpoint)

    async def _post(
        self, endpoint: ResolvedUrl, headers: tuple[tuple[str, str], ...], body: bytes, addresses: Sequence[str]
    ) -> Outcome:
        failed = HttpFailure(FailureKind.REFUSED, sent=False)
        for address in addresses[:MAX_ADDRESSES]:
            request = HttpRequest(endpoint.url, headers, body, self._settings.timeout, address=address)
            result = await fetch(self._http, request)
            if isinstance(result, HttpResponse):
                return outcome(result)
            failed = result
            if failed.sent or failed.kind is not FailureKind.REFUSED:
                break
        verdict = Verdict.UNKNOWN if failed.sent else Verdict.RETRY
        return Outcome(verdict, f"host {failed.kind.value}")

    def _headers(self, notification: Notification, index: int, endpoint: ResolvedUrl) -> tuple[tuple[str, str], ...]:
        now = self._context.clock.now()
        given = dict(notification.message.headers)
        if "ttl" not in given:
            given["ttl"] = str(max(0, min(self._settings.ttl, (notification.expires_at - now) // 1000)))
        if "topic" not in given:
            # The same on every attempt, so that a push service that holds it already replaces it.
            ident = UUID(push_ids.push_id(notification.ident, index)).bytes
            given["topic"] = base64.urlsafe_b64encode(ident).rstrip(b"=").decode()
        if self._vapid.current is not None:
            given["authorization"] = self._vapid.current.header(endpoint.origin, now)
        return (*given.items(), ("content-type", "application/octet-stream"))

    def _sealed(self, plain: bytes, to: Subscription) -> bytes:
        padding = min(size_above(len(plain), self._settings.sizes), MAX_PLAINTEXT) - len(plain)
        random = self._context.random
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
