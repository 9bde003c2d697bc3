"""The platforms of gorush's API, and targets that it refuses."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class Platform(IntEnum):
    """gorush's numbers (reference/gateway.md 1.3)."""

    IOS = 1
    ANDROID = 2
    HUAWEI = 3


PROVIDERS = {Platform.IOS: "apns", Platform.ANDROID: "fcm", Platform.HUAWEI: "huawei"}
"""The provider of each platform."""

PLATFORMS = {provider: platform for platform, provider in PROVIDERS.items()}

NAMES = {Platform.IOS: "ios", Platform.ANDROID: "android", Platform.HUAWEI: "huawei"}

Fields = dict[str, Any]
"""A notification's fields that were given, by their JSON names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A target that cannot be pushed to, found before anything was sent."""

    platform: Platform
    token: str = field(repr=False)
    notif_id: str
    words: str = field(repr=False)
    reason: str
