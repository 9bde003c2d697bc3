"""What the gateway's providers are told about an app: one class each, read from ``[apps.NAME]`` by whoever serves."""

from dataclasses import dataclass, field
from typing import Literal

from hushbell.config.gateway import HttpSettings
from hushbell.types import SECONDS_PER_DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class ApnsApp:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FcmApp:
    """Firebase Cloud Messaging, HTTP v1."""

    credentials_file: str  # JSON of a service account, as Google gives it out
    project: str = ""  # "" is the one of the service account
    timeout: float = 20.0  # seconds for one push
    sizes: tuple[int, ...] = ()  # bytes that ``data`` is padded to; () means no padding
    http: HttpSettings = field(default_factory=lambda: HttpSettings(connections=2))


@dataclass(frozen=True, slots=True, kw_only=True)
class HuaweiApp:
    """Huawei's Push Kit."""

    app_id: str
    secret_file: str  # holds the app secret
    timeout: float = 20.0  # seconds for one request of up to 1,000 tokens
    sizes: tuple[int, ...] = ()  # bytes that ``data`` is padded to, if it is a JSON object; () means no padding
    http: HttpSettings = field(default_factory=HttpSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPushApp:
    """Browsers, at the addresses they gave us (RFC 8030, 8291, 8292)."""

    key_file: str  # VAPID: a P-256 private key in PEM, or its 32 bytes in base64url
    subject: str  # mailto: or https:, where the push services' operators reach ours
    ttl: int = SECONDS_PER_DAY  # seconds that a push service keeps a message, unless the message says so itself
    timeout: float = 20.0  # seconds for one push
    sizes: tuple[int, ...] = ()  # bytes of padded plaintext; () means no padding
    http: HttpSettings = field(default_factory=HttpSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnifiedPushApp:
    """Distributors of UnifiedPush, at the addresses the phones gave us."""

    key_file: str = ""  # as for Web Push; "" sends without VAPID
    subject: str = ""  # as for Web Push, with a key file
    legacy: bool = True  # a token that is a plain address gets the bytes as they are
    ttl: int = SECONDS_PER_DAY
    timeout: float = 20.0
    sizes: tuple[int, ...] = ()
    http: HttpSettings = field(default_factory=HttpSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushyApp:
    """Pushy."""

    key_file: str  # holds the secret API key
    timeout: float = 20.0  # seconds for one request of up to 1,000 tokens
    sizes: tuple[int, ...] = ()  # bytes that ``data`` is padded to; () means no padding
    http: HttpSettings = field(default_factory=HttpSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnsApp:
    """Amazon SNS, to platform endpoints and topics by their ARN."""

    credentials_file: str  # AWS' shared credentials file
    profile: str = "default"  # section of that file
    region: str = ""  # such as eu-west-1; "" is the one in each ARN
    timeout: float = 20.0
    sizes: tuple[int, ...] = ()  # bytes that payloads for Apple and ``data`` for Google are padded to
    http: HttpSettings = field(default_factory=HttpSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class GorushApp:
    """A gorush elsewhere."""

    url: str
    key_file: str = ""  # holds a bearer token, for whatever stands in front of it
    batch: int = 100  # notifications in one request: gorush's core.max_notification
    timeout: float = 20.0
    http: HttpSettings = field(default_factory=HttpSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class HushbellApp:
    """A hushbell gateway elsewhere, which tells more in its answers than a gorush."""

    url: str
    key_file: str  # holds an API key that may send
    batch: int = 100
    timeout: float = 20.0
    http: HttpSettings = field(default_factory=HttpSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherApp:
    """Section ``[[apps.other]]``: a provider that an installed package offers (docs/providers.md)."""

    provider: str  # the name of its entry point, which messages give it too
    file: str = ""  # TOML with its settings; only the package knows them
