"""What the stand-in for a gorush, or a hushbell gateway, checks (reference/gateway.md 1.1)."""

import json
import secrets
from pathlib import Path
from typing import Any

import orjson

from hushbell.config.providers import GorushApp, HushbellApp
from hushbell.testing.mock.http import Reply, Request
from hushbell.testing.mock.rules import FINE, RecordedPush, ScriptedReply, meant

MOST = 100  # notifications of one request
URL = "https://localhost"

_JSON = (("content-type", "application/json; charset=utf-8"), ("x-gorush-version", "1.22.0"))


class MockGorush:
    """``POST /api/push``: a hushbell gateway to whoever sends idempotency keys, else a gorush behind a key."""

    provider = "gorush"

    def __init__(self, folder: Path) -> None:
        """Make an API key in the folder."""
        self._key = secrets.token_hex(32)
        self.key_file = folder / "gateway-key"
        self.key_file.touch(mode=0o600)
        self.key_file.write_text(self._key + "\n")
        self.idempotency: list[str] = []  # of the accepted requests

    @staticmethod
    def takes(request: Request) -> bool:
        """Say whether a request is for a gateway."""
        return request.path == "/api/push"

    def look(self, request: Request, now: int) -> tuple[RecordedPush, ScriptedReply | None]:
        """Return what the request is about, and the answer if no gateway would take it."""
        del now
        bearer = request.headers.get("authorization")
        name = "hushbell" if "idempotency-key" in request.headers else "gorush"
        notes = _notes(request.body)
        tokens = tuple(token for note in notes for token in note.get("tokens", ())) or tuple(
            str(note.get("topic", note.get("condition", ""))) for note in notes
        )
        seen = RecordedPush(name, " ".join(tokens), bytes=len(request.body), tokens=tokens)
        if bearer is not None and bearer != f"Bearer {self._key}":
            return seen, ScriptedReply(status=401, reason="unauthorized")
        if not notes:
            return seen, ScriptedReply(status=400, reason="Missing notifications field.")
        if len(notes) > MOST:
            return seen, ScriptedReply(status=400, reason=f"Number of notifications({len(notes)}) over limit({MOST})")
        self.idempotency.append(request.headers.get("idempotency-key", ""))
        return seen, None

    def reply(self, request: Request, seen: RecordedPush, said: ScriptedReply) -> Reply:
        """Say it as gorush does: a push that failed is a line in the logs of a 200."""
        if said.body is not None:
            return Reply(said.status, _JSON, said.body.encode())
        if said.status != 200:
            return Reply(said.status, _JSON, json.dumps({"code": said.status, "message": said.reason}).encode())
        about = meant(seen, said)[0] if said is not FINE and said.reason else []
        logs = [
            self._line(seen, note, said)
            for note in _notes(request.body)
            if not said.prefix or set(about) & set(note.get("tokens", ()))
            if about
        ]
        return Reply(200, _JSON, json.dumps({"counts": len(seen.tokens), "logs": logs, "success": "ok"}).encode())

    def gorush_app(self, **changes: object) -> GorushApp:
        """Return settings of a provider that fit."""
        return GorushApp(**{"url": URL, "key_file": str(self.key_file)} | changes)  # type: ignore[arg-type]

    def hushbell_app(self, **changes: object) -> HushbellApp:
        """Return settings of a provider that fit."""
        return HushbellApp(**{"url": URL, "key_file": str(self.key_file)} | changes)  # type: ignore[arg-type]

    @staticmethod
    def _line(seen: RecordedPush, note: dict[str, Any], said: ScriptedReply) -> dict[str, Any]:
        token = "".join(note.get("tokens", ()))
        line = {"type": "failed-push", "platform": "ios", "notif_id": note.get("notif_id"), "token": token}
        line |= {"message": "", "error": said.reason}
        if seen.provider == "hushbell":
            dead = said.reason in ("Unregistered", "BadDeviceToken", "UNREGISTERED")
            line |= {"code": said.reason, "token_dead": dead, "retryable": said.reason == "ServiceUnavailable"}
            line |= {"timestamp": said.timestamp}
        return line


def _notes(body: bytes) -> list[dict[str, Any]]:
    try:
        notes = orjson.loads(body)["notifications"]
    except (ValueError, LookupError, TypeError):
        return []
    return [note for note in notes if isinstance(note, dict)] if isinstance(notes, list) else []
