"""Huawei's Push Kit: ``[apps.huawei]``."""

from hushbell.providers.entry import ProviderEntry
from hushbell.providers.huawei.settings import HuaweiSettings

PROVIDER = ProviderEntry(HuaweiSettings, "hushbell.providers.huawei.provider:HuaweiProvider")
