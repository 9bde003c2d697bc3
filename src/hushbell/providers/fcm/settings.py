"""Settings of Firebase Cloud Messaging."""

from dataclasses import dataclass, field

from hushbell.config.gateway import HttpSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FcmSettings:
    """Firebase Cloud Messaging, HTTP v1."""

    credentials_file: str  # JSON of a service account, as Google gives it out
    project: str = ""  # "" is the one of the service account
    timeout: float = 20.0  # seconds for one push
    sizes: tuple[int, ...] = ()  # bytes that ``data`` is padded to; () means no padding
    http: HttpSettings = field(default_factory=lambda: HttpSettings(connections=2))
