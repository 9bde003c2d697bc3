"""
The frame inside an encrypted Waku payload (RFC 26; reference/status-go.md 4.2).

``flags(1) | length of data (L bytes, little-endian) | data | padding | [signature(65)]``; bits 0 and 1 of the flags
are L, bit 2 says that there is a signature. It covers everything before it.
"""

from dataclasses import dataclass, field

from hushbell.errors import Undecodable
from hushbell.types import Signature

BLOCK = 256  # frames are whole blocks, so that their size says little about the message's
SIGNATURE_LENGTH = 65
SIGNED_FLAG = 0b100
LENGTH_MASK = 0b011
DATA_LIMIT = 1 << 24  # bytes; the flags have two bits for the length of the length


@dataclass(frozen=True, slots=True)
class Frame:
    """A parsed frame. ``signed_part`` is the frame without the signature, which covers it."""

    data: bytes = field(repr=False)
    padding: bytes = field(repr=False)
    signature: Signature | None
    signed_part: bytes = field(repr=False)


def padding_length(data_length: int, *, signed: bool) -> int:
    """Return how many bytes of padding complete the frame's last block: 1 to 256, never none."""
    rest = SIGNATURE_LENGTH if signed else 0
    return BLOCK - (1 + _length_of_length(data_length) + data_length + rest) % BLOCK


def encode_frame(data: bytes, padding: bytes, *, signed: bool) -> bytes:
    """
    Return a frame without its signature.

    Args:
        data: less than 16 MiB.
        padding: :func:`padding_length` random bytes.
        signed: whether the caller appends a signature, over Keccak-256 of what is returned (65 bytes).

    Raises:
        ValueError: ``data`` is too long.
    """
    size = _length_of_length(len(data))
    flags = size | (SIGNED_FLAG if signed else 0)
    return b"%c%b%b%b" % (flags, len(data).to_bytes(size, "little"), data, padding)


def decode_frame(frame: bytes) -> Frame:
    """
    Take a decrypted frame apart. Padding may be of any length and content; the signature is not checked.

    Raises:
        Undecodable: empty, too short for its signature, or for the length it announces.
    """
    if not frame:
        raise Undecodable("empty frame")
    flags = frame[0]
    signature = None
    if flags & SIGNED_FLAG:
        if len(frame) <= SIGNATURE_LENGTH + 1:
            raise Undecodable("frame too short for its signature")
        signature = Signature(frame[-SIGNATURE_LENGTH:])
        frame = frame[:-SIGNATURE_LENGTH]
    start = 1 + (flags & LENGTH_MASK)
    end = start + int.from_bytes(frame[1:start], "little")  # L = 0 means no data
    if end > len(frame):
        raise Undecodable("frame too short for its data")
    return Frame(frame[start:end], frame[end:], signature, frame)


def _length_of_length(data_length: int) -> int:
    """Return L for that many bytes of data, 1 to 3."""
    if not 0 <= data_length < DATA_LIMIT:
        raise ValueError(f"a frame holds less than {DATA_LIMIT} bytes, not {data_length}")
    return max(1, (data_length.bit_length() + 7) // 8)
