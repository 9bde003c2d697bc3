"""
AES-256-GCM in the two layouts in use; neither authenticates anything besides the text.

Registrations put the nonce first (reference/status-go.md 2.6), Waku's symmetric layer puts it last (4.2).
"""

from collections.abc import Iterable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hushbell.errors import Unauthentic
from hushbell.types import SymmetricKey

NONCE_BYTES = 12
TAG_BYTES = 16
GCM_OVERHEAD = NONCE_BYTES + TAG_BYTES


def seal_gcm(key: SymmetricKey, nonce: bytes, plaintext: bytes) -> bytes:
    """
    Encrypt the way registrations and allowed keys are: ``nonce || ciphertext || tag``.

    Args:
        key: 32 bytes.
        nonce: 12 bytes, never used before with this key.
        plaintext: any length.

    Raises:
        ValueError: the key or the nonce has another length.
    """
    return nonce + _sealed(key, nonce, plaintext)


def open_gcm(key: SymmetricKey, data: bytes) -> bytes:
    """
    Decrypt ``nonce || ciphertext || tag``.

    Raises:
        Unauthentic: shorter than a nonce and a tag, another key, or altered.
        ValueError: the key is not 32 bytes.
    """
    return _opened(_cipher(key), data[:NONCE_BYTES], data[NONCE_BYTES:])


def openable_gcm(key: SymmetricKey, candidates: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the plaintext of each candidate that :func:`open_gcm` would open. The key is set up once."""
    cipher = _cipher(key)
    for data in candidates:
        try:
            yield _opened(cipher, data[:NONCE_BYTES], data[NONCE_BYTES:])
        except Unauthentic:
            continue


def seal_symmetric(key: SymmetricKey, plaintext: bytes, nonce: bytes) -> bytes:
    """
    Encrypt the way a symmetric Waku payload is: ``ciphertext || tag || nonce``.

    Args:
        key: 32 bytes, not all zero.
        plaintext: a frame of RFC 26.
        nonce: 12 bytes, never used before with this key.

    Raises:
        ValueError: the key is all zero, or the key or the nonce has another length.
    """
    _refuse_zero(key)
    return _sealed(key, nonce, plaintext) + nonce


def open_symmetric(key: SymmetricKey, data: bytes) -> bytes:
    """
    Decrypt ``ciphertext || tag || nonce``.

    Raises:
        Unauthentic: shorter than a tag and a nonce, another key, or altered.
        ValueError: the key is all zero or not 32 bytes.
    """
    _refuse_zero(key)
    return _opened(_cipher(key), data[-NONCE_BYTES:], data[:-NONCE_BYTES])


def _cipher(key: SymmetricKey) -> AESGCM:
    # AESGCM accepts 16 and 24 bytes as well: weaker ciphers.
    if len(key) != 32:
        raise ValueError("a symmetric key is 32 bytes")
    return AESGCM(key)


def _sealed(key: SymmetricKey, nonce: bytes, plaintext: bytes) -> bytes:
    if len(nonce) != NONCE_BYTES:
        raise ValueError("a nonce is 12 bytes")
    return _cipher(key).encrypt(nonce, plaintext, None)


def _opened(cipher: AESGCM, nonce: bytes, sealed: bytes) -> bytes:
    if len(nonce) != NONCE_BYTES or len(sealed) < TAG_BYTES:
        raise Unauthentic("shorter than a nonce and a tag")
    try:
        return cipher.decrypt(nonce, sealed, None)
    except InvalidTag as error:
        raise Unauthentic("does not decrypt with this key") from error


def _refuse_zero(key: SymmetricKey) -> None:
    """Refuse a key of zeros, which is one that was never set; status-go refuses it as well."""
    if not any(key):
        raise ValueError("the symmetric key is all zero")
