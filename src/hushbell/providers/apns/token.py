"""The token that proves to Apple who sends: a JWT signed with ES256, one per key, shared by all connections."""

from cryptography.hazmat.primitives.asymmetric import ec

from hushbell.errors import ConfigError
from hushbell.providers.jwt import es256, p256_key
from hushbell.types import Millis

RENEW = 50 * 60_000  # milliseconds; Apple refuses tokens older than an hour
LEAST = 20 * 60_000  # milliseconds; Apple answers TooManyProviderTokenUpdates to more frequent signatures


class TokenSigner:
    """Signs when the clock says so, and counts how often."""

    def __init__(self, key: bytes, *, key_id: str, team_id: str) -> None:
        """
        Take the contents of a .p8 file.

        Raises:
            ConfigError: it is not a P-256 private key in PEM.
        """
        self._key = _private_key(key)
        self._head = {"alg": "ES256", "kid": key_id}
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
        self._token = es256(self._key, self._head, {"iss": self._team_id, "iat": now // 1000})
        self._signed_at = now
        self.signed += 1


def _private_key(key: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        return p256_key(key)
    except ValueError as error:
        raise ConfigError(f"apns.key_file: {error} (the .p8 file from Apple)") from None
