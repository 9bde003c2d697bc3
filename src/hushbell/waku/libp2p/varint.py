"""
Unsigned varints, as libp2p frames use them: seven bits a byte, the lowest first.

Source: github.com/multiformats/unsigned-varint. The spec allows nine bytes; lengths here never need more than five.
"""

from hushbell.errors import Undecodable

MAX_LENGTH = 9
_ONE_BYTE = tuple(bytes((value,)) for value in range(128))


def encode(value: int) -> bytes:
    """
    Return the shortest form.

    Raises:
        ValueError: negative, or of more than 63 bits.
    """
    if 0 <= value < 128:
        return _ONE_BYTE[value]
    if value < 0 or value >> 63:
        raise ValueError("an unsigned varint has 1 to 63 bits")
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    result.append(value)
    return bytes(result)


def decode(
    data: bytes | bytearray | memoryview, start: int = 0, max_length: int = MAX_LENGTH
) -> tuple[int, int] | None:
    """
    Return the number at ``start`` and the place after it, or None while its last byte is missing.

    Args:
        data: what came so far.
        start: where the varint begins.
        max_length: bytes it may have; a lower bound refuses a huge claim early.

    Raises:
        Undecodable: longer than that, or not the shortest form.
    """
    value = shift = 0
    for place in range(start, min(len(data), start + max_length)):
        byte = data[place]
        value |= (byte & 127) << shift
        if byte < 128:
            if byte == 0 and place > start:
                raise Undecodable("a varint is not in its shortest form")
            return value, place + 1
        shift += 7
    if len(data) >= start + max_length:
        raise Undecodable("a varint is too long")
    return None


def framed(data: bytes) -> bytes:
    """Return the bytes behind their length."""
    return encode(len(data)) + data
