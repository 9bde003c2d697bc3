"""Random choices among peers. Randomness is an argument."""

from collections.abc import Sequence
from typing import TypeVar

from hushbell.types import Random

T = TypeVar("T")


def fraction(random: Random) -> float:
    """Return a number from 0 to just below 1."""
    return int.from_bytes(random(4)) / 2**32


def shuffled(items: Sequence[T], random: Random) -> list[T]:
    """Return the items in an unpredictable order."""
    order = sorted((random(8), number) for number in range(len(items)))
    return [items[number] for _, number in order]
