"""What the stand-in for push services checks: VAPID, headers, and whether the message opens (RFC 8030, 8291, 8292)."""

import base64
import json
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hushbell.config.providers import UnifiedPushApp, WebPushApp
from hushbell.testing.certificates import new_key
from hushbell.testing.mock.http import Reply, Request
from hushbell.testing.mock.rules import FINE, RecordedPush, ScriptedReply

HOST = "push.example.net"
BODY = 4096  # bytes
KEPT = 10_000  # plaintexts remembered
SUBJECT = "mailto:operator@example.org"

_PATH = re.compile(r"/(wpush|up)/([A-Za-z0-9_-]+)")
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
_VAPID = re.compile(r"vapid t=([A-Za-z0-9_.-]+), ?k=([A-Za-z0-9_-]+)")


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A browser of the stand-in's own: it can open what is sent to it."""

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
        self.key_file = folder / "vapid.pem"
        self.key_file.touch(mode=0o600)
        self.key_file.write_bytes(pem)
        self._public = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.subscriptions: dict[str, Subscribed] = {}
        self.opened: list[tuple[str, bytes]] = []  # path and plaintext of what was accepted
        self._verified: dict[str, dict[str, Any]] = {}

    def subscribe(self, name: str = "", host: str = HOST) -> Subscribed:
        """Return a new subscription; its address ends in ``name``."""
        path = f"/wpush/{name or secrets.token_urlsafe(16)}"
        made = Subscribed(f"https://{host}{path}", ec.generate_private_key(ec.SECP256R1()), secrets.token_bytes(16))
        self.subscriptions[path] = made
        return made

    @staticmethod
    def takes(request: Request) -> bool:
        """Say whether a request is for a push service."""
        return request.path.startswith(("/wpush/", "/up/"))

    def look(self, request: Request, now: int) -> tuple[RecordedPush, ScriptedReply | None]:
        """Return what the request is about, and the answer if no push service would take it."""
        headers = request.headers
        path, _, _ = request.path.partition("?")
        kind = "unifiedpush" if path.startswith("/up/") else "webpush"
        seen = RecordedPush(
            kind,
            path,
            headers.get("host", ""),
            collapse=headers.get("topic", ""),
            topic=headers.get("topic", ""),
            priority=headers.get("urgency", ""),
            bytes=len(request.body),
        )
        status = self._refusal(request, path, now)
        return seen, ScriptedReply(status=status) if status else None

    def reply(self, request: Request, seen: RecordedPush, said: ScriptedReply) -> Reply:
        """Say it as push services do."""
        if said is FINE or said.status == 200:
            location = f"https://{request.headers.get('host', '')}/m/{secrets.token_urlsafe(8)}"
            return Reply(201, (("location", location), ("ttl", request.headers.get("ttl", "0"))))
        del seen
        return Reply(said.status, (), (said.body or said.reason).encode())

    def web_app(self, **changes: object) -> WebPushApp:
        """Return settings of a provider that fit."""
        given: dict[str, object] = {"key_file": str(self.key_file), "subject": SUBJECT}
        return WebPushApp(**given | changes)  # type: ignore[arg-type]

    def unified_app(self, **changes: object) -> UnifiedPushApp:
        """Return settings of a provider that fit."""
        given: dict[str, object] = {"key_file": str(self.key_file), "subject": SUBJECT}
        return UnifiedPushApp(**given | changes)  # type: ignore[arg-type]

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
        if len(request.body) > BODY:
            return 413
        if match[1] == "up":
            return self._old(request, path)
        if not self._is_ours(headers.get("authorization", ""), headers.get("host", ""), now):
            return 401
        return self._open(path, request)

    def _old(self, request: Request, path: str) -> int:
        if not request.body:
            return 400
        self._keep(path, request.body)
        return 0

    def _open(self, path: str, request: Request) -> int:
        subscribed = self.subscriptions.get(path)
        if subscribed is None:
            return 404
        if request.headers.get("content-encoding") != "aes128gcm":
            return 415
        try:
            plain = subscribed.open(request.body)
        except (ValueError, IndexError, InvalidTag):
            return 400
        self._keep(path, plain)
        return 0

    def _keep(self, path: str, plain: bytes) -> None:
        if len(self.opened) < KEPT:
            self.opened.append((path, plain))

    def _is_ours(self, authorization: str, host: str, now: int) -> bool:
        match = _VAPID.fullmatch(authorization)
        if match is None or _raw(match[2]) != self._public:
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
        try:
            head, body, signature = token.split(".")
            raw = _raw(signature)
            der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
            public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self._public)
            public.verify(der, f"{head}.{body}".encode(), ec.ECDSA(SHA256()))
            claims = json.loads(_raw(body))
        except (ValueError, InvalidSignature):
            return {}
        return claims if isinstance(claims, dict) and len(raw) == 64 else {}


def _hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)


def _raw(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
