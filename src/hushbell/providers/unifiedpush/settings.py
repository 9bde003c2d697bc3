"""Settings of UnifiedPush."""

from dataclasses import dataclass

from hushbell.providers.webpush.settings import WebPushSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class UnifiedPushSettings(WebPushSettings):
    """Distributors of UnifiedPush, at the addresses the phones gave us."""

    key_file: str = ""  # as for Web Push; "" sends without VAPID
    subject: str = ""  # as for Web Push, with a key file
    legacy: bool = True  # a token that is a plain address gets the bytes as they are
