"""
Public-key encryption of Waku payloads: go-ethereum's ECIES with AES-128 and SHA-256 (reference/status-go.md 4.2).

``R(65) || IV(16) || ciphertext || tag(32)``: R is a fresh public key; the shared X goes through the concatenation KDF
of NIST SP 800-56A with no further input; the tag is an HMAC over IV and ciphertext.
"""

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from hushbell.crypto.secp256k1 import ecdh_x
from hushbell.errors import Unauthentic
from hushbell.types import KeyPair, PrivateKey, PublicKey

KEY_BYTES = 65
IV_BYTES = 16
TAG_BYTES = 32
ECIES_OVERHEAD = KEY_BYTES + IV_BYTES + TAG_BYTES


def encrypt(recipient: PublicKey, plaintext: bytes, ephemeral: KeyPair, iv: bytes) -> bytes:
    """
    Encrypt to the owner of a key; 113 bytes are added.

    Args:
        recipient: the key that can decrypt it.
        plaintext: a frame of RFC 26.
        ephemeral: a key pair for this message alone.
        iv: 16 random bytes.

    Raises:
        Unauthentic: the recipient's key is not a point of the curve.
        ValueError: the IV is not 16 bytes.
    """
    if len(iv) != IV_BYTES:
        raise ValueError("an IV is 16 bytes")
    encryption_key, tag_key = _keys(ecdh_x(ephemeral.private, recipient))
    body = iv + _aes_ctr(encryption_key, iv, plaintext)
    return ephemeral.public + body + hmac.digest(tag_key, body, "sha256")


def decrypt(private: PrivateKey, data: bytes) -> bytes:
    """
    Decrypt what was encrypted to our key. The tag is compared, in constant time, before anything is decrypted.

    Raises:
        Unauthentic: too short, R is no uncompressed point of the curve, another recipient, or altered.
    """
    if len(data) < ECIES_OVERHEAD:
        raise Unauthentic("shorter than an empty ECIES message")
    # go-ethereum always reads 65 bytes, so compressed keys are not accepted.
    encryption_key, tag_key = _keys(ecdh_x(private, PublicKey(data[:KEY_BYTES])))
    body = data[KEY_BYTES:-TAG_BYTES]
    if not hmac.compare_digest(hmac.digest(tag_key, body, "sha256"), data[-TAG_BYTES:]):
        raise Unauthentic("not encrypted to this key, or altered")
    return _aes_ctr(encryption_key, body[:IV_BYTES], body[IV_BYTES:])


def _keys(shared_x: bytes) -> tuple[bytes, bytes]:
    """Return the AES-128 key and the HMAC key; 32 bytes need one round of the KDF, whose counter is 1."""
    derived = hashlib.sha256(b"\x00\x00\x00\x01" + shared_x).digest()
    return derived[:16], hashlib.sha256(derived[16:]).digest()


def _aes_ctr(key: bytes, iv: bytes, data: bytes) -> bytes:
    """Encrypt or decrypt; the whole block is the counter, big-endian."""
    return Cipher(AES(key), CTR(iv)).encryptor().update(data)
