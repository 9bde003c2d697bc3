"""The mock of Google: the OAuth endpoint and messages:send (reference/gateway.md 5.2)."""

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

from hushbell.testing.certificates import write_secret
from hushbell.testing.mock.http import Request, Response
from hushbell.testing.mock.jwt import json_object, split_jwt
from hushbell.testing.mock.rules import SUCCESS, RecordedPush, ScriptedReply

PROJECT = "demo-project"
EMAIL = "push@demo-project.iam.gserviceaccount.com"
TOKEN_URL = "https://oauth2.googleapis.com/token"
ACCESS_TOKEN_SECONDS = 3600

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
        self.access_token_seconds = ACCESS_TOKEN_SECONDS
        self._now = 0  # ms, of the grant that was checked last

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
        return write_secret(self._file, json.dumps(account).encode())

    @staticmethod
    def matches(request: Request) -> bool:
        """Say whether a request is for Google."""
        return request.path == "/token" or request.path.startswith("/v1/projects/")

    def check(self, request: Request, now: int) -> tuple[RecordedPush, ScriptedReply | None]:
        """Return what the request asks for, and the refusal if Google refuses it."""
        if request.path == "/token":
            return RecordedPush("oauth", app="fcm"), self._bad_grant(request, now)
        match = _PATH.fullmatch(request.path)
        if match is None or request.method != "POST":
            return RecordedPush("fcm"), ScriptedReply(status=404, reason="-")
        message = json_object(json_object(request.body).get("message"))
        target = [name for name in ("token", "topic", "condition") if isinstance(message.get(name), str)]
        token = message[target[0]] if target else ""
        android, apns = json_object(message.get("android")), json_object(message.get("apns"))
        push = RecordedPush(
            "fcm",
            token,
            match[1],
            collapse=str(android.get("collapse_key", "")),
            topic=token if target == ["topic"] else "",
            push_type=str(json_object(apns.get("headers")).get("apns-push-type", "")),
            priority=str(android.get("priority", "")),
            bytes=len(request.body),
        )
        return push, self._refusal(request, match[1], message, target, now)

    def respond(self, request: Request, push: RecordedPush, reply: ScriptedReply) -> Response:
        """Return the reply in Google's form."""
        if push.provider == "oauth":
            return self._grant(reply)
        if reply is SUCCESS:
            name = b'{\n  "name": "projects/%s/messages/%d"\n}\n' % (push.app.encode(), request.stream)
            return Response(200, _JSON, name)
        if reply.status == 200:
            return Response(200, _JSON, b"{}")
        return Response(reply.status, _JSON, _error(reply))

    def app(self, **changes: Any) -> dict[str, Any]:
        """Return settings of a provider that this mock accepts, by their names."""
        return {"credentials_file": str(self.credentials_file)} | changes

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
            header, claims, signed, signature = split_jwt(form["assertion"])
            _account_key().public_key().verify(signature, signed, padding.PKCS1v15(), SHA256())
            fits = (
                header["alg"] == "RS256"
                and claims["iss"] == EMAIL
                and claims["aud"] == TOKEN_URL
                and claims["scope"].endswith("firebase.messaging")
                and 0 <= claims["exp"] - claims["iat"] <= 3600
                and abs(claims["iat"] - now // 1000) < 300
            )
        except (ValueError, LookupError, TypeError, AttributeError, InvalidSignature):
            fits = False
        if not fits:
            return ScriptedReply(status=400, reason="invalid_grant")
        self._now = now
        return None

    def _grant(self, reply: ScriptedReply) -> Response:
        if reply.status != 200:
            return Response(reply.status, _JSON, json.dumps({"error": reply.reason or "server_error"}).encode())
        token = "ya29." + secrets.token_urlsafe(96)
        self.tokens[token] = self._now + self.access_token_seconds * 1000
        body = {"access_token": token, "expires_in": self.access_token_seconds, "token_type": "Bearer"}
        return Response(200, _JSON, json.dumps(body).encode())


@cache
def _account_key() -> rsa.RSAPrivateKey:
    """Return the key of every mock in this process: making one takes longer than most tests."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _error(reply: ScriptedReply) -> bytes:
    """Return Google's JSON. The reason "-" leaves Firebase's own code out, "token" blames the token."""
    code = _CODES.get(reply.status, "-") if reply.reason in ("", "token") else reply.reason
    text = "The registration token is not a valid FCM registration token" if reply.reason == "token" else "refused"
    error: dict[str, Any] = {"code": reply.status, "message": text, "status": _STATUS.get(reply.status, "UNKNOWN")}
    if code != "-":
        kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
        error["details"] = [{"@type": kind, "errorCode": code}]
    if reply.reason == "token":
        violation = {"field": "message.token", "description": text}
        kind = "type.googleapis.com/google.rpc.BadRequest"
        error.setdefault("details", []).append({"@type": kind, "fieldViolations": [violation]})
    return json.dumps({"error": error}).encode()
