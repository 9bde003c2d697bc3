"""Identifiers of messages. Each is a hash of the bytes as received, never of a second encoding."""

import hashlib

from hushbell.crypto.hashes import keccak256, shake256
from hushbell.types import MessageId, PublicKey, PubsubTopic, RequestId


def message_id(signer: PublicKey | None, application_message: bytes) -> MessageId:
    """
    Return the id of an application message (the wrapper's id in status-go).

    Args:
        signer: the key that signed the application message; None if it has no signature. The signer of the frame is
            then the sender, but not part of the id.
        application_message: the serialised message, signature and type included.

    Raises:
        ValueError: the key is not in its 65-byte form.

    Source: reference/status-go.md 2.4.
    """
    if signer is None:
        return MessageId(keccak256(application_message))
    if len(signer) != 65:
        raise ValueError("an uncompressed key is 65 bytes")
    return MessageId(keccak256(signer + application_message))


def request_id(ciphertext: bytes) -> RequestId:
    """Return the id that names a registration in its response: the hash of its ciphertext with the nonce."""
    return RequestId(shake256(ciphertext))


def message_hash(
    pubsub_topic: PubsubTopic, payload: bytes, content_topic: str, meta: bytes = b"", timestamp: int = 0
) -> bytes:
    """
    Return Waku's deterministic hash of a message, 32 bytes.

    Args:
        pubsub_topic: the shard of the message.
        payload: as sent, so encrypted.
        content_topic: as sent.
        meta: empty unless the topic is protected.
        timestamp: Unix nanoseconds; a message without one counts as 0. Negative ones hash as two's complement.

    Raises:
        ValueError: the timestamp does not fit into 64 bits.

    Source: go-waku, protocol/pb/utils.go; RFC 14, "Deterministic message hashing".
    """
    if not -(1 << 63) <= timestamp < 1 << 63:
        raise ValueError("a timestamp is a signed 64-bit number")
    when = timestamp.to_bytes(8, signed=True)
    return hashlib.sha256(pubsub_topic.encode() + payload + content_topic.encode() + meta + when).digest()
