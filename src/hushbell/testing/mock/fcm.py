"""What the stand-in for Google checks: the OAuth endpoint and messages:send (reference/gateway.md 5.2)."""

import base64
import json
import re
import secrets
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hushbell.config.providers import FcmApp
from hushbell.testing.mock.http import Reply, Request
from hushbell.testing.mock.rules import FINE, RecordedPush, ScriptedReply

PROJECT = "demo-project"
EMAIL = "push@demo-project.iam.gserviceaccount.com"
TOKEN_URL = "https://oauth2.googleapis.com/token"
LIFE = 3600  # seconds of an access token

_PATH = re.compile(r"/v1/projects/([^/]+)/messages:send")
_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
_STATUS |= {429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}
_CODES = {
    400: "INVALID_ARGUMENT",
    403: "SENDER_ID_MISMATCH",
    404: "UNREGISTERED",
    429: "QUOTA_EXCEEDED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_FIELDS = {"token", "topic", "condition", "data", "notification", "android", "webpush", "apns", "fcm_options", "name"}
_JSON = (("content-type", "application/json; charset=UTF-8"),)


class MockFcm:
    """Firebase Cloud Messaging of one project, with the endpoint that gives out access tokens."""

    provider = "fcm"

    def __init__(self, folder: Path) -> None:
        """Take the folder that the service account is written to."""
        self._file = folder / "service-account.json"
        self.tokens: dict[str, int] = {}  # access token → ms at which it ends
        self.life = LIFE
        self._now = 0  # of the grant that was looked at last

    @cached_property
    def credentials_file(self) -> Path:
        """The service account as Google gives it out."""
        pem = _account_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        account = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "testkey",
            "private_key": pem.decode(),
            "client_email": EMAIL,
            "token_uri": TOKEN_URL,
        }
        self._file.touch(mode=0o600)
        self._file.write_text(json.dumps(account))
        return self._file

    @staticmethod
    def takes(request: Request) -> bool:
        """Say whether a request is for Google."""
        return request.path == "/token" or request.path.startswith("/v1/projects/")

    def look(self, request: Request, now: int) -> tuple[RecordedPush, ScriptedReply | None]:
        """Return what the request is about, and the answer if Google would not take it."""
        if request.path == "/token":
            return RecordedPush("oauth", app="fcm"), self._bad_grant(request, now)
        match = _PATH.fullmatch(request.path)
        if match is None or request.method != "POST":
            return RecordedPush("fcm"), ScriptedReply(status=404, reason="-")
        message = _object(_object(request.body).get("message"))
        target = [name for name in ("token", "topic", "condition") if isinstance(message.get(name), str)]
        token = message[target[0]] if target else ""
        android, apns = _object(message.get("android")), _object(message.get("apns"))
        seen = RecordedPush(
            "fcm",
            token,
            match[1],
            collapse=str(android.get("collapse_key", "")),
            topic=token if target == ["topic"] else "",
            push_type=str(_object(apns.get("headers")).get("apns-push-type", "")),
            priority=str(android.get("priority", "")),
            bytes=len(request.body),
        )
        return seen, self._refusal(request, match[1], message, target, now)

    def reply(self, request: Request, seen: RecordedPush, said: ScriptedReply) -> Reply:
        """Say it as Google does."""
        if said.body is not None:
            return Reply(said.status, _JSON, said.body.encode())
        if seen.provider == "oauth":
            return self._grant(said)
        if said is FINE:
            return Reply(
                200, _JSON, b'{\n  "name": "projects/%s/messages/%d"\n}\n' % (seen.app.encode(), request.stream)
            )
        if said.status == 200:
            return Reply(200, _JSON, b"{}")
        return Reply(said.status, _JSON, _error(said))

    def app(self, **changes: object) -> FcmApp:
        """Return settings of a provider that fit."""
        return FcmApp(**{"credentials_file": str(self.credentials_file)} | changes)  # type: ignore[arg-type]

    def _refusal(
        self, request: Request, project: str, message: dict[str, Any], target: list[str], now: int
    ) -> ScriptedReply | None:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or self.tokens.get(bearer, 0) <= now:
            return ScriptedReply(status=401, reason="-")
        if project != PROJECT:
            return ScriptedReply(status=403, reason="-")
        if len(target) != 1 or message.keys() - _FIELDS:
            return ScriptedReply(status=400, reason="INVALID_ARGUMENT")
        data = message.get("data", {})
        if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
            return ScriptedReply(status=400, reason="INVALID_ARGUMENT")
        most = 2048 if target == ["topic"] else 4096
        counted = {name: message[name] for name in ("data", "notification") if name in message}
        return ScriptedReply(status=400, reason="INVALID_ARGUMENT") if len(orjson.dumps(counted)) > most else None

    def _bad_grant(self, request: Request, now: int) -> ScriptedReply | None:
        form = dict(parse_qsl(request.body.decode("latin-1")))
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return ScriptedReply(status=400, reason="unsupported_grant_type")
        try:
            head, claims, signature = form["assertion"].split(".")
            _account_key().public_key().verify(
                _raw(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), SHA256()
            )
            said = json.loads(_raw(claims))
            fits = (
                json.loads(_raw(head))["alg"] == "RS256"
                and said["iss"] == EMAIL
                and said["aud"] == TOKEN_URL
                and said["scope"].endswith("firebase.messaging")
                and 0 <= said["exp"] - said["iat"] <= 3600
                and abs(said["iat"] - now // 1000) < 300
            )
        except (ValueError, LookupError, TypeError, AttributeError, InvalidSignature):
            fits = False
        if not fits:
            return ScriptedReply(status=400, reason="invalid_grant")
        self._now = now
        return None

    def _grant(self, said: ScriptedReply) -> Reply:
        if said.status != 200:
            return Reply(said.status, _JSON, json.dumps({"error": said.reason or "server_error"}).encode())
        token = "ya29." + secrets.token_urlsafe(96)
        self.tokens[token] = self._now + self.life * 1000
        body = {"access_token": token, "expires_in": self.life, "token_type": "Bearer"}
        return Reply(200, _JSON, json.dumps(body).encode())


@cache
def _account_key() -> rsa.RSAPrivateKey:
    """Return the one key of all stand-ins in this process: making it takes longer than most tests."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _error(said: ScriptedReply) -> bytes:
    """Return Google's JSON. The reason "-" leaves Firebase's own code out, "token" blames the token."""
    code = _CODES.get(said.status, "-") if said.reason in ("", "token") else said.reason
    text = "The registration token is not a valid FCM registration token" if said.reason == "token" else "refused"
    error: dict[str, Any] = {"code": said.status, "message": text, "status": _STATUS.get(said.status, "UNKNOWN")}
    if code != "-":
        kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
        error["details"] = [{"@type": kind, "errorCode": code}]
    if said.reason == "token":
        violation = {"field": "message.token", "description": text}
        kind = "type.googleapis.com/google.rpc.BadRequest"
        error.setdefault("details", []).append({"@type": kind, "fieldViolations": [violation]})
    return json.dumps({"error": error}).encode()


def _object(given: Any) -> dict[str, Any]:
    if isinstance(given, bytes):
        try:
            given = orjson.loads(given)
        except ValueError:
            return {}
    return given if isinstance(given, dict) else {}


def _raw(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
