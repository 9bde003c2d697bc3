"""
Key pairs that change every period, derived from a root key and a secret per period (docs/anonymous-mode.md).

The private key of a period is ``u * d + v`` for the root's private key d, so the public key is ``u * D + v * G``: D and
the period's secret give the public key, the address, but no private key. The secret of the next period is a one-way
function of it, so that a secret that leaks says nothing about earlier periods.
"""

from coincurve import PublicKey as Point
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hushbell.crypto import secp256k1
from hushbell.errors import Unauthentic
from hushbell.types import KeyPair, PublicKey

SECRET_BYTES = 32
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

# "epoch" was the name of a period when these were fixed.
_UPDATE = b"hushbell epoch v1 update"
_DIVERSIFY = b"hushbell epoch v1 diversify"
_WIDE = 48  # bytes; 16 more than the order, so that the remainder is uniform to within 2**-128


def next_secret(secret: bytes) -> bytes:
    """
    Return the secret of the next period.

    Args:
        secret: 32 bytes.
    """
    return _derive(secret, b"", _UPDATE, SECRET_BYTES)


def period_key(root: KeyPair, secret: bytes) -> KeyPair:
    """
    Return the key pair of the period whose secret this is.

    Args:
        root: the key of all periods; it is used for nothing else.
        secret: 32 bytes.

    Raises:
        ValueError: the one secret in 2**256 that leads to zero.
    """
    scale, shift = _scalars(root.public, secret)
    scalar = (scale * int.from_bytes(root.private) + shift) % ORDER
    return secp256k1.key_pair_from(scalar.to_bytes(32))


def period_address(root: PublicKey, secret: bytes) -> PublicKey:
    """
    Return the public key of the period whose secret this is, from the root's public key alone.

    Raises:
        Unauthentic: the root is not a point of the curve, or the period's key is the point at infinity.
    """
    scale, shift = _scalars(root, secret)
    try:
        point = Point(root).multiply(scale.to_bytes(32)).add(shift.to_bytes(32))
    except ValueError:
        raise Unauthentic("no address of an period") from None
    return PublicKey(point.format(compressed=False))


def _scalars(root: PublicKey, secret: bytes) -> tuple[int, int]:
    """Return u and v, each from 1 to the order less one."""
    derived = _derive(secret, secp256k1.compress(root), _DIVERSIFY, 2 * _WIDE)
    scale, shift = (int.from_bytes(part) % (ORDER - 1) + 1 for part in (derived[:_WIDE], derived[_WIDE:]))
    return scale, shift


def _derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    if len(secret) != SECRET_BYTES:
        raise ValueError("the secret of an period is 32 bytes")
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(secret)
