"""A queue of many numbers in little memory: 8 bytes each."""

from array import array
from collections.abc import Iterable, Sequence

_TIDY = 4096  # numbers taken before their memory is given back


class NumberQueue:
    """First in, first out."""

    __slots__ = ("_start", "_values", "left")

    def __init__(self, values: Iterable[int] = ()) -> None:
        self._values = array("q", values)
        self._start = 0
        self.left = len(self._values)  # kept, because it is asked for with each push

    def __len__(self) -> int:
        return self.left

    def append(self, number: int) -> None:
        """Add one at the end."""
        self._values.append(number)
        self.left += 1

    def take(self, count: int) -> Sequence[int]:
        """Return the first ones, at most so many, and drop them."""
        taken = self._values[self._start : self._start + count]
        self._start += len(taken)
        self.left -= len(taken)
        if self._start >= _TIDY and self._start * 2 >= len(self._values):
            del self._values[: self._start]
            self._start = 0
        return taken

    def give_back(self, numbers: Sequence[int]) -> None:
        """Put numbers at the front again, the first of them first."""
        self._values = array("q", numbers) + self._values[self._start :]
        self._start = 0
        self.left = len(self._values)
