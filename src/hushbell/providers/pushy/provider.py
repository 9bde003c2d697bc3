"""Pushy (reference/gateway.md 5.4): many tokens in one request, a topic as ``/topics/NAME``."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import orjson

from hushbell.core.delivery.notification import Message, Notification
from hushbell.errors import CallerError
from hushbell.http.client import submit_request
from hushbell.ports.http import HttpFailure, HttpRequest, HttpResponse
from hushbell.ports.provider import Attempt, ProviderContext
from hushbell.providers import checks, files
from hushbell.providers.batches import batches, supported
from hushbell.providers.credentials import ReloadableCredential
from hushbell.providers.padding import padded_data
from hushbell.providers.pushy.outcome import DEAD, outcome
from hushbell.providers.pushy.settings import PushySettings
from hushbell.providers.responses import failure
from hushbell.types import SECONDS_PER_DAY, Millis

URL = "https://api.pushy.me/push?api_key="
MAX_PAYLOAD = 4096  # bytes of data
MAX_BODY = 16 * 1024  # bytes of the whole request
MAX_LIFE = 365 * SECONDS_PER_DAY  # seconds
JSON = (("content-type", "application/json"),)


class PushyProvider:
    """Tokens and topics."""

    name = "pushy"
    credential_expires_at: Millis | None = None  # a key has no end

    def __init__(self, settings: PushySettings, context: ProviderContext) -> None:
        """
        Read the key; no connection is made.

        Raises:
            ConfigError: the key cannot be read.
        """
        self._settings = settings
        self._clock = context.clock
        self._http = context.open_http(settings.http)
        self._key = ReloadableCredential(lambda: files.read_line(settings.key_file, "pushy.key_file"))

    def check(self, message: Message) -> None:
        """Raise CallerError for what Pushy could never take."""
        checks.headers(message, ())
        body = checks.json_body(message, MAX_BODY)
        if "to" in body:
            raise CallerError("body.to", "is set for each push, not in the message")
        if not isinstance(body.get("data", {}), dict):
            raise CallerError("body.data", "must be an object")
        checks.size("body.data", len(orjson.dumps(body.get("data", {}))), MAX_PAYLOAD)
        life = body.get("time_to_live", 0)
        if type(life) is not int or not 0 <= life <= MAX_LIFE:
            raise CallerError("body.time_to_live", f"must be a whole number from 0 to {MAX_LIFE}")

    def send(self, attempts: Sequence[Attempt]) -> None:
        """Send pushes, up to 1,000 tokens of a notification in one request."""
        url = URL + quote(self._key.current, safe="")
        for attempt in supported(attempts, ("token", "topic")):
            message = self._message(attempt.notification)
            for batch in batches(attempt):
                targets = batch.targets
                message["to"] = targets if attempt.notification.target_kind == "token" else f"/topics/{targets[0]}"
                request = HttpRequest(url, JSON, orjson.dumps(message), self._settings.timeout)
                submit_request(self._http, request, self, batch)

    def on_response(self, batch: Attempt, result: HttpResponse | HttpFailure) -> None:
        """Report the outcomes of one request."""
        if isinstance(result, HttpFailure):
            batch.report(failure(result))
            return
        found, dead = outcome(result)
        batch.report(found, dict.fromkeys(dead, DEAD))

    def reload(self) -> None:
        """Read the key again."""
        self._key.reload()

    async def close(self) -> None:
        """Close the connections. Attempts under way end with UNKNOWN."""
        await self._http.close()

    def _message(self, notification: Notification) -> dict[str, Any]:
        message: dict[str, Any] = orjson.loads(padded_data(notification.message.body, self._settings.sizes))
        left = (notification.expires_at - self._clock.now()) // 1000
        message.setdefault("time_to_live", max(0, min(left, MAX_LIFE)))
        # The same on every attempt, so that a second one replaces the first.
        message.setdefault("collapse_key", notification.ident.hex())
        return message
