"""The token that proves to Apple who sends: a JWT signed with ES256, one per key, shared by all connections."""

import base64
import json

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hushbell.errors import ConfigError
from hushbell.types import Millis

RENEW = 50 * 60_000  # milliseconds; Apple refuses tokens older than an hour
LEAST = 20 * 60_000  # milliseconds; Apple answers TooManyProviderTokenUpdates to whoever signs more often


class TokenSigner:
    """Signs when the clock says so, and counts how often."""

    def __init__(self, key: bytes, *, key_id: str, team_id: str) -> None:
        """
        Take the contents of a .p8 file.

        Raises:
            ConfigError: it is not a P-256 private key in PEM.
        """
        self._key = _private_key(key)
        self._head = _part({"alg": "ES256", "kid": key_id, "typ": "JWT"})
        self._team_id = team_id
        self._token = ""
        self._signed_at = 0
        self.signed = 0

    def token(self, now: Millis) -> str:
        """Return the token to use now. A clock set back by as much as a token lives signs anew, too."""
        if not self._token or abs(now - self._signed_at) >= RENEW:
            self._sign(now)
        return self._token

    def renewed(self, refused: str, now: Millis) -> str | None:
        """Return another token than the one Apple says has expired, or None if it is too early to sign again."""
        if self._token != refused:
            return self.token(now)
        if abs(now - self._signed_at) < LEAST:
            return None
        self._sign(now)
        return self._token

    def _sign(self, now: Millis) -> None:
        text = f"{self._head}.{_part({'iss': self._team_id, 'iat': now // 1000})}"
        r, s = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(SHA256())))
        self._token = f"{text}.{_base64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
        self._signed_at = now
        self.signed += 1


def _private_key(key: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        loaded = load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError("apns.key_file: not a private key in PEM (the .p8 file from Apple)") from None
    if not isinstance(loaded, ec.EllipticCurvePrivateKey) or not isinstance(loaded.curve, ec.SECP256R1):
        raise ConfigError("apns.key_file: must be a P-256 key (the .p8 file from Apple)")
    return loaded


def _part(claims: dict[str, str | int]) -> str:
    return _base64(json.dumps(claims, separators=(",", ":")).encode())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
