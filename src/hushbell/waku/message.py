"""One message on its way through a node: its content topic, its decoded form, and what identifies it."""

import hashlib

from hushbell import wire
from hushbell.errors import WireError
from hushbell.types import PubsubTopic
from hushbell.wire.messages import WakuMessage

FINGERPRINT = 16  # bytes; 128 bits do not collide by chance

_PAYLOAD = 0x0A  # field 1, bytes
_TOPIC = 0x12  # field 2, bytes
_TWO_BYTES = 1 << 14  # lengths below it take two bytes at most; no topic is longer


class RawMessage:
    """
    A serialised WakuMessage and the pubsub topic it was published on. Parsed once at most, when it is first needed.

    Readers, filter and archive share it. The archive's thread may parse it while the event loop does: both get equal
    values.
    """

    __slots__ = ("_content_topic", "_decoded", "data", "pubsub_topic")

    def __init__(self, pubsub_topic: PubsubTopic, data: bytes, decoded: WakuMessage | None = None) -> None:
        self.pubsub_topic = pubsub_topic
        self.data = data
        self._decoded = decoded
        self._content_topic: str | None = None

    @property
    def content_topic(self) -> str | None:
        """The content topic, found without parsing where the message has the usual form; None: there is none."""
        if self._content_topic is None:
            self._content_topic = content_topic(self.data) if self._decoded is None else self._decoded.content_topic
        return self._content_topic

    def decode(self) -> WakuMessage:
        """Return the decoded message. The caller has bounded the size. Raises WireError."""
        if self._decoded is None:
            self._decoded = wire.decode(WakuMessage, self.data, limit=len(self.data))
        return self._decoded


def message_hash(pubsub_topic: str, message: WakuMessage) -> bytes:
    """
    Return the deterministic hash of a message, 32 bytes, by which stores identify it (RFC 14).

    SHA-256 of ``pubsub topic || payload || content topic || meta || timestamp``, the last as 8 bytes, big-endian. An
    absent timestamp counts as 0, an absent meta as empty. The version is not in it and the fields have no
    lengths, so two messages can have the same hash; see :func:`fingerprint`.
    """
    timestamp = (message.timestamp or 0).to_bytes(8, "big", signed=True)
    return hashlib.sha256(
        pubsub_topic.encode() + message.payload + message.content_topic.encode() + (message.meta or b"") + timestamp
    ).digest()


def content_topic(data: bytes) -> str | None:
    """
    Return the content topic of a serialised WakuMessage, or None if there is none.

    Known implementations write payload and content topic first and in this order: then two lengths are read and
    nothing is parsed. A message in another form is parsed. A crafted message may have a second content topic behind
    the first, so a caller that acts on the decoded message compares the two.
    """
    start, end = _field(data, 0, _PAYLOAD)
    if start:
        start, end = _field(data, end, _TOPIC)
        if start:
            try:
                return str(data[start:end], "utf-8")
            except UnicodeDecodeError:
                return None
    try:
        return wire.decode(WakuMessage, data, limit=len(data)).content_topic
    except WireError:
        return None


def fingerprint(pubsub_topic: str, message: WakuMessage) -> bytes:
    """
    Return the bytes that identify a message, :data:`FINGERPRINT` of them.

    The hash of RFC 14 leaves out the version, so an attacker could send a spoiled copy first and the honest message
    would be taken for a repetition. Here every field that is read later counts, with its length. An empty field is the
    same as an absent one, as for nodes that pass messages on as JSON.
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
