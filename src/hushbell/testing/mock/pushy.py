"""What the stand-in for Pushy checks (reference/gateway.md 5.4)."""

import json
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from hushbell.config.providers import PushyApp
from hushbell.testing.mock.http import Reply, Request
from hushbell.testing.mock.rules import RecordedPush, ScriptedReply, meant

TOKENS = 100_000  # of one request
DATA = 4096  # bytes
LONGEST_LIFE = 365 * 86_400  # seconds

_JSON = (("content-type", "application/json; charset=utf-8"),)
_CODES = {400: "INVALID_PARAM", 401: "INVALID_API_KEY", 403: "INVALID_API_KEY", 429: "RATE_LIMIT_EXCEEDED"}


class MockPushy:
    """Pushy's API of one app."""

    provider = "pushy"

    def __init__(self, folder: Path) -> None:
        """Make an API key in the folder."""
        self._key = secrets.token_hex(32)
        self.key_file = folder / "pushy-key"
        self.key_file.touch(mode=0o600)
        self.key_file.write_text(self._key + "\n")

    @staticmethod
    def takes(request: Request) -> bool:
        """Say whether a request is for Pushy."""
        return request.path.startswith("/push?")

    def look(self, request: Request, now: int) -> tuple[RecordedPush, ScriptedReply | None]:
        """Return what the request is about, and the answer if Pushy would not take it."""
        del now
        try:
            body = orjson.loads(request.body)
        except ValueError:
            body = None
        body = body if isinstance(body, dict) else {}
        to = body.get("to")
        tokens = tuple(to) if isinstance(to, list) else (to,) if isinstance(to, str) else ()
        seen = RecordedPush(
            "pushy",
            " ".join(map(str, tokens)),
            collapse=str(body.get("collapse_key", "")),
            topic=tokens[0] if tokens and str(tokens[0]).startswith("/topics/") else "",
            bytes=len(request.body),
            tokens=tokens,
        )
        refused = self._refusal(request, body, tokens)
        return seen, ScriptedReply(status=refused[0], reason=refused[1]) if refused else None

    def reply(self, request: Request, seen: RecordedPush, said: ScriptedReply) -> Reply:
        """Say it as Pushy does."""
        del request
        if said.body is not None:
            return Reply(said.status, _JSON, said.body.encode())
        about, others = meant(seen, said)
        if said.status == 200 or (said.reason == "NO_RECIPIENTS" and others):
            dead = about if said.reason == "NO_RECIPIENTS" else []
            info = {"devices": len(seen.tokens) - len(dead), "failed": dead}
            return Reply(200, _JSON, json.dumps({"success": True, "id": secrets.token_hex(12), "info": info}).encode())
        code = said.reason or _CODES.get(said.status, "INTERNAL_ERROR")
        return Reply(said.status, _JSON, json.dumps({"code": code, "error": "refused"}).encode())

    def app(self, **changes: object) -> PushyApp:
        """Return settings of a provider that fit."""
        return PushyApp(**{"key_file": str(self.key_file)} | changes)  # type: ignore[arg-type]

    def _refusal(self, request: Request, body: dict[str, Any], tokens: tuple[Any, ...]) -> tuple[int, str] | None:
        if parse_qs(urlsplit(request.path).query).get("api_key") != [self._key]:
            return 401, "INVALID_API_KEY"
        if request.method != "POST" or "application/json" not in request.headers.get("content-type", ""):
            return 400, "INVALID_PARAM"
        if not tokens or not all(isinstance(token, str) and token for token in tokens):
            return 400, "NO_RECIPIENTS"
        life = body.get("time_to_live", 0)
        if len(tokens) > TOKENS or type(life) is not int or not 0 <= life <= LONGEST_LIFE:
            return 400, "INVALID_PARAM"
        data = body.get("data")
        if not isinstance(data, dict):
            return 400, "NO_DATA"
        return (400, "PAYLOAD_LIMIT_EXCEEDED") if len(orjson.dumps(data)) > DATA else None
