"""What a push says, and how its size is hidden."""

from collections.abc import Sequence

from hushbell.config.gateway import Texts
from hushbell.core.push import Push
from hushbell.types import NotificationType


def text(push: Push, texts: Texts) -> str:
    """Return the words for a push, chosen as status-go does (reference/status-go.md 6.5)."""
    if push.type == NotificationType.MESSAGE:
        return texts.message
    if push.type == NotificationType.REQUEST_TO_JOIN_COMMUNITY:
        return texts.join
    return texts.mention


def size_above(length: int, sizes: Sequence[int]) -> int:
    """Return the smallest of the sizes that is at least ``length``, or ``length`` if none is."""
    found = 0
    for size in sizes:  # a generator costs a push more than all the rest of its text
        if size >= length and (size < found or not found):
            found = size
    return found or length
