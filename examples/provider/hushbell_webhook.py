"""A provider that posts each push as JSON to one address."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hushbell.config.gateway import HttpSettings
from hushbell.core.delivery.push_ids import push_id
from hushbell.errors import CallerError, ConfigError
from hushbell.ports.http import HttpFailure, HttpResponse, RequestTemplate
from hushbell.ports.provider import ACCEPTED, Attempt, Done, Message, Outcome, ProviderContext, Scope, Verdict
from hushbell.types import Millis

log = logging.getLogger(__name__)

MAX_BODY = 16 * 1024  # bytes of a message
TIMEOUT = 10.0  # seconds


class WebhookProvider:
    """Posts ``{"id", "to", "message"}``. 2xx means accepted; 410 means that the token is dead."""

    name = "webhook"
    credential_expires_at: Millis | None = None  # the key has no end

    def __init__(self, settings: Mapping[str, Any], context: ProviderContext) -> None:
        """Read the settings: ``url``, ``key_file`` and, for tests, ``connect`` and ``ca_file``."""
        unknown = settings.keys() - {"url", "key_file", "connect", "ca_file"}
        if unknown:
            raise ConfigError(f"webhook.{min(unknown)}: unknown")
        self._url = str(settings.get("url", ""))
        if not self._url.startswith("https://"):
            raise ConfigError("webhook.url: must begin with https://")
        self._key_file = Path(str(settings.get("key_file", "")))
        self._key = self._read_key()
        http = HttpSettings(connect=str(settings.get("connect", "")), ca_file=str(settings.get("ca_file", "")))
        self._http = context.open_http(http)

    def check(self, message: Message) -> None:
        """Refuse what the other side could never take."""
        if message.headers:
            raise CallerError("headers", "this provider has none")
        if len(message.body) > MAX_BODY:
            raise CallerError("body", f"at most {MAX_BODY} bytes are allowed")
        try:
            json.loads(message.body)
        except (ValueError, RecursionError):
            raise CallerError("body", "must be JSON") from None

    def send(self, attempts: Sequence[Attempt]) -> None:
        """Post each push in a request of its own, side by side."""
        headers = (("content-type", "application/json"), ("authorization", "Bearer " + self._key))
        template = RequestTemplate(self._url, headers, TIMEOUT)
        for notification, indexes, done in attempts:
            message = json.loads(notification.message.body)
            for index in indexes:
                content = {
                    "id": push_id(notification.ident, index),  # the same on every attempt
                    "to": notification.targets[index],
                    "message": message,
                }
                self._http.submit(template, [(self, (done, index), "", (), json.dumps(content).encode())])

    def on_response(self, key: tuple[Done, int], result: HttpResponse | HttpFailure) -> None:
        """Report the outcome of one request."""
        done, index = key
        done(index, outcome(result))

    def reload(self) -> None:
        """Read the key again; keep the old one if the new is bad."""
        try:
            self._key = self._read_key()
        except ConfigError as error:
            log.error("%s; the key that was read before stays in use", error)  # noqa: TRY400 - no traceback

    async def close(self) -> None:
        """Close all connections. Pushes under way end with UNKNOWN."""
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
    """Return the outcome of one request."""
    if isinstance(result, HttpFailure):
        verdict = Verdict.UNKNOWN if result.sent else Verdict.RETRY
        return Outcome(verdict, result.kind.value, scope=Scope.PROVIDER)
    text = f"HTTP {result.status}"
    if 200 <= result.status < 300:
        return ACCEPTED
    if result.status == 410:
        return Outcome(Verdict.DEAD_TOKEN, text)
    if result.status in (401, 403, 404):
        return Outcome(Verdict.MISCONFIGURED, text, scope=Scope.APP)
    if result.status in (400, 413, 422):
        return Outcome(Verdict.INVALID, text)
    return Outcome(Verdict.RETRY, text, scope=Scope.PROVIDER)
