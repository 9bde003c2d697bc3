"""Requests that carry many targets: which they are, and what one answer means for each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hushbell.core.delivery.notification import Notification
from hushbell.ports.gateway import Outcome
from hushbell.ports.provider import Done

TOKENS = 1000  # of one request


@dataclass(frozen=True, slots=True)
class TargetBatch:
    """Some targets of a notification that travel together."""

    note: Notification
    places: Sequence[int]
    done: Done

    @property
    def targets(self) -> list[str]:
        """The targets, each once."""
        tokens = self.note.tokens
        return list(dict.fromkeys(tokens[place] for place in self.places))

    def tell(self, outcome: Outcome, others: "dict[str, Outcome] | None" = None) -> None:
        """Tell every place the outcome, or the one of its own target among the others."""
        if not others:
            for place in self.places:
                self.done(place, outcome)
            return
        tokens = self.note.tokens
        for place in self.places:
            self.done(place, others.get(tokens[place], outcome))


def chunks(note: Notification, places: Sequence[int], done: Done, size: int = TOKENS) -> Iterator[TargetBatch]:
    """Yield the places in requests: tokens together, topics and conditions alone."""
    most = size if note.kind == "token" else 1
    for start in range(0, len(places), most):
        yield TargetBatch(note, places[start : start + most], done)
