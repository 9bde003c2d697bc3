"""What a gorush notification asks for, before it has a name and a place in the queue."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from hushbell.core.delivery.notification import Message


class Platform(IntEnum):
    """gorush's numbers (reference/gateway.md 1.3)."""

    IOS = 1
    ANDROID = 2
    HUAWEI = 3


NAMES = {Platform.IOS: "ios", Platform.ANDROID: "android", Platform.HUAWEI: "huawei"}

Fields = dict[str, Any]
"""A notification's fields that were given, by their JSON names."""


class Draft(NamedTuple):
    """One message for one kind of target. A named tuple, because one is made for each push."""

    platform: Platform
    kind: str  # "token", "topic" or "condition": what ``tokens`` holds
    tokens: tuple[str, ...]
    message: Message
    notif_id: str  # the caller's, "" for none
    words: str  # what gorush's log entries repeat
    retries: int | None  # the caller's cap on attempts after the first
    expires: int | None  # Unix time in seconds, if the caller said so
    lifetime: float | None  # seconds from now, if the caller said so

    def __repr__(self) -> str:
        """Return what is no secret."""
        return f"Draft(platform={self.platform!r}, kind={self.kind!r}, message={self.message!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A target that cannot be pushed to, found before anything was sent."""

    platform: Platform
    token: str = field(repr=False)
    notif_id: str
    words: str = field(repr=False)
    reason: str
