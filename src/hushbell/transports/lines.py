"""
Envelopes as JSON lines, the form of peers/statusgo: one object a line, at most 4 MiB with its newline.

``{"pubsub_topic": "/waku/2/rs/16/32", "waku_message": "<hex of a complete WakuMessage>"}``
"""

from binascii import unhexlify

import orjson

from hushbell.types import Envelope, PubsubTopic

LINE = 4 * 1024 * 1024  # bytes; an envelope of 1 MiB takes half of it


def encode(envelope: Envelope) -> bytes:
    """Return the envelope as one line, newline included."""
    fields = {"pubsub_topic": envelope.pubsub_topic, "waku_message": envelope.waku_message.hex()}
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


def decode(line: bytes) -> Envelope | None:
    """Return the envelope in a line, or None if it holds none. Further fields are ignored."""
    try:
        fields = orjson.loads(line)
        topic, message = fields["pubsub_topic"], fields["waku_message"]
        if not isinstance(topic, str) or not isinstance(message, str):
            return None
        return Envelope(PubsubTopic(topic), unhexlify(message))
    except (ValueError, LookupError, TypeError):
        return None


class Splitter:
    """Cuts a stream into lines, holding back at most one unfinished line."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes] | None:
        """Return the lines that ``data`` finished, without their newlines, or None if one is too long."""
        end = data.rfind(b"\n")
        if end < 0:
            self._rest += data
            return [] if len(self._rest) < LINE else None
        lines = (bytes(self._rest) + data[:end]).split(b"\n")
        self._rest = bytearray(data[end + 1 :])
        return None if any(len(line) >= LINE for line in lines) else lines
