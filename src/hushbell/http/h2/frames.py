"""Frames of HTTP/2 (RFC 9113): their numbers, how they are built, and what breaking the rules is called."""

import struct
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = struct.Struct(">IBI")  # length in the upper 24 bits and type in the lower 8, flags, stream
HEAD_SIZE = HEAD.size
FRAME = 16_384  # bytes of payload that every side must take; we never ask for more
LARGEST_FRAME = (1 << 24) - 1
WINDOW = 65_535  # bytes, of each stream and of the connection until the peer changes it
LARGEST_WINDOW = (1 << 31) - 1
LARGEST_STREAM = (1 << 31) - 1

U32 = struct.Struct(">I")
SETTING = struct.Struct(">HI")
GONE = struct.Struct(">II")  # last stream, error code

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITISED = 0x20


class Type(IntEnum):
    """Types of frames (section 6)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Setting(IntEnum):
    """Settings (section 6.5.2)."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class Code(IntEnum):
    """Error codes (section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    FLOW_CONTROL_ERROR = 3
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class Violation(Exception):
    """The peer broke a rule of the connection, which therefore ends."""

    def __init__(self, code: Code, rule: str) -> None:
        super().__init__(rule)
        self.code = code


class StreamViolation(Exception):
    """The peer broke a rule of one stream, which therefore ends."""

    def __init__(self, code: Code, rule: str) -> None:
        super().__init__(rule)
        self.code = code


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame. The payload has at most 2^24 - 1 bytes."""
    return HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def settings(values: dict[Setting, int]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(Type.SETTINGS, 0, 0, b"".join(SETTING.pack(*pair) for pair in values.items()))


def unpadded(flags: int, payload: bytes) -> bytes:
    """
    Return the payload of DATA or HEADERS without its padding.

    Raises:
        Violation: there is no room for the padding.
    """
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Violation(Code.PROTOCOL_ERROR, "padding longer than the frame")
    return payload[1 : len(payload) - payload[0]]
