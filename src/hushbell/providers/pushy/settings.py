"""Settings of Pushy."""

from dataclasses import dataclass, field

from hushbell.config.gateway import HttpSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PushySettings:
    """Pushy."""

    key_file: str  # holds the secret API key
    timeout: float = 20.0  # seconds for one request of up to 1,000 tokens
    sizes: tuple[int, ...] = ()  # bytes that ``data`` is padded to; () means no padding
    http: HttpSettings = field(default_factory=HttpSettings)
