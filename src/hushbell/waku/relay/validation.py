"""
Whether a message may be relayed: RFC 14 and what other nodes refuse.

A message is rejected, which lowers the peer's score, only if every implementation refuses it. Messages that others
forward in good faith (a date in the future, an empty payload, a long topic) are ignored: otherwise an attacker could
make honest peers penalise each other.
"""

from enum import IntEnum

from google.protobuf.message import DecodeError

from hushbell.types import Millis
from hushbell.waku.relay.settings import RelaySettings
from hushbell.wire.pb.waku_pb2 import WakuMessage

_MAX_OVERHEAD = 512  # bytes that a message has around it in an RPC, at most: its topic and four lengths


class ValidationResult(IntEnum):
    """The outcome of the validation."""

    ACCEPT = 0
    EMPTY = 1  # ignored: no payload or no content topic; go-waku would penalise us for it
    LARGE = 2  # ignored: over the bound
    LONG_TOPIC = 3  # ignored
    FUTURE = 4  # ignored
    REFUSED = 5  # ignored: the node's own validator refused it
    INVALID = 6  # rejected: no WakuMessage, or meta is too long


_ACCEPT = ValidationResult.ACCEPT  # looked up once: the members of an enum are found slowly


class MessageValidator:
    """The rules with their numbers filled in."""

    def __init__(self, settings: RelaySettings) -> None:
        self._parse = WakuMessage.FromString
        self._limit = settings.message - _MAX_OVERHEAD
        self._topic = settings.content_topic
        self._short = settings.content_topic // 4  # characters that cannot have more bytes than allowed
        self._meta = settings.meta
        self._future = settings.future

    def validate(self, data: bytes, now: Millis) -> ValidationResult:
        """Validate a serialised WakuMessage."""
        if len(data) > self._limit:
            return ValidationResult.LARGE
        try:
            message = self._parse(data)
        except DecodeError:
            return ValidationResult.INVALID
        if len(message.meta) > self._meta:
            return ValidationResult.INVALID
        topic = message.content_topic
        if not topic or not message.payload:
            return ValidationResult.EMPTY
        if len(topic) > self._short and len(topic.encode()) > self._topic:
            return ValidationResult.LONG_TOPIC
        return ValidationResult.FUTURE if message.timestamp > (now + self._future) * 1_000_000 else _ACCEPT
