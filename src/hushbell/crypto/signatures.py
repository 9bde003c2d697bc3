"""
Signatures of the two layers that carry a message: the RFC 26 frame and the application message inside it.

The layouts are ``wire``'s business; what is signed is said here (reference/status-go.md 2.4 and 4.2).
"""

from hushbell.crypto.hashes import keccak256
from hushbell.crypto.secp256k1 import recover, sign
from hushbell.types import PrivateKey, PublicKey, Signature


def frame_digest(signed_part: bytes) -> bytes:
    """
    Return what the signature at the end of a frame covers, 32 bytes.

    Args:
        signed_part: everything before the signature: flags, with the signature flag already set, length, data, padding.
    """
    return keccak256(signed_part)


def sign_frame(signed_part: bytes, private: PrivateKey) -> Signature:
    """Return the 65 bytes to append to a frame whose signature flag is set."""
    return sign(frame_digest(signed_part), private)


def recover_frame_signer(signed_part: bytes, signature: bytes) -> PublicKey:
    """
    Return who signed a frame.

    Raises:
        Unauthentic: no key can have made the signature.
    """
    return recover(frame_digest(signed_part), signature)


def sign_payload(payload: bytes, private: PrivateKey) -> Signature:
    """
    Return the signature of an application message. It covers the payload, not the type beside it.

    Args:
        payload: as it is sent; for a registration that is the ciphertext.
        private: the sender's key.
    """
    return sign(keccak256(payload), private)


def recover_signer(payload: bytes, signature: bytes) -> PublicKey:
    """
    Return who signed the payload of an application message, exactly as received.

    Raises:
        Unauthentic: no key can have made the signature.
    """
    return recover(keccak256(payload), signature)
