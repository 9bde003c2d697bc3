"""Settings of Web Push."""

from dataclasses import dataclass, field

from hushbell.config.gateway import HttpSettings
from hushbell.types import SECONDS_PER_DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPushSettings:
    """Browsers, at the addresses they gave us (RFC 8030, 8291, 8292)."""

    key_file: str  # VAPID: a P-256 private key in PEM, or its 32 bytes in base64url
    subject: str  # mailto: or https:, where the push services' operators reach ours
    ttl: int = SECONDS_PER_DAY  # seconds that a push service keeps a message, unless the message says so itself
    timeout: float = 20.0  # seconds for one push
    sizes: tuple[int, ...] = ()  # bytes of padded plaintext; () means no padding
    http: HttpSettings = field(default_factory=HttpSettings)
