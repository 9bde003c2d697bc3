"""How pushes are named: the same on every attempt, without a state that could be lost."""

_MASK = 0xFFFF_FFFF_FFFF


def push_id(ident: bytes, place: int) -> str:
    """
    Return the UUID of one push, in lower case.

    Args:
        ident: of the notification, 16 bytes without structure.
        place: of the token in the notification, 0 to 2^48 - 1.

    Source: RFC 9562, version 8 (122 bits that are ours to choose).
    """
    return prefix(ident) + suffix(ident, place)


def prefix(ident: bytes) -> str:
    """Return the first 24 characters, which all pushes of a notification share."""
    text = ident.hex()
    return f"{text[:8]}-{text[8:12]}-8{text[13:16]}-{ident[8] & 0x3F | 0x80:02x}{text[18:20]}-"


def suffix(ident: bytes, place: int) -> str:
    """Return the last 12 characters, which differ for each place."""
    return f"{int.from_bytes(ident[10:16], 'big') ^ place & _MASK:012x}"
