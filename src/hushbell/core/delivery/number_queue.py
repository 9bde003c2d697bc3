"""A queue of many numbers in little memory: 8 bytes each."""

from array import array
from collections.abc import Iterable, Sequence

MAX_POPPED = 4096  # numbers whose memory is freed later; beyond it, once they are half of all


class NumberQueue:
    """First in, first out."""

    __slots__ = ("_start", "_values", "left")

    def __init__(self, values: Iterable[int] = ()) -> None:
        self._values = array("q", values)
        self._start = 0
        self.left = len(self._values)  # an attribute, since each push reads it

    def __len__(self) -> int:
        return self.left

    def append(self, number: int) -> None:
        """Add a number at the end."""
        self._values.append(number)
        self.left += 1

    def pop_first(self, count: int) -> Sequence[int]:
        """Remove the first numbers and return them, at most ``count``."""
        popped = self._values[self._start : self._start + count]
        self._start += len(popped)
        self.left -= len(popped)
        if self._start >= MAX_POPPED and self._start * 2 >= len(self._values):
            del self._values[: self._start]
            self._start = 0
        return popped

    def give_back(self, numbers: Sequence[int]) -> None:
        """Put numbers at the front again, the first of them first."""
        self._values = array("q", numbers) + self._values[self._start :]
        self._start = 0
        self.left = len(self._values)
