"""Amazon SNS: ``[apps.sns]``."""

from hushbell.providers.entry import ProviderEntry
from hushbell.providers.sns.settings import SnsSettings

PROVIDER = ProviderEntry(SnsSettings, "hushbell.providers.sns.provider:SnsProvider")
