"""Settings of Apple's push service."""

from dataclasses import dataclass, field
from typing import Literal

from hushbell.config.gateway import HttpSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ApnsSettings:
    """Apple's push service, with a token key (.p8) or a certificate (.p12, .pem)."""

    key_file: str = ""  # the .p8 file that Apple gives out
    key_id: str = ""  # ten characters, with a key file
    team_id: str = ""  # ten characters, with a key file
    certificate_file: str = ""  # a certificate with its key, in place of a key file
    password_file: str = ""  # holds the password of the certificate's key; "" if it has none
    topic: str = ""  # the app's bundle id, for messages that name none
    route: Literal["production", "development"] = "production"  # for messages that name none
    probe: bool = True  # a token that one environment does not know is tried in the other before it is dropped
    timeout: float = 20.0  # seconds for one push
    sizes: tuple[int, ...] = ()  # bytes that payloads are padded to; () means no padding
    http: HttpSettings = field(default_factory=lambda: HttpSettings(connections=2))
