"""Apple (APNs): ``[apps.apns]``."""

from hushbell.providers.apns.settings import ApnsSettings
from hushbell.providers.entry import ProviderEntry

PROVIDER = ProviderEntry(ApnsSettings, "hushbell.providers.apns.provider:ApnsProvider")
