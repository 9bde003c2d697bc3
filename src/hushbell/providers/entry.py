"""The entry of a provider in the registry."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """The settings of a provider, and the class that is made with them."""

    settings: type  # a dataclass; its fields are the keys of the provider's section
    provider: str  # "module:class", imported when an app uses it; called with the settings and a ProviderContext
