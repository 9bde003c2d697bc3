"""Firebase Cloud Messaging, HTTP v1: ``[apps.fcm]``."""

from hushbell.providers.entry import ProviderEntry
from hushbell.providers.fcm.settings import FcmSettings

PROVIDER = ProviderEntry(FcmSettings, "hushbell.providers.fcm.provider:FcmProvider")
