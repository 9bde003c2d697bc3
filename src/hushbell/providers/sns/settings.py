"""Settings of Amazon SNS."""

from dataclasses import dataclass, field

from hushbell.config.gateway import HttpSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SnsSettings:
    """Amazon SNS, to platform endpoints and topics by their ARN."""

    credentials_file: str  # AWS' shared credentials file
    profile: str = "default"  # section of that file
    region: str = ""  # such as eu-west-1; "" is the one in each ARN
    timeout: float = 20.0
    sizes: tuple[int, ...] = ()  # bytes that payloads for Apple and ``data`` for Google are padded to
    http: HttpSettings = field(default_factory=HttpSettings)
