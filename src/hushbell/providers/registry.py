"""Every provider, by the name that messages and settings give it. A new one is a folder and its line here."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from hushbell.errors import ConfigError
from hushbell.ports.provider import Provider, ProviderContext
from hushbell.providers import apns, fcm, gorush, huawei, hushbell, pushy, sns, unifiedpush, webpush
from hushbell.providers.entry import ProviderEntry

PROVIDERS: Mapping[str, ProviderEntry] = {
    "apns": apns.PROVIDER,
    "fcm": fcm.PROVIDER,
    "huawei": huawei.PROVIDER,
    "webpush": webpush.PROVIDER,
    "unifiedpush": unifiedpush.PROVIDER,
    "pushy": pushy.PROVIDER,
    "sns": sns.PROVIDER,
    "gorush": gorush.PROVIDER,
    "hushbell": hushbell.PROVIDER,
}

SETTINGS: Mapping[str, type] = {name: entry.settings for name, entry in PROVIDERS.items()}
"""The settings class of each provider, for the reader of a configuration."""


def open_provider(name: str, settings: Any, context: ProviderContext) -> Provider:
    """
    Return a provider; no connection is made before the first push.

    Args:
        name: as in ``PROVIDERS``.
        settings: an instance of its settings class.
        context: time, randomness and the network.

    Raises:
        ConfigError: a credential cannot be read or used, or there is no such provider.
    """
    if name not in PROVIDERS:
        raise ConfigError(f"{name}: there is no such provider; known are {', '.join(sorted(PROVIDERS))}")
    module, _, class_name = PROVIDERS[name].provider.partition(":")
    provider: Provider = getattr(import_module(module), class_name)(settings, context)
    return provider
