"""The mock of push services: VAPID, headers, and whether the message opens (RFC 8030, 8291, 8292)."""

import base64
import json
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hushbell.testing.certificates import new_key, write_secret
from hushbell.testing.mock.http import Request, Response
from hushbell.testing.mock.jwt import decode_base64url, verify_es256
from hushbell.testing.mock.rules import RecordedPush, ScriptedReply

HOST = "push.example.net"
MAX_BODY_BYTES = 4096
MAX_PLAINTEXTS = 10_000  # kept
SUBJECT = "mailto:operator@example.org"

_PATH = re.compile(r"/(wpush|up)/([A-Za-z0-9_-]+)")
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
_VAPID = re.compile(r"vapid t=([A-Za-z0-9_.-]+), ?k=([A-Za-z0-9_-]+)")


@dataclass(frozen=True, slots=True)
class BrowserSubscription:
    """A browser's subscription with its private key, which decrypts what is sent to it."""

    endpoint: str
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    auth: bytes = field(repr=False)

    @property
    def token(self) -> str:
        """The subscription as a browser gives it out."""
        public = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = {"p256dh": _text(public), "auth": _text(self.auth)}
        return json.dumps({"endpoint": self.endpoint, "expirationTime": None, "keys": keys})

    def open(self, body: bytes) -> bytes:
        """Return the plaintext of a push. Raises ValueError or InvalidTag."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, sealed = body[21 : 21 + length], body[21 + length :]
        if length != 65 or size < 18 or len(sealed) > size:
            raise ValueError("not one record of aes128gcm")
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        public = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        shared = _hkdf(self.auth, self.key.exchange(ec.ECDH(), point), b"WebPush: info\0" + public + sender, 32)
        key = _hkdf(salt, shared, b"Content-Encoding: aes128gcm\0", 16)
        nonce = _hkdf(salt, shared, b"Content-Encoding: nonce\0", 12)
        plain = AESGCM(key).decrypt(nonce, sealed, None).rstrip(b"\0")
        if not plain.endswith(b"\2"):
            raise ValueError("no delimiter of the last record")
        return plain[:-1]


class MockWebPush:
    """A push service with subscriptions of its own (``/wpush/…``), and old distributors (``/up/…``)."""

    provider = "webpush"

    def __init__(self, folder: Path) -> None:
        """Take the folder that the VAPID key is written to."""
        key, pem = new_key()
        self.key_file = write_secret(folder / "vapid.pem", pem)
        self._public = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.subscriptions: dict[str, BrowserSubscription] = {}
        self.opened: list[tuple[str, bytes]] = []  # path and plaintext of what was accepted
        self._verified: dict[str, dict[str, Any]] = {}

    def subscribe(self, name: str = "", host: str = HOST) -> BrowserSubscription:
        """Return a new subscription; its address ends in ``name``."""
        path = f"/wpush/{name or secrets.token_urlsafe(16)}"
        made = BrowserSubscription(
            f"https://{host}{path}", ec.generate_private_key(ec.SECP256R1()), secrets.token_bytes(16)
        )
        self.subscriptions[path] = made
        return made

    @staticmethod
    def matches(request: Request) -> bool:
        """Say whether a request is for a push service."""
        return request.path.startswith(("/wpush/", "/up/"))

    def check(self, request: Request, now: int) -> tuple[RecordedPush, ScriptedReply | None]:
        """Return what the request asks for, and the refusal if no push service would take it."""
        headers = request.headers
        path, _, _ = request.path.partition("?")
        kind = "unifiedpush" if path.startswith("/up/") else "webpush"
        push = RecordedPush(
            kind,
            path,
            headers.get("host", ""),
            collapse=headers.get("topic", ""),
            topic=headers.get("topic", ""),
            priority=headers.get("urgency", ""),
            bytes=len(request.body),
        )
        status = self._refusal(request, path, now)
        return push, ScriptedReply(status=status) if status else None

    def respond(self, request: Request, push: RecordedPush, reply: ScriptedReply) -> Response:
        """Return the reply as push services do."""
        del push
        if reply.status == 200:
            location = f"https://{request.headers.get('host', '')}/m/{secrets.token_urlsafe(8)}"
            return Response(201, (("location", location), ("ttl", request.headers.get("ttl", "0"))))
        return Response(reply.status, (), reply.reason.encode())

    def app(self, **changes: Any) -> dict[str, Any]:
        """Return settings of a provider that this mock accepts, by their names; Web Push and UnifiedPush share them."""
        given = {"key_file": str(self.key_file), "subject": SUBJECT}
        return given | changes

    def _refusal(self, request: Request, path: str, now: int) -> int:
        headers = request.headers
        match = _PATH.fullmatch(path)
        if match is None:
            return 404
        if request.method != "POST":
            return 405
        if not headers.get("ttl", "").isdigit():
            return 400
        if "topic" in headers and not _TOPIC.fullmatch(headers["topic"]):
            return 400
        if headers.get("urgency", "normal") not in ("very-low", "low", "normal", "high"):
            return 400
        if len(request.body) > MAX_BODY_BYTES:
            return 413
        if match[1] == "up":
            return self._check_unencrypted(request, path)
        if not self._is_authorized(headers.get("authorization", ""), headers.get("host", ""), now):
            return 401
        return self._check_encrypted(path, request)

    def _check_unencrypted(self, request: Request, path: str) -> int:
        if not request.body:
            return 400
        self._keep(path, request.body)
        return 0

    def _check_encrypted(self, path: str, request: Request) -> int:
        subscription = self.subscriptions.get(path)
        if subscription is None:
            return 404
        if request.headers.get("content-encoding") != "aes128gcm":
            return 415
        try:
            plain = subscription.open(request.body)
        except (ValueError, IndexError, InvalidTag):
            return 400
        self._keep(path, plain)
        return 0

    def _keep(self, path: str, plain: bytes) -> None:
        if len(self.opened) < MAX_PLAINTEXTS:
            self.opened.append((path, plain))

    def _is_authorized(self, authorization: str, host: str, now: int) -> bool:
        match = _VAPID.fullmatch(authorization)
        if match is None or decode_base64url(match[2]) != self._public:
            return False
        claims = self._verified.get(match[1])
        if claims is None:
            claims = self._verified[match[1]] = self._verify(match[1])
        ends = claims.get("exp")
        return (
            claims.get("aud") == f"https://{host}"
            and isinstance(ends, int)
            and now // 1000 < ends <= now // 1000 + 86_400
            and str(claims.get("sub", "")).startswith(("mailto:", "https://"))
        )

    def _verify(self, token: str) -> dict[str, Any]:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self._public)
        try:
            return verify_es256(token, public)[1]
        except ValueError:
            return {}


def _hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
