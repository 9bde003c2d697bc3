"""In which order pushes leave: requests as they came, the pushes of one request by position and together."""

from collections.abc import Iterable, Sequence

from hushbell.core.push import Pending
from hushbell.core.server.facts import Enqueue
from hushbell.types import MessageId


def in_order(writes: Sequence[object]) -> Sequence[object]:
    """Return the writes with pushes of one request side by side, by position; nothing else changes places."""
    places = [place for place, write in enumerate(writes) if isinstance(write, Enqueue)]
    if len(places) < 2:
        return writes
    first: dict[MessageId, int] = {}
    pushes: list[Enqueue] = []
    for write in writes:
        if isinstance(write, Enqueue):
            first.setdefault(write.push.request, len(first))
            pushes.append(write)
    pushes.sort(key=lambda write: (first[write.push.request], write.push.position))
    ordered = list(writes)
    for place, write in zip(places, pushes, strict=True):
        ordered[place] = write
    return ordered


def whole_requests(waiting: Iterable[Pending], limit: int) -> list[Pending]:
    """Take pushes until there are ``limit`` and the request of the last one is complete."""
    taken: list[Pending] = []
    for pending in waiting:
        if len(taken) >= limit and (not taken or pending.push.request != taken[-1].push.request):
            break
        taken.append(pending)
    return taken
