"""
Messages cut into segments (reference/status-go.md 5.5).

Push messages are far below the size at which status-go cuts (786432 bytes), so segments are recognised, and put
together from data segments; lost ones are not rebuilt from parity.
"""

from collections.abc import Callable, Iterable

from google.protobuf.message import DecodeError

from hushbell.errors import TooLarge, Unauthentic, Undecodable
from hushbell.wire.codec import MESSAGE_LIMIT, decode
from hushbell.wire.messages import Segment
from hushbell.wire.pb import layers_pb2 as pb

HASH_LENGTH = 32
SEGMENT_LIMIT = 256
"""Segments of one message with parity: the limit of the library that status-go uses."""

WHOLE_LIMIT = 8 * 1024 * 1024
"""Bytes of a reassembled message."""


def as_segment(data: bytes, *, limit: int = MESSAGE_LIMIT) -> Segment | None:
    """
    Return ``data`` as a segment, or None if it is anything else, also if it is no protobuf at all.

    Every application message is also a well-formed segment without a payload (its signature where the hash is, its
    type where the count is), so a segment must have a hash of exactly 32 bytes, a payload, and indices within
    their counts. Counts have no upper bound here: too large a segment is still a segment.
    """
    if len(data) > limit:
        return None
    parsed = pb.Segment()
    try:
        parsed.ParseFromString(data)
    except DecodeError:
        return None
    # Called for every message, of which hardly any is a segment.
    if len(parsed.entire_message_hash) != HASH_LENGTH or not parsed.payload:
        return None
    segment = decode(Segment, data, limit=limit)
    if is_parity(segment):
        return segment if segment.parity_segment_index < segment.parity_segments_count else None
    return segment if segment.segments_count >= 2 and segment.index < segment.segments_count else None


def is_parity(segment: Segment) -> bool:
    """Say whether a segment is parity: those have an own count and leave the data's count at zero."""
    return segment.segments_count == 0 and segment.parity_segments_count > 0


def reassemble(
    segments: Iterable[Segment], keccak: Callable[[bytes], bytes], *, limit: int = WHOLE_LIMIT
) -> bytes | None:
    """
    Return the message of which these are segments, or None while data segments are missing.

    Args:
        segments: as :func:`as_segment` gives them, of one message, in any order; repeated ones do no harm and parity
            is passed over.
        keccak: Keccak-256, which names the whole message.
        limit: bytes of the whole message.

    Raises:
        Undecodable: they are not of one message.
        TooLarge: more than :data:`SEGMENT_LIMIT` segments, or over ``limit``.
        Unauthentic: complete, but not the message that the hash names.
    """
    parts: dict[int, bytes] = {}
    name: tuple[bytes, int] | None = None
    size = 0
    for segment in segments:
        if is_parity(segment):
            continue
        name = name or (segment.entire_message_hash, segment.segments_count)
        if name != (segment.entire_message_hash, segment.segments_count) or segment.index >= segment.segments_count:
            raise Undecodable("segments of different messages")
        size += len(segment.payload) if segment.index not in parts else 0
        if segment.segments_count > SEGMENT_LIMIT or size > limit:
            raise TooLarge(f"a message of {segment.segments_count} segments, {size} bytes so far")
        parts.setdefault(segment.index, segment.payload)
    if name is None or len(parts) < name[1]:
        return None
    whole = b"".join(parts[index] for index in range(name[1]))
    if keccak(whole) != name[0]:
        raise Unauthentic("segments do not make the message they name")
    return whole
