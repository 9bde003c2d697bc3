"""The port for providers: how an app's pushes leave, and what a provider is made with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from hushbell.config.gateway import HttpSettings
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import ACCEPTED, Outcome, Scope, Verdict
from hushbell.ports.clock import Clock
from hushbell.ports.http import HttpClient
from hushbell.types import Millis, Random

# With the values that the port speaks of, so that a provider of another package imports this module alone.
__all__ = [
    "ACCEPTED",
    "Attempt",
    "Done",
    "Message",
    "Notification",
    "OpenHttp",
    "Outcome",
    "Provider",
    "ProviderContext",
    "Scope",
    "Verdict",
]

Done = Callable[[int, Outcome], None]
"""Called once for each push, with its index in ``notification.targets`` and the outcome of the attempt."""


class Attempt(NamedTuple):
    """One attempt at some pushes of a notification."""

    notification: Notification
    indexes: Sequence[int]  # of the targets to send to
    done: Done

    @property
    def targets(self) -> list[str]:
        """Return the targets to send to, each once."""
        targets = self.notification.targets
        return list(dict.fromkeys([targets[index] for index in self.indexes]))

    def report(self, outcome: Outcome, by_target: Mapping[str, Outcome] | None = None) -> None:
        """Report the outcome of every push: that of its target, if there is one, or else the common one."""
        targets, done = self.notification.targets, self.done
        for index in self.indexes:
            done(index, by_target.get(targets[index], outcome) if by_target else outcome)


class Provider(Protocol):
    """Every adapter passes every test in tests/contracts/test_provider.py."""

    @property
    def name(self) -> str:
        """Return the name that ``Message.provider`` has for it."""

    @property
    def credential_expires_at(self) -> Millis | None:
        """Return when the credential ends, or None if that is unknown."""

    def check(self, message: Message) -> None:
        """
        Refuse what this provider could never deliver, before anything is accepted: sizes, syntax of headers.

        Raises:
            CallerError: names the field and what is allowed.
        """

    def send(self, attempts: Sequence[Attempt]) -> None:
        """
        Send pushes; ``done`` of each attempt is called once for each of its indexes, now or later.

        Never raises and never blocks. Every push is reported within the provider's own deadline.
        """

    def reload(self) -> None:
        """Read the credentials from their files again. Bad ones are logged, and the current ones stay in use."""

    async def close(self) -> None:
        """Close all connections. Pushes under way end with UNKNOWN."""


class OpenHttp(Protocol):
    """Opens HTTP clients, each with the settings of one provider."""

    def __call__(self, settings: HttpSettings, *, hosts: tuple[str, ...] = ()) -> HttpClient:
        """
        Return a client; no connection is made yet.

        Args:
            settings: of the provider.
            hosts: the few servers that receive all requests and speak HTTP/2, if they are known.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderContext:
    """Time, randomness and the network: what providers are made with, ours and those of other packages."""

    clock: Clock
    random: Random
    open_http: OpenHttp
    allow: tuple[str, ...] = ()  # networks that addresses from users may lead to, beside the public internet
    resolve: Callable[[str], "tuple[str, ...]"] | None = None  # name → IP addresses, blocking; None asks the system
