"""Every provider of the gateway, by the name that messages give it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from hushbell.config.providers import (
    ApnsApp,
    FcmApp,
    GorushApp,
    HuaweiApp,
    HushbellApp,
    OtherApp,
    PushyApp,
    SnsApp,
    UnifiedPushApp,
    WebPushApp,
)
from hushbell.core.delivery.notification import Message
from hushbell.errors import ConfigError
from hushbell.ports.provider import Attempt, Provider, ProviderContext
from hushbell.providers import files
from hushbell.providers.apns.provider import ApnsProvider
from hushbell.providers.batches import RAISED
from hushbell.providers.fcm.provider import FcmProvider
from hushbell.providers.gorush.provider import GorushProvider, HushbellProvider
from hushbell.providers.huawei.provider import HuaweiProvider
from hushbell.providers.pushy.provider import PushyProvider
from hushbell.providers.sns.provider import SnsProvider
from hushbell.providers.webpush.provider import WebPushProvider
from hushbell.providers.webpush.unifiedpush import UnifiedPushProvider
from hushbell.types import Millis

log = logging.getLogger(__name__)

GROUP = "hushbell.providers"
"""The entry points of other packages: name → callable(settings: Mapping[str, Any], context: ProviderContext)."""


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """A provider of ours: the class of its settings, and how it is made of them."""

    settings: type
    make: Callable[[Any, ProviderContext], Provider]


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
            except Exception as error:  # noqa: BLE001  whatever it is, the others must leave
                # The text of a foreign error may name a device.
                log.error("provider %s raised %s; its pushes are attempted again", self.name, type(error).__name__)  # noqa: TRY400
                attempt.report(RAISED)

    async def close(self) -> None:
        """Close all connections."""
        await self._provider.close()


PROVIDERS: Mapping[str, ProviderEntry] = {
    "apns": ProviderEntry(ApnsApp, ApnsProvider),
    "fcm": ProviderEntry(FcmApp, FcmProvider),
    "webpush": ProviderEntry(WebPushApp, WebPushProvider),
    "unifiedpush": ProviderEntry(UnifiedPushApp, UnifiedPushProvider),
    "huawei": ProviderEntry(HuaweiApp, HuaweiProvider),
    "pushy": ProviderEntry(PushyApp, PushyProvider),
    "sns": ProviderEntry(SnsApp, SnsProvider),
    "gorush": ProviderEntry(GorushApp, GorushProvider),
    "hushbell": ProviderEntry(HushbellApp, HushbellProvider),
}


def third_parties() -> Mapping[str, EntryPoint]:
    """Return the providers that installed packages offer, by name. A name of ours stays ours."""
    return {entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in PROVIDERS}


def open_provider(name: str, settings: Any, context: ProviderContext) -> Provider:
    """
    Return a provider; no connection is made before the first push.

    Args:
        name: as in ``PROVIDERS``, or of an entry point.
        settings: an instance of the settings class of ours; for third parties the mapping that the file holds.
        context: time, randomness and the network.

    Raises:
        ConfigError: a credential cannot be read or used, or there is no such provider.
    """
    if name in PROVIDERS:
        return PROVIDERS[name].make(settings, context)
    entry = third_parties().get(name)
    if entry is None:
        raise ConfigError(f"{name}: there is no such provider; known are {', '.join(sorted(PROVIDERS))}")
    try:
        make = entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{name}: the package that offers this provider does not load: {error}") from error
    made: Any = make(settings, context)
    return made if hasattr(made, "send") else AttemptAdapter(made)


def open_other(settings: OtherApp, context: ProviderContext) -> Provider:
    """
    Return a provider of an installed package, with the settings in its own file.

    Raises:
        ConfigError: there is no such provider, or its settings are bad.
    """
    if settings.provider in PROVIDERS:
        raise ConfigError(f"other.provider: {settings.provider} is one of our own: use [apps.{settings.provider}]")
    return open_provider(settings.provider, files.read_table(settings.file, "other.file"), context)
