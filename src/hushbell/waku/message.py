"""What a node looks at in a message before anything costs more: its content topic, and whether it came before."""

import hashlib

from hushbell import wire
from hushbell.errors import WireError
from hushbell.wire.messages import WakuMessage

FINGERPRINT = 16  # bytes; enough that nobody meets a stranger's by chance, and half the memory

_PAYLOAD = 0x0A  # field 1, bytes
_TOPIC = 0x12  # field 2, bytes
_TWO_BYTES = 1 << 14  # lengths below it take two bytes at most; no topic is longer


def message_hash(pubsub_topic: str, message: WakuMessage) -> bytes:
    """
    Return the deterministic hash of a message, 32 bytes, by which stores and filters name it (RFC 14).

    SHA-256 of ``pubsub topic || payload || content topic || meta || timestamp``, the last as 8 bytes, big-endian. An
    absent timestamp counts as 0, an absent meta as empty. The version is not in it and the fields run together:
    :func:`fingerprint` is what nobody can imitate.
    """
    timestamp = (message.timestamp or 0).to_bytes(8, "big", signed=True)
    return hashlib.sha256(
        pubsub_topic.encode() + message.payload + message.content_topic.encode() + (message.meta or b"") + timestamp
    ).digest()


def content_topic(data: bytes, limit: int) -> str | None:
    """
    Return the content topic of a serialised WakuMessage, or None if there is none to be found.

    Everybody writes payload and content topic first and in this order: two lengths are read and nothing is parsed. A
    message written otherwise is parsed. Whoever believes the answer compares it with the decoded message's.
    """
    if len(data) > limit:
        return None
    start, end = _field(data, 0, _PAYLOAD)
    if start:
        start, end = _field(data, end, _TOPIC)
        if start:
            try:
                return str(data[start:end], "utf-8")
            except UnicodeDecodeError:
                return None
    try:
        return wire.decode(WakuMessage, data, limit=limit).content_topic
    except WireError:
        return None


def fingerprint(pubsub_topic: str, message: WakuMessage) -> bytes:
    """
    Return what makes a message the same as another, :data:`FINGERPRINT` bytes.

    The hash of RFC 14 leaves out the version, so that a stranger who races an honest message with a spoiled copy could
    have the honest one taken for it. Here every field that is read later counts, with its length;
    an empty one is the same as none, as it is to nodes that pass messages on as JSON.
    """
    digest = hashlib.sha256()
    for part in (
        pubsub_topic.encode(),
        message.payload,
        message.content_topic.encode(),
        message.meta or b"",
        (message.timestamp or 0).to_bytes(8, "big", signed=True),
        (message.version or 0).to_bytes(4, "big"),
    ):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()[:FINGERPRINT]


def _field(data: bytes, place: int, tag: int) -> tuple[int, int]:
    """Return where the content of a length-delimited field begins and ends; (0, 0) if another field stands there."""
    if place >= len(data) or data[place] != tag:
        return 0, 0
    length = shift = 0
    for read in range(place + 1, min(place + 5, len(data))):
        length |= (data[read] & 0x7F) << shift
        if data[read] < 0x80:
            start = read + 1
            fits = start + length <= len(data) and (tag == _PAYLOAD or length < _TWO_BYTES)
            return (start, start + length) if fits else (0, 0)
        shift += 7
    return 0, 0
