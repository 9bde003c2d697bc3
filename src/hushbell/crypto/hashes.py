"""Keccak-256, SHAKE-256, and the hashes of keys and chats (reference/status-go.md 2.1 and 2.2)."""

import hashlib

from sha3 import keccak_256 as _keccak_256

from hushbell.crypto.secp256k1 import compress
from hushbell.types import Hash64, KeyHash, PublicKey

_KECCAK_OF_NOTHING = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
_SHAKE_OF_NOTHING = (
    "46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f"
    "d75dc4ddd8c0f200cb05019d67b592f6fc821c49479ab48640292eacb3b7c4be"
)


def keccak256(data: bytes) -> bytes:
    """Return Keccak-256 with the padding from before SHA-3, 32 bytes. The specifications call it SHA3-256."""
    return bytes(_keccak_256(data).digest())


def shake256(data: bytes) -> bytes:
    """Return 64 bytes of SHAKE-256."""
    return hashlib.shake_256(data).digest(64)


def hash_public_key(public: PublicKey) -> KeyHash:
    """Return the key hash: the hash of the compressed key."""
    return KeyHash(shake256(compress(public)))


def hash_chat_id(chat_id: str) -> Hash64:
    """Return the hash of a chat id, which is text, for requests and mute lists."""
    return Hash64(shake256(chat_id.encode()))


def hash_author(public: PublicKey) -> Hash64:
    """Return the hash of an author's contact id. Not the hash of the key: another pre-image."""
    return Hash64(shake256(contact_id(public).encode()))


def contact_id(public: PublicKey) -> str:
    """Return ``0x04…``: 132 characters, lower case."""
    if len(public) != 65:
        raise ValueError("an uncompressed key is 65 bytes")
    return "0x" + public.hex()


def self_test() -> None:
    """
    Compare both hashes with known values: SHA-3 in place of Keccak would raise no error elsewhere.

    Raises:
        ImportError: the installed function computes another hash.
    """
    if keccak256(b"").hex() != _KECCAK_OF_NOTHING:
        raise ImportError("the installed sha3 module does not compute Keccak-256; hushbell needs safe-pysha3")
    if shake256(b"").hex() != _SHAKE_OF_NOTHING:
        raise ImportError("this Python does not compute SHAKE-256")


self_test()
