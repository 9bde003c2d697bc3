"""Message encryption for Web Push (RFC 8291 on RFC 8188, aes128gcm). Keys and salt are arguments."""

import hmac

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hushbell.types import Random

RECORD = 4096  # bytes; messages are one record, which may be shorter
OVERHEAD = 16 + 4 + 1 + 65 + 1 + 16  # salt, record size, length and value of the key, delimiter, tag
MAX_PLAINTEXT = RECORD - OVERHEAD  # bytes of plaintext, 3993

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256


def new_key(random: Random) -> ec.EllipticCurvePrivateKey:
    """Return a key for one message."""
    # 16 bytes more than the order, so that the remainder is uniform to within 2**-128.
    return ec.derive_private_key(int.from_bytes(random(48), "big") % (_ORDER - 1) + 1, ec.SECP256R1())


def public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key as ``04 || X || Y``, 65 bytes."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def receiver(p256dh: bytes) -> ec.EllipticCurvePublicKey:
    """
    Return the key of a subscription.

    Raises:
        ValueError: it is not a point of P-256, uncompressed, 65 bytes.
    """
    if len(p256dh) != 65:
        raise ValueError("a subscription's key has 65 bytes")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), p256dh)


def encrypt(
    plaintext: bytes,
    to: ec.EllipticCurvePublicKey,
    auth: bytes,
    key: ec.EllipticCurvePrivateKey,
    salt: bytes,
    *,
    padding: int = 0,
) -> bytes:
    """
    Return the body of a push.

    Args:
        plaintext: with its padding at most ``MAX_PLAINTEXT`` bytes.
        to: the subscription's key.
        auth: the subscription's secret, 16 bytes.
        key: made for this message only.
        salt: 16 unpredictable bytes.
        padding: bytes that only lengthen the message.

    Raises:
        ValueError: the plaintext is too long, or a length is wrong.

    Source: RFC 8291, 3.4 and 4; checked against its appendix A.
    """
    if len(plaintext) + padding > MAX_PLAINTEXT or len(auth) != 16 or len(salt) != 16 or padding < 0:
        raise ValueError(f"at most {MAX_PLAINTEXT} bytes; secret and salt have 16")
    receiver_public, sender_public = public_bytes(to), public_bytes(key.public_key())
    info = b"WebPush: info\0" + receiver_public + sender_public
    shared = _hmac(_hmac(auth, key.exchange(ec.ECDH(), to)), info + b"\1")
    pseudorandom = _hmac(salt, shared)
    content_key = _hmac(pseudorandom, b"Content-Encoding: aes128gcm\0\1")[:16]
    nonce = _hmac(pseudorandom, b"Content-Encoding: nonce\0\1")[:12]
    sealed = AESGCM(content_key).encrypt(nonce, plaintext + b"\2" + bytes(padding), None)
    return salt + RECORD.to_bytes(4, "big") + b"\x41" + sender_public + sealed


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")
