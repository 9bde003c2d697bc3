"""UnifiedPush: ``[apps.unifiedpush]``."""

from hushbell.providers.entry import ProviderEntry
from hushbell.providers.unifiedpush.settings import UnifiedPushSettings

PROVIDER = ProviderEntry(UnifiedPushSettings, "hushbell.providers.unifiedpush.provider:UnifiedPushProvider")
