"""
Signatures of the two layers that carry a message: the RFC 26 frame and the application message inside it.

``wire`` has the layouts; here is what is signed (reference/status-go.md 2.4 and 4.2).
"""

from hushbell.crypto.hashes import keccak256
from hushbell.crypto.secp256k1 import recover, sign
from hushbell.types import PrivateKey, PublicKey, Signature


def frame_digest(signed_part: bytes) -> bytes:
    """
    Return the digest that the signature at the end of a frame covers, 32 bytes.

    Args:
        signed_part: everything before the signature: flags, with the signature flag already set, length, data, padding.
    """
    return keccak256(signed_part)


def sign_frame(signed_part: bytes, private: PrivateKey) -> Signature:
    """Return the 65 bytes to append to a frame whose signature flag is set."""
    return sign(frame_digest(signed_part), private)


def recover_frame_signer(signed_part: bytes, signature: bytes) -> PublicKey:
    """
    Return the key that signed a frame.

    Raises:
        Unauthentic: the signature is not valid for any key.
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
    Return the key that signed the payload of an application message.

    Raises:
        Unauthentic: the signature is not valid for any key.
    """
    return recover(keccak256(payload), signature)
