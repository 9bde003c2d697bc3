"""A gorush elsewhere: ``[apps.gorush]``."""

from hushbell.providers.entry import ProviderEntry
from hushbell.providers.gorush.settings import GorushSettings

PROVIDER = ProviderEntry(GorushSettings, "hushbell.providers.gorush.provider:GorushProvider")
