"""Request ids: unique and random, so they reveal nothing."""

from hushbell.types import Random


def request_id(random: Random) -> str:
    """Return 32 hexadecimal digits."""
    return random(16).hex()
