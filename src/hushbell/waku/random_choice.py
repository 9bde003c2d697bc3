"""Choices among peers, from randomness that is handed in."""

from collections.abc import Sequence
from typing import TypeVar

from hushbell.types import Random

T = TypeVar("T")


def fraction(random: Random) -> float:
    """Return a number from 0 to just below 1."""
    return int.from_bytes(random(4)) / 2**32


def shuffled(items: Sequence[T], random: Random) -> list[T]:
    """Return the items in an order that nobody foresees."""
    order = sorted((random(8), number) for number in range(len(items)))
    return [items[number] for _, number in order]
