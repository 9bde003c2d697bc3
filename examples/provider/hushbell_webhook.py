"""A provider that posts each push as JSON to one address."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hushbell.config.gateway import HttpSettings
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.push_ids import push_id
from hushbell.errors import CallerError, ConfigError
from hushbell.http.client import submit_request
from hushbell.ports.gateway import ACCEPTED, Outcome, Scope, Verdict
from hushbell.ports.http import HttpFailure, HttpRequest, HttpResponse
from hushbell.ports.making import ProviderContext
from hushbell.ports.provider import Done
from hushbell.types import Millis

log = logging.getLogger(__name__)

LARGEST = 16 * 1024  # bytes of a message
TIMEOUT = 10.0  # seconds


class WebhookProvider:
    """Posts ``{"id", "to", "message"}``. 2xx is accepted, 410 means that nobody is behind the token any more."""

    name = "webhook"
    expires_at: Millis | None = None  # the key has no end

    def __init__(self, settings: Mapping[str, Any], tools: ProviderContext) -> None:
        """Take the settings: ``url``, ``key_file`` and, for tests, ``connect`` and ``ca_file``."""
        unknown = settings.keys() - {"url", "key_file", "connect", "ca_file"}
        if unknown:
            raise ConfigError(f"webhook.{min(unknown)}: unknown")
        self._url = str(settings.get("url", ""))
        if not self._url.startswith("https://"):
            raise ConfigError("webhook.url: must begin with https://")
        self._key_file = Path(str(settings.get("key_file", "")))
        self._key = self._read_key()
        http = HttpSettings(connect=str(settings.get("connect", "")), ca_file=str(settings.get("ca_file", "")))
        self._http = tools.open_http(http)

    def check(self, message: Message) -> None:
        """Refuse what the other side could never take."""
        if message.headers:
            raise CallerError("headers", "this provider has none")
        if len(message.body) > LARGEST:
            raise CallerError("body", f"at most {LARGEST} bytes are allowed")
        try:
            json.loads(message.body)
        except (ValueError, RecursionError):
            raise CallerError("body", "must be JSON") from None

    def attempt(self, notification: Notification, places: Sequence[int], done: Done) -> None:
        """Post to every token at these places, side by side."""
        headers = (("content-type", "application/json"), ("authorization", "Bearer " + self._key))
        message = json.loads(notification.message.body)
        for place in places:
            content = {
                "id": push_id(notification.ident, place),  # the same on every attempt
                "to": notification.tokens[place],
                "message": message,
            }
            request = HttpRequest(self._url, headers, json.dumps(content).encode(), TIMEOUT)
            submit_request(self._http, request, self, (done, place))

    def on_response(self, key: tuple[Done, int], result: HttpResponse | HttpFailure) -> None:
        """Report the outcome of one request."""
        done, place = key
        done(place, outcome(result))

    def reload(self) -> None:
        """Read the key again; keep the old one if the new is bad."""
        try:
            self._key = self._read_key()
        except ConfigError as error:
            log.error("%s; the key that was read before stays in use", error)  # noqa: TRY400 - no traceback

    async def close(self) -> None:
        """Let go of connections. Attempts under way end with UNKNOWN."""
        await self._http.close()

    def _read_key(self) -> str:
        try:
            key = self._key_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise ConfigError(f"webhook.key_file: cannot read {self._key_file}") from None
        if not key or not key.isprintable() or " " in key:
            raise ConfigError(f"webhook.key_file: {self._key_file} must hold one line without spaces")
        return key


def outcome(result: HttpResponse | HttpFailure) -> Outcome:
    """Say what came of one request."""
    if isinstance(result, HttpFailure):
        verdict = Verdict.UNKNOWN if result.sent else Verdict.RETRY
        return Outcome(verdict, result.kind.value, scope=Scope.PROVIDER)
    told = f"HTTP {result.status}"
    if 200 <= result.status < 300:
        return ACCEPTED
    if result.status == 410:
        return Outcome(Verdict.DEAD_TOKEN, told)
    if result.status in (401, 403, 404):
        return Outcome(Verdict.MISCONFIGURED, told, scope=Scope.APP)
    if result.status in (400, 413, 422):
        return Outcome(Verdict.INVALID, told)
    return Outcome(Verdict.RETRY, told, scope=Scope.PROVIDER)
