"""The mock of a gorush or a hushbell gateway (reference/gateway.md 1.1)."""

import json
import secrets
from pathlib import Path
from typing import Any

from hushbell.testing.certificates import write_secret
from hushbell.testing.mock.http import Request, Response
from hushbell.testing.mock.jwt import json_object
from hushbell.testing.mock.rules import SUCCESS, RecordedPush, ScriptedReply, split_tokens

MAX_NOTIFICATIONS = 100  # of one request
URL = "https://localhost"

_JSON = (("content-type", "application/json; charset=utf-8"), ("x-gorush-version", "1.22.0"))


class MockGorush:
    """``POST /api/push``: a hushbell gateway for callers that send idempotency keys, else a gorush behind a key."""

    provider = "gorush"

    def __init__(self, folder: Path) -> None:
        """Make an API key in the folder."""
        self._key = secrets.token_hex(32)
        self.key_file = write_secret(folder / "gateway-key", self._key.encode() + b"\n")

    @staticmethod
    def matches(request: Request) -> bool:
        """Say whether a request is for a gateway."""
        return request.path == "/api/push"

    def check(self, request: Request, now: int) -> tuple[RecordedPush, ScriptedReply | None]:
        """Return what the request asks for, and the refusal if no gateway would take it."""
        del now
        bearer = request.headers.get("authorization")
        name = "hushbell" if "idempotency-key" in request.headers else "gorush"
        notes = _notifications(request.body)
        tokens = tuple(token for note in notes for token in note.get("tokens", ())) or tuple(
            str(note.get("topic", note.get("condition", ""))) for note in notes
        )
        push = RecordedPush(name, " ".join(tokens), bytes=len(request.body), tokens=tokens)
        if bearer is not None and bearer != f"Bearer {self._key}":
            return push, ScriptedReply(status=401, reason="unauthorized")
        if not notes:
            return push, ScriptedReply(status=400, reason="Missing notifications field.")
        if len(notes) > MAX_NOTIFICATIONS:
            over = f"Number of notifications({len(notes)}) over limit({MAX_NOTIFICATIONS})"
            return push, ScriptedReply(status=400, reason=over)
        return push, None

    def respond(self, request: Request, push: RecordedPush, reply: ScriptedReply) -> Response:
        """Return the reply in gorush's form: a push that failed is an entry in the logs of a 200."""
        if reply.status != 200:
            return Response(reply.status, _JSON, json.dumps({"code": reply.status, "message": reply.reason}).encode())
        about = split_tokens(push, reply)[0] if reply is not SUCCESS and reply.reason else []
        logs = [
            self._log_entry(push, note, reply)
            for note in _notifications(request.body)
            if not reply.token_prefix or set(about) & set(note.get("tokens", ()))
            if about
        ]
        return Response(200, _JSON, json.dumps({"counts": len(push.tokens), "logs": logs, "success": "ok"}).encode())

    def app(self, **changes: Any) -> dict[str, Any]:
        """Return settings of a provider that this mock accepts, by their names; gorush and hushbell share them."""
        return {"url": URL, "key_file": str(self.key_file)} | changes

    @staticmethod
    def _log_entry(push: RecordedPush, note: dict[str, Any], reply: ScriptedReply) -> dict[str, Any]:
        token = "".join(note.get("tokens", ()))
        entry = {"type": "failed-push", "platform": "ios", "notif_id": note.get("notif_id"), "token": token}
        entry |= {"message": "", "error": reply.reason}
        if push.provider == "hushbell":
            dead = reply.reason in ("Unregistered", "BadDeviceToken", "UNREGISTERED")
            entry |= {"code": reply.reason, "token_dead": dead, "retryable": reply.reason == "ServiceUnavailable"}
            entry |= {"timestamp": reply.timestamp}
        return entry


def _notifications(body: bytes) -> list[dict[str, Any]]:
    notes = json_object(body).get("notifications")
    return [note for note in notes if isinstance(note, dict)] if isinstance(notes, list) else []
