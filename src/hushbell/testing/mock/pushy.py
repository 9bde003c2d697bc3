"""The mock of Pushy (reference/gateway.md 5.4)."""

import json
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from hushbell.testing.certificates import write_secret
from hushbell.testing.mock.http import Request, Response
from hushbell.testing.mock.jwt import json_object
from hushbell.testing.mock.rules import RecordedPush, ScriptedReply, split_tokens

MAX_TOKENS = 100_000  # of one request
MAX_DATA_BYTES = 4096
MAX_TIME_TO_LIVE = 365 * 86_400  # seconds

_JSON = (("content-type", "application/json; charset=utf-8"),)
_CODES = {400: "INVALID_PARAM", 401: "INVALID_API_KEY", 403: "INVALID_API_KEY", 429: "RATE_LIMIT_EXCEEDED"}


class MockPushy:
    """Pushy's API of one app."""

    provider = "pushy"

    def __init__(self, folder: Path) -> None:
        """Make an API key in the folder."""
        self._key = secrets.token_hex(32)
        self.key_file = write_secret(folder / "pushy-key", self._key.encode() + b"\n")

    @staticmethod
    def matches(request: Request) -> bool:
        """Say whether a request is for Pushy."""
        return request.path.startswith("/push?")

    def check(self, request: Request, now: int) -> tuple[RecordedPush, ScriptedReply | None]:
        """Return what the request asks for, and the refusal if Pushy refuses it."""
        del now
        body = json_object(request.body)
        to = body.get("to")
        tokens = tuple(to) if isinstance(to, list) else (to,) if isinstance(to, str) else ()
        push = RecordedPush(
            "pushy",
            " ".join(map(str, tokens)),
            collapse=str(body.get("collapse_key", "")),
            topic=tokens[0] if tokens and str(tokens[0]).startswith("/topics/") else "",
            bytes=len(request.body),
            tokens=tokens,
        )
        refused = self._refusal(request, body, tokens)
        return push, ScriptedReply(status=refused[0], reason=refused[1]) if refused else None

    def respond(self, request: Request, push: RecordedPush, reply: ScriptedReply) -> Response:
        """Return the reply in Pushy's form."""
        del request
        about, others = split_tokens(push, reply)
        if reply.status == 200 or (reply.reason == "NO_RECIPIENTS" and others):
            dead = about if reply.reason == "NO_RECIPIENTS" else []
            info = {"devices": len(push.tokens) - len(dead), "failed": dead}
            return Response(
                200, _JSON, json.dumps({"success": True, "id": secrets.token_hex(12), "info": info}).encode()
            )
        code = reply.reason or _CODES.get(reply.status, "INTERNAL_ERROR")
        return Response(reply.status, _JSON, json.dumps({"code": code, "error": "refused"}).encode())

    def app(self, **changes: Any) -> dict[str, Any]:
        """Return settings of a provider that this mock accepts, by their names."""
        return {"key_file": str(self.key_file)} | changes

    def _refusal(self, request: Request, body: dict[str, Any], tokens: tuple[Any, ...]) -> tuple[int, str] | None:
        if parse_qs(urlsplit(request.path).query).get("api_key") != [self._key]:
            return 401, "INVALID_API_KEY"
        if request.method != "POST" or "application/json" not in request.headers.get("content-type", ""):
            return 400, "INVALID_PARAM"
        if not tokens or not all(isinstance(token, str) and token for token in tokens):
            return 400, "NO_RECIPIENTS"
        life = body.get("time_to_live", 0)
        if len(tokens) > MAX_TOKENS or type(life) is not int or not 0 <= life <= MAX_TIME_TO_LIVE:
            return 400, "INVALID_PARAM"
        data = body.get("data")
        if not isinstance(data, dict):
            return 400, "NO_DATA"
        return (400, "PAYLOAD_LIMIT_EXCEEDED") if len(orjson.dumps(data)) > MAX_DATA_BYTES else None
