"""The order of pushes to one token: the next one leaves when the one before has its final state."""

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class TokenOrder(Generic[Item]):
    """
    The tokens that pushes hold, and what waits for each of them.

    A push holds its token from its first attempt to its final state, retries included, so that no retry arrives after
    a push that was accepted later. Holds as many entries as pushes are in memory.
    """

    __slots__ = ("held", "waiting")

    def __init__(self) -> None:
        self.held: set[str] = set()  # the tokens
        self.waiting: dict[str, deque[tuple[Item, int]]] = {}  # token → what waits for it; no entry is empty

    def acquire(self, item: Item, targets: Sequence[str], indexes: Sequence[int]) -> Sequence[int]:
        """Take the tokens at these indexes and return those that were free; ``item`` waits for each of the others."""
        held = self.held
        free: list[int] = []
        for index in indexes:
            token = targets[index]
            if token not in held:
                held.add(token)
                free.append(index)
            else:
                self.waiting.setdefault(token, deque()).append((item, index))
        return free

    def release(self, token: str) -> tuple[Item, int] | None:
        """
        Return what waited longest for a token and holds it from now on, or None: the token is free.

        While ``waiting`` is empty this is ``held.discard``.
        """
        behind = self.waiting.get(token)
        if behind is None:
            self.held.discard(token)
            return None
        first = behind.popleft()
        if not behind:
            del self.waiting[token]
        return first
