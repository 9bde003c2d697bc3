"""What a stand-in for Apple's push service says to a push (reference/gateway.md 5.1). No network here."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

PAYLOAD = 4096  # bytes
TOKEN_LIFE = 3600  # seconds
FUTURE = 300  # seconds that the sender's clock may be ahead

_PATH = re.compile(r"/3/device/([0-9A-Za-z_-]*)", re.ASCII)
_TOKEN = re.compile(r"(?:[0-9a-fA-F]{2})+", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_TYPES = frozenset(
    {"alert", "background", "voip", "complication", "fileprovider", "mdm"}
    | {"location", "liveactivity", "pushtotalk", "widgets", "controls"}
)
_REASONS = {
    400: "BadRequest",
    403: "Forbidden",
    404: "BadPath",
    405: "MethodNotAllowed",
    410: "Unregistered",
    413: "PayloadTooLarge",
    429: "TooManyRequests",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}


class Act(StrEnum):
    """What the stand-in does to a push."""

    ANSWER = "answer"
    HANG = "hang"  # never answers
    CLOSE = "close"  # cuts the connection, the push is in
    RESET = "reset"  # ends the stream with INTERNAL_ERROR, the push is in
    REFUSE_STREAM = "refuse_stream"  # REFUSED_STREAM: Apple did not look at it
    GOAWAY = "goaway"  # answers, then takes no more streams on this connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One scripted answer. Also what a line of the control language holds."""

    status: int = 200
    reason: str = ""
    timestamp: int | None = None  # ms
    delay: float = 0.0  # seconds
    retry_after: int | None = None  # seconds
    body: str | None = None  # instead of Apple's JSON
    act: Act = Act.ANSWER

    def bytes(self) -> bytes:
        """Return the body of the answer."""
        if self.body is not None:
            return self.body.encode()
        reason = self.reason or _REASONS.get(self.status, "")
        if self.status == 200 or not reason:
            return b""
        said: dict[str, str | int] = {"reason": reason}
        if self.timestamp is not None:
            said["timestamp"] = self.timestamp
        return json.dumps(said).encode()


FINE = Answer()


@dataclass(frozen=True, slots=True)
class Received:
    """One push that arrived."""

    token: str
    apns_id: str
    headers: Mapping[str, str] = field(repr=False)  # without authorization
    payload: bytes = field(repr=False)
    at: int  # ms, Unix time

    def line(self) -> bytes:
        """Return the push as one JSON line."""
        fields = asdict(self) | {"payload": self.payload.decode("utf-8", "replace")}
        return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


class Judge:
    """Checks pushes as Apple does. Remembers the provider tokens it has verified."""

    def __init__(self, key: ec.EllipticCurvePublicKey, *, key_id: str, team_id: str, topics: frozenset[str]) -> None:
        self._key = key
        self._key_id = key_id
        self._team_id = team_id
        self._topics = topics  # empty: any
        self.bearers: dict[str, int | str] = {}  # token → time of issue, or the reason why it is bad

    def refusal(
        self, path: str, headers: Mapping[str, str], payload: bytes, now: int, *, certified: bool = False
    ) -> Answer | None:
        """Return the answer to a push that Apple would not take, or None. A certificate needs no token and no topic."""
        match = _PATH.fullmatch(path)
        if match is None:
            return Answer(status=404, reason="BadPath")
        reason = self._bad_bearer(headers.get("authorization", ""), now // 1000)
        if reason and not (certified and reason == "MissingProviderToken"):
            return Answer(status=403, reason=reason)
        token = match[1]
        if not token:
            return Answer(status=400, reason="MissingDeviceToken")
        if not _TOKEN.fullmatch(token):
            return Answer(status=400, reason="BadDeviceToken")
        reason = self._bad_header(headers)
        if reason and not (certified and reason == "MissingTopic"):
            return Answer(status=400, reason=reason)
        if not payload:
            return Answer(status=400, reason="PayloadEmpty")
        if len(payload) > PAYLOAD:
            return Answer(status=413, reason="PayloadTooLarge")
        return None if _is_payload(payload) else Answer(status=400, reason="BadRequest")

    def _bad_header(self, headers: Mapping[str, str]) -> str:
        topic = headers.get("apns-topic")
        if not topic:
            return "MissingTopic"
        if self._topics and topic not in self._topics:
            return "DeviceTokenNotForTopic"
        if not _UUID.fullmatch(headers.get("apns-id", "00000000-0000-0000-0000-000000000000")):
            return "BadMessageId"
        if not _is_number(headers.get("apns-expiration", "0")):
            return "BadExpirationDate"
        if headers.get("apns-priority", "10") not in ("1", "5", "10"):
            return "BadPriority"
        if len(headers.get("apns-collapse-id", "").encode()) > 64:
            return "BadCollapseId"
        return "" if headers.get("apns-push-type", "alert") in _TYPES else "InvalidPushType"

    def _bad_bearer(self, authorization: str, now: int) -> str:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return "MissingProviderToken"
        known = self.bearers.get(token)
        if known is None:
            known = self.bearers[token] = self._verify(token)
        if isinstance(known, str):
            return known
        if known > now + FUTURE:
            return "InvalidProviderToken"
        return "ExpiredProviderToken" if now - known > TOKEN_LIFE else ""

    def _verify(self, token: str) -> int | str:
        try:
            head, claims, signature = token.split(".")
            header, body, raw = _json(head), _json(claims), _raw(signature)
            if (
                header["alg"] != "ES256"
                or header["kid"] != self._key_id
                or body["iss"] != self._team_id
                or len(raw) != 64
            ):
                return "InvalidProviderToken"
            der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
            self._key.verify(der, f"{head}.{claims}".encode(), ec.ECDSA(SHA256()))
            issued = body["iat"]
        except (ValueError, LookupError, TypeError, InvalidSignature):
            return "InvalidProviderToken"
        return issued if type(issued) is int else "InvalidProviderToken"


def _is_payload(payload: bytes) -> bool:
    try:
        return isinstance(orjson.loads(payload)["aps"], dict)
    except (ValueError, LookupError, TypeError):
        return False


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit()


def _raw(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _json(part: str) -> dict[str, Any]:
    parsed = json.loads(_raw(part))
    if not isinstance(parsed, dict):
        raise TypeError("not an object")
    return parsed
