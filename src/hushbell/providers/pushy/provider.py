"""Pushy (reference/gateway.md 5.4): many tokens in one request, a topic as ``/topics/NAME``."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import orjson

from hushbell.config.providers import PushyApp
from hushbell.core.delivery.notification import Message, Notification
from hushbell.errors import CallerError
from hushbell.http.client import submit_request
from hushbell.ports.gateway import Outcome, Verdict
from hushbell.ports.http import HttpFailure, HttpRequest, HttpResponse
from hushbell.ports.making import ProviderContext
from hushbell.ports.provider import Done
from hushbell.providers import checks, files
from hushbell.providers.batches import TargetBatch, chunks
from hushbell.providers.credentials import ReloadableCredential
from hushbell.providers.padding import padded_data
from hushbell.providers.pushy.outcome import DEAD, outcome
from hushbell.providers.responses import failure
from hushbell.types import SECONDS_PER_DAY, Millis

URL = "https://api.pushy.me/push?api_key="
PAYLOAD = 4096  # bytes of data
BODY = 16 * 1024  # bytes of everything
LONGEST_LIFE = 365 * SECONDS_PER_DAY  # seconds
JSON = (("content-type", "application/json"),)

NO_TARGET = Outcome(Verdict.INVALID, "only tokens and topics")


class PushyProvider:
    """Tokens and topics."""

    name = "pushy"
    expires_at: Millis | None = None  # a key has no end

    def __init__(self, settings: PushyApp, tools: ProviderContext) -> None:
        """
        Read the key; no connection is made.

        Raises:
            ConfigError: the key cannot be read.
        """
        self._settings = settings
        self._clock = tools.clock
        self._http = tools.open_http(settings.http)
        self._key = ReloadableCredential(lambda: files.read_line(settings.key_file, "pushy.key_file"))

    def check(self, message: Message) -> None:
        """Raise CallerError for what Pushy could never take."""
        checks.headers(message, ())
        body = checks.json_body(message, BODY)
        if "to" in body:
            raise CallerError("body.to", "is set for each push, not in the message")
        if not isinstance(body.get("data", {}), dict):
            raise CallerError("body.data", "must be an object")
        checks.size("body.data", len(orjson.dumps(body.get("data", {}))), PAYLOAD)
        life = body.get("time_to_live", 0)
        if type(life) is not int or not 0 <= life <= LONGEST_LIFE:
            raise CallerError("body.time_to_live", f"must be a whole number from 0 to {LONGEST_LIFE}")

    def attempt(self, notification: Notification, places: Sequence[int], done: Done) -> None:
        """Try to deliver to the targets at these places."""
        if notification.kind not in ("token", "topic"):
            for place in places:
                done(place, NO_TARGET)
            return
        message = self._message(notification)
        for chunk in chunks(notification, places, done):
            targets = chunk.targets
            message["to"] = targets if notification.kind == "token" else f"/topics/{targets[0]}"
            url = URL + quote(self._key.now, safe="")
            request = HttpRequest(url, JSON, orjson.dumps(message), self._settings.timeout)
            submit_request(self._http, request, self, chunk)

    def reload(self) -> None:
        """Read the key again."""
        self._key.reload()

    async def close(self) -> None:
        """Let go of connections. Attempts under way end with UNKNOWN."""
        await self._http.close()

    def on_response(self, chunk: TargetBatch, result: HttpResponse | HttpFailure) -> None:
        """Report the outcomes of one request."""
        if isinstance(result, HttpFailure):
            chunk.tell(failure(result))
            return
        told, dead = outcome(result)
        chunk.tell(told, dict.fromkeys(dead, DEAD))

    def _message(self, note: Notification) -> dict[str, Any]:
        message: dict[str, Any] = orjson.loads(padded_data(note.message.body, self._settings.sizes))
        left = (note.expires_at - self._clock.now()) // 1000
        message.setdefault("time_to_live", max(0, min(left, LONGEST_LIFE)))
        # The same on every attempt, so that a second one replaces the first.
        message.setdefault("collapse_key", note.ident.hex())
        return message
