"""Pushy: ``[apps.pushy]``."""

from hushbell.providers.entry import ProviderEntry
from hushbell.providers.pushy.settings import PushySettings

PROVIDER = ProviderEntry(PushySettings, "hushbell.providers.pushy.provider:PushyProvider")
