"""Web Push, for browsers (RFC 8030, 8291, 8292): ``[apps.webpush]``."""

from hushbell.providers.entry import ProviderEntry
from hushbell.providers.webpush.settings import WebPushSettings

PROVIDER = ProviderEntry(WebPushSettings, "hushbell.providers.webpush.provider:WebPushProvider")
