"""The name that every Waku node gives a message."""

import hashlib


def message_hash(pubsub_topic: str, payload: bytes, content_topic: str, meta: bytes | None, timestamp: int) -> bytes:
    """
    Return the deterministic hash of a Waku message, 32 bytes.

    Its parts run together without their lengths, so a stranger can find another message with the same name: good for
    asking a store, not for deciding that two messages are one.

    Args:
        pubsub_topic: what it was published on.
        payload: as in the message.
        content_topic: as in the message.
        meta: at most 64 bytes; None and empty are the same.
        timestamp: nanoseconds, a signed number of 64 bits.

    Source: RFC 14, "Deterministic message hashing"; big-endian as in reference/waku.md 5.
    """
    digest = hashlib.sha256(pubsub_topic.encode())
    digest.update(payload)
    digest.update(content_topic.encode())
    digest.update(meta or b"")
    digest.update(timestamp.to_bytes(8, "big", signed=True))
    return digest.digest()
