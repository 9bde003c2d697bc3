"""JSON Web Tokens as providers check them (RFC 7515); nothing is shared with the code that signs them."""

import base64
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256


def split_jwt(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Return header, claims, the bytes that are signed, and the signature. Raises ValueError."""
    head, claims, signature = token.split(".")
    return (
        json_object(decode_base64url(head)),
        json_object(decode_base64url(claims)),
        f"{head}.{claims}".encode(),
        decode_base64url(signature),
    )


def verify_es256(token: str, key: ec.EllipticCurvePublicKey) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a token that the key has signed. Raises ValueError."""
    header, claims, signed, signature = split_jwt(token)
    if header.get("alg") != "ES256" or len(signature) != 64:
        raise ValueError("not signed with ES256")
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        key.verify(der, signed, ec.ECDSA(SHA256()))
    except InvalidSignature as error:
        raise ValueError("signed by another key") from error
    return header, claims


def json_object(given: Any) -> dict[str, Any]:
    """Return the object that is given, or that JSON bytes hold; an empty one for anything else."""
    if isinstance(given, bytes):
        try:
            given = orjson.loads(given)
        except ValueError:
            return {}
    return given if isinstance(given, dict) else {}


def decode_base64url(text: str) -> bytes:
    """Return the bytes of unpadded base64url. Raises ValueError."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
