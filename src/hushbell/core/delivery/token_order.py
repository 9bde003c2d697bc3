"""The order of pushes to one token: the next one leaves when the one before has its final state."""

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class TokenOrder(Generic[Item]):
    """
    Which tokens are taken, and what waits for each of them.

    A push holds its token from its first attempt to its final state, retries included, so that no retry arrives after
    a push that was accepted later. Holds as many entries as pushes are in memory.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[str, deque[tuple[Item, int]] | None] = {}  # token → what waits for it; None: nothing

    def __len__(self) -> int:
        """Return how many tokens are taken."""
        return len(self._waiting)

    def acquire(self, item: Item, targets: Sequence[str], indexes: Sequence[int]) -> Sequence[int]:
        """Take the tokens at these indexes and return those that were free; ``item`` waits for each of the others."""
        waiting = self._waiting
        free: list[int] = []
        for index in indexes:
            token = targets[index]
            if token not in waiting:
                waiting[token] = None
                free.append(index)
                continue
            behind = waiting[token]
            if behind is None:
                behind = waiting[token] = deque()
            behind.append((item, index))
        return free

    def release(self, token: str) -> tuple[Item, int] | None:
        """Return what waited longest for a token and holds it from now on, or None: the token is free."""
        behind = self._waiting.pop(token, None)
        if not behind:
            return None
        self._waiting[token] = behind
        return behind.popleft()
