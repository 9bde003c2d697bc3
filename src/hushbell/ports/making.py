"""What a provider is made with. Providers of third parties get the same as ours."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hushbell.config.gateway import HttpSettings
from hushbell.ports.clock import Clock
from hushbell.ports.http import HttpClient
from hushbell.types import Random


class OpenHttp(Protocol):
    """Opens HTTP clients, each with the settings of one provider."""

    def __call__(self, settings: HttpSettings, *, hosts: tuple[str, ...] = ()) -> HttpClient:
        """
        Return a client; no connection is made yet.

        Args:
            settings: of the provider.
            hosts: the few hosts that carry its load, if they are known; the client may be made for them.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderContext:
    """Time, randomness and the network."""

    clock: Clock
    random: Random
    open_http: OpenHttp
    allow: tuple[str, ...] = ()  # networks that addresses from users may lead to, beside the public internet
    resolve: Callable[[str], "tuple[str, ...]"] | None = None  # name → IP addresses, blocking; None asks the system
