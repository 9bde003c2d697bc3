"""Providers that installed packages offer (examples/provider)."""

import logging
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from hushbell.config.apps import OtherApp
from hushbell.errors import ConfigError
from hushbell.ports.provider import Attempt, Message, Provider, ProviderContext
from hushbell.providers import files
from hushbell.providers.batches import RAISED
from hushbell.providers.registry import PROVIDERS
from hushbell.types import Millis

GROUP = "hushbell.providers"
"""The entry points: name → callable(settings: Mapping[str, Any], context: ProviderContext) -> Provider."""

log = logging.getLogger(__name__)


def third_parties() -> Mapping[str, EntryPoint]:
    """Return the providers that installed packages offer, by name. A name of ours stays ours."""
    return {entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in PROVIDERS}


def open_other(settings: OtherApp, context: ProviderContext) -> Provider:
    """
    Return a provider of an installed package, made with what its own settings file holds.

    Raises:
        ConfigError: there is no such provider, or its settings are bad.
    """
    if settings.provider in PROVIDERS:
        raise ConfigError(f"other.provider: {settings.provider} is one of our own: use [apps.{settings.provider}]")
    return open_third_party(settings.provider, files.read_table(settings.file, "other.file"), context)


def open_third_party(name: str, settings: Mapping[str, Any], context: ProviderContext) -> Provider:
    """Return the provider of an entry point. Raises ConfigError as :func:`open_other`."""
    entry = third_parties().get(name)
    if entry is None:
        raise ConfigError(f"{name}: there is no such provider; known are {', '.join(sorted(PROVIDERS))}")
    try:
        make = entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{name}: the package that offers this provider does not load: {error}") from error
    made: Any = make(settings, context)
    return made if hasattr(made, "send") else AttemptAdapter(made)


class AttemptAdapter:
    """A provider written for 0.1.0: ``attempt(notification, places, done)`` and ``expires_at``. Until 0.3."""

    def __init__(self, provider: Any) -> None:
        self.name: str = provider.name
        self.check: Callable[[Message], None] = provider.check
        self.reload: Callable[[], None] = provider.reload
        self._provider = provider

    @property
    def credential_expires_at(self) -> Millis | None:
        """Return when the credential ends, or None if that is unknown."""
        ends: Millis | None = self._provider.expires_at
        return ends

    def send(self, attempts: Sequence[Attempt]) -> None:
        """Send pushes, one notification after another; one that raises affects no other."""
        for attempt in attempts:
            try:
                self._provider.attempt(*attempt)
            except Exception as error:  # noqa: BLE001  no failure may keep the others from leaving
                # The text of a foreign error may name a device.
                log.error("provider %s raised %s; its pushes are attempted again", self.name, type(error).__name__)  # noqa: TRY400
                attempt.report(RAISED)

    async def close(self) -> None:
        """Close all connections."""
        await self._provider.close()
