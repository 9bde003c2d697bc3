"""Who sends, for Web Push: a JWT for each push service, signed with one key (RFC 8292)."""

import base64
import binascii
from collections import OrderedDict
from contextlib import suppress

from cryptography.hazmat.primitives.asymmetric import ec

from hushbell.crypto.web_push import public_bytes
from hushbell.providers.jwt import base64url, es256, p256_key
from hushbell.types import Millis

LIFE = 12 * 3600  # seconds that a token says it lives; push services allow a day
RENEW = 10 * 3600_000  # milliseconds after which a new one is signed
ORIGINS = 1024  # push services whose token is kept


class Vapid:
    """Signs once for each push service, and again when the token grows old."""

    def __init__(self, key: bytes, subject: str) -> None:
        """
        Take the content of a key file: PEM, or the 32 bytes of the private key in base64url.

        Raises:
            ValueError: it is neither, or the subject is no mailto: or https: address.
        """
        if not subject.startswith(("mailto:", "https://")) or not subject.isascii() or not subject.isprintable():
            raise ValueError("the subject must begin with mailto: or https://")
        self._key = _key(key)
        self._subject = subject
        self.public = base64url(public_bytes(self._key.public_key()))
        self._headers: OrderedDict[str, tuple[int, str]] = OrderedDict()
        self.signed = 0

    def header(self, origin: str, now: Millis) -> str:
        """Return the value of the header ``authorization`` for a push service."""
        known = self._headers.get(origin)
        if known is not None and abs(now - known[0]) < RENEW:
            self._headers.move_to_end(origin)
            return known[1]
        claims: dict[str, str | int] = {"aud": origin, "exp": now // 1000 + LIFE, "sub": self._subject}
        header = f"vapid t={es256(self._key, {'typ': 'JWT', 'alg': 'ES256'}, claims)}, k={self.public}"
        self._headers[origin] = (now, header)
        self._headers.move_to_end(origin)
        if len(self._headers) > ORIGINS:
            self._headers.popitem(last=False)
        self.signed += 1
        return header


def _key(content: bytes) -> ec.EllipticCurvePrivateKey:
    if b"-----BEGIN" in content:
        return p256_key(content)
    raw = b""
    with suppress(binascii.Error):
        text = content.strip()
        raw = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if len(raw) != 32:
        raise ValueError("must be a P-256 key in PEM, or its 32 bytes in base64url")
    try:
        return ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())
    except ValueError:
        raise ValueError("must be a P-256 key, and is a number that is none") from None
