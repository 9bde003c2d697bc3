"""The mock of Apple's push service: its checks and its replies (reference/gateway.md 5.1)."""

import json
import re
from pathlib import Path
from typing import Any

from hushbell.testing.certificates import Authority, new_key, write_secret
from hushbell.testing.mock.http import Fault, Request, Response
from hushbell.testing.mock.jwt import json_object, verify_es256
from hushbell.testing.mock.rules import SUCCESS, RecordedPush, ScriptedReply

KEY_ID = "TESTKEY123"
TEAM_ID = "TESTTEAM12"
MAX_PAYLOAD_BYTES = 4096
MAX_TOKEN_AGE_SECONDS = 3600
MAX_CLOCK_SKEW_SECONDS = 300  # that the sender's clock may be ahead

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


class MockApns:
    """Apple's push service, production and sandbox; the host of a request says which."""

    provider = "apns"

    def __init__(self, folder: Path, authority: Authority, *, echo_apns_id: bool = True) -> None:
        """
        Make keys and certificates.

        Args:
            folder: where they are written.
            authority: issues the client's certificate.
            echo_apns_id: whether good responses carry apns-id, as Apple's do.
        """
        self.key, self.key_pem = new_key()
        self.key_id, self.team_id = KEY_ID, TEAM_ID
        self.key_file = write_secret(folder / f"AuthKey_{KEY_ID}.p8", self.key_pem)
        self.certificate_file, self.p12_file = authority.client_files("apns-client", "org.example.app")
        self.topics: frozenset[str] = frozenset()
        """The apps whose pushes are accepted; empty: any."""
        self.provider_tokens: dict[str, int | str] = {}
        """Provider token → time of issue in seconds, or the reason why it is refused."""
        self._echo_apns_id = echo_apns_id

    @staticmethod
    def matches(request: Request) -> bool:
        """Say whether a request is for Apple."""
        return request.path.startswith("/3/device/") or "push.apple.com" in request.headers.get("host", "")

    def check(self, request: Request, now: int) -> tuple[RecordedPush, ScriptedReply | None]:
        """Return what the request asks for, and Apple's refusal or None. ``now`` is in ms."""
        headers = request.headers
        refusal = self._refusal(request, now)
        issued = self.provider_tokens.get(headers.get("authorization", "")[7:], 0)
        push = RecordedPush(
            "apns",
            request.path[10:],
            headers.get("apns-topic", ""),
            headers.get("apns-id", ""),
            headers.get("apns-collapse-id", ""),
            headers.get("apns-topic", ""),
            headers.get("apns-push-type", ""),
            headers.get("apns-priority", ""),
            issued if isinstance(issued, int) else 0,
            len(request.body),
        )
        return push, refusal

    def respond(self, request: Request, push: RecordedPush, reply: ScriptedReply) -> Response:
        """Return the reply in Apple's form."""
        del request
        headers = (("apns-id", push.apns_id),) if self._echo_apns_id and push.apns_id else ()
        reason = reply.reason or _REASONS.get(reply.status, "")
        if reply is SUCCESS or reply.status == 200 or not reason:
            return Response(reply.status, headers)
        body: dict[str, str | int] = {"reason": reason}
        if reply.timestamp is not None:
            body["timestamp"] = reply.timestamp
        return Response(reply.status, headers, json.dumps(body).encode())

    def app(self, **changes: Any) -> dict[str, Any]:
        """Return settings of a provider that this mock accepts, by their names."""
        given = {"key_file": str(self.key_file), "key_id": KEY_ID, "team_id": TEAM_ID}
        return given | changes

    def _refusal(self, request: Request, now: int) -> ScriptedReply | None:
        """Apply Apple's checks in Apple's order. A client's certificate replaces provider token and topic."""
        if not request.is_http2:
            return ScriptedReply(fault=Fault.CLOSE)
        if request.method != "POST":
            return ScriptedReply(status=405, reason="MethodNotAllowed")
        if "duplicate" in request.headers:
            return ScriptedReply(status=400, reason="DuplicateHeaders")
        match = _PATH.fullmatch(request.path)
        if match is None:
            return ScriptedReply(status=404, reason="BadPath")
        reason = self._provider_token_error(request.headers.get("authorization", ""), now // 1000)
        if reason and not (request.is_certified and reason == "MissingProviderToken"):
            return ScriptedReply(status=403, reason=reason)
        reason = _token_error(match[1]) or self._header_error(request)
        if reason:
            return ScriptedReply(status=400, reason=reason)
        if len(request.body) > MAX_PAYLOAD_BYTES:
            return ScriptedReply(status=413, reason="PayloadTooLarge")
        has_aps = isinstance(json_object(request.body).get("aps"), dict)
        return None if has_aps else ScriptedReply(status=400, reason="BadRequest")

    def _header_error(self, request: Request) -> str:
        headers = request.headers
        topic = headers.get("apns-topic")
        if not topic and not request.is_certified:
            return "MissingTopic"
        if topic and self.topics and topic not in self.topics:
            return "DeviceTokenNotForTopic"
        if not _UUID.fullmatch(headers.get("apns-id", "00000000-0000-0000-0000-000000000000")):
            return "BadMessageId"
        expiration = headers.get("apns-expiration", "0")
        if not (expiration.isascii() and expiration.isdigit()):
            return "BadExpirationDate"
        if headers.get("apns-priority", "10") not in ("1", "5", "10"):
            return "BadPriority"
        if len(headers.get("apns-collapse-id", "").encode()) > 64:
            return "BadCollapseId"
        if headers.get("apns-push-type", "alert") not in _TYPES:
            return "InvalidPushType"
        return "" if request.body else "PayloadEmpty"

    def _provider_token_error(self, authorization: str, now: int) -> str:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return "MissingProviderToken"
        issued = self.provider_tokens.get(token)
        if issued is None:
            issued = self.provider_tokens[token] = self._verify(token)
        if isinstance(issued, str):
            return issued
        if issued > now + MAX_CLOCK_SKEW_SECONDS:
            return "InvalidProviderToken"
        return "ExpiredProviderToken" if now - issued > MAX_TOKEN_AGE_SECONDS else ""

    def _verify(self, token: str) -> int | str:
        try:
            header, claims = verify_es256(token, self.key.public_key())
        except ValueError:
            return "InvalidProviderToken"
        issued = claims.get("iat")
        is_ours = header.get("kid") == KEY_ID and claims.get("iss") == TEAM_ID
        return issued if is_ours and type(issued) is int else "InvalidProviderToken"


def _token_error(token: str) -> str:
    if not token:
        return "MissingDeviceToken"
    return "" if _TOKEN.fullmatch(token) else "BadDeviceToken"
