"""How the gateway's pushes leave for one provider, with the credentials of one app."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import Outcome
from hushbell.types import Millis

__all__ = ["Attempt", "Done", "ManyAtOnce", "Message", "Notification", "Outcome", "Provider"]

Done = Callable[[int, Outcome], None]
"""Told once for each push: its place in ``notification.tokens``, and what came of the attempt."""


Attempt = tuple[Notification, Sequence[int], Done]
"""A notification, the places in it to try, and who is told of each."""


class Provider(Protocol):
    """Every adapter passes every test in tests/providers/test_provider_contract.py."""

    @property
    def name(self) -> str:
        """Return what ``Message.provider`` says for it."""
        ...

    @property
    def expires_at(self) -> Millis | None:
        """Return when the credential ends, or None if it does not tell."""
        ...

    def check(self, message: Message) -> None:
        """
        Refuse what this provider could never deliver, before anything is accepted: sizes, syntax of headers.

        Raises:
            CallerError: names the field and what is allowed.
        """
        ...

    def attempt(self, notification: Notification, places: Sequence[int], done: Done) -> None:
        """
        Try to deliver to the tokens at these places; ``done`` is called once for each, now or later.

        Never raises and never blocks; every attempt ends within the provider's own deadline.
        """
        ...

    def reload(self) -> None:
        """Read the credentials from their files again. Bad ones are told in the log, and the old ones stay."""
        ...

    async def close(self) -> None:
        """Let go of connections. Attempts under way end with UNKNOWN."""
        ...


@runtime_checkable
class ManyAtOnce(Protocol):
    """What a provider may do besides, if many pushes together cost it less than each alone."""

    def attempt_all(self, attempts: Sequence[Attempt]) -> None:
        """Do what ``attempt`` does, for all of them."""
        ...
