"""JSON Web Tokens signed with ES256 or RS256, and the keys for them."""

import base64
import json
from collections.abc import Mapping

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

Claims = Mapping[str, str | int]


def p256_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """
    Return the private key in a PEM text.

    Raises:
        ValueError: it is not a P-256 private key without a password. The text never quotes it.
    """
    key = _loaded(pem)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("must be a P-256 key")  # noqa: TRY004 - the file is wrong, not our code
    return key


def rsa_key(pem: bytes) -> rsa.RSAPrivateKey:
    """
    Return the private key in a PEM text.

    Raises:
        ValueError: it is not an RSA private key of at least 2,048 bits without a password.
    """
    key = _loaded(pem)
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < 2048:
        raise ValueError("must be an RSA key of at least 2048 bits")
    return key


def es256(key: ec.EllipticCurvePrivateKey, head: Claims, claims: Claims) -> str:
    """Return the signed token (RFC 7518, 3.4)."""
    text = f"{part(head)}.{part(claims)}"
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(SHA256())))
    return f"{text}.{base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def rs256(key: rsa.RSAPrivateKey, head: Claims, claims: Claims) -> str:
    """Return the signed token (RFC 7518, 3.3)."""
    text = f"{part(head)}.{part(claims)}"
    return f"{text}.{base64url(key.sign(text.encode(), padding.PKCS1v15(), SHA256()))}"


def part(claims: Claims) -> str:
    """Return one part of a token."""
    return base64url(json.dumps(claims, separators=(",", ":")).encode())


def base64url(raw: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _loaded(pem: bytes) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("not a private key in PEM") from None
