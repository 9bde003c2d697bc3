"""
The small protobuf messages of libp2p: reads and writes fields.

They are read before a peer is authenticated, so the reader is simple and bounded: the number of fields is limited, the
caller limits the bytes, groups are refused.
"""

from collections.abc import Iterator

from hushbell.errors import TooLarge, Undecodable
from hushbell.waku.libp2p import varint

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_FIXED = {_FIXED_64: 8, _FIXED_32: 4}


def read(data: bytes, max_fields: int) -> Iterator[tuple[int, int | bytes]]:
    """
    Yield (field number, value) in the order of the bytes; fixed-width values come as their bytes.

    Args:
        data: one message, already within its caller's bound.
        max_fields: fields that it may have.

    Raises:
        TooLarge: more fields than that.
        Undecodable: not a protobuf message.
    """
    place, count = 0, 0
    while place < len(data):
        count += 1
        if count > max_fields:
            raise TooLarge("a libp2p message has too many fields")
        key, place = _number(data, place)
        kind, number = key & 7, key >> 3
        if not number:
            raise Undecodable("a protobuf field has the number 0")
        if kind == _VARINT:
            value, place = _number(data, place)
            yield number, value
            continue
        if kind == _BYTES:
            size, place = _number(data, place)
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            raise Undecodable("a protobuf field has an unsupported wire type")
        if size > len(data) - place:
            raise Undecodable("a protobuf field is longer than its message")
        yield number, data[place : place + size]
        place += size


def put(number: int, value: int | bytes) -> bytes:
    """Return one field."""
    if isinstance(value, int):
        return varint.encode(number << 3 | _VARINT) + _varint_64(value)
    return varint.encode(number << 3 | _BYTES) + varint.encode(len(value)) + value


def _number(data: bytes, place: int) -> tuple[int, int]:
    """Protobuf's varints: up to ten bytes, and not always the shortest."""
    value = shift = 0
    for position in range(place, min(len(data), place + 10)):
        byte = data[position]
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, position + 1
        shift += 7
    raise Undecodable("a protobuf number has no end")


def _varint_64(value: int) -> bytes:
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    result.append(value)
    return bytes(result)
