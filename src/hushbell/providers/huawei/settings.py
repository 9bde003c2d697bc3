"""Settings of Huawei's Push Kit."""

from dataclasses import dataclass, field

from hushbell.config.gateway import HttpSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class HuaweiSettings:
    """Huawei's Push Kit."""

    app_id: str
    secret_file: str  # holds the app secret
    timeout: float = 20.0  # seconds for one request of up to 1,000 tokens
    sizes: tuple[int, ...] = ()  # bytes that ``data`` is padded to, if it is a JSON object; () means no padding
    http: HttpSettings = field(default_factory=HttpSettings)
