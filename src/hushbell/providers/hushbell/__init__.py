"""A hushbell gateway elsewhere: ``[apps.hushbell]``."""

from hushbell.providers.entry import ProviderEntry
from hushbell.providers.hushbell.settings import HushbellSettings

PROVIDER = ProviderEntry(HushbellSettings, "hushbell.providers.hushbell.provider:HushbellProvider")
