"""What an operator can set, section by section. Secrets are never settings: only the paths of their files are."""

from dataclasses import dataclass, field
from typing import Literal

from hushbell.config.apps import AppSettings, KeySettings
from hushbell.config.gateway import GatewaySettings
from hushbell.config.limits import Limits
from hushbell.config.node import NodeSettings
from hushbell.types import DEFAULT_PUBSUB_TOPIC


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Section ``[server]``: the push notification server."""

    data: str = "hushbell-data"  # folder with state and keys; made on first start
    identity_file: str = ""  # private key, 64 hex digits; "" is identity.key in the data folder
    workers: int = 1  # processes that open and seal envelopes; 1 does it in the server's own
    pubsub_topics: tuple[str, ...] = (DEFAULT_PUBSUB_TOPIC,)
    app: str = ""  # of [[apps]], whose providers ring the phones; "" is [gateway.gorush] or [gateway.apns]
    query_keys_per_second: int = 4  # derivations; each costs 11 to 20 ms of a processor


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Section ``[store]``: where server and gateway remember."""

    url: Literal["sqlite", "memory"] = "sqlite"  # in the data folder, or nothing survives a stop
    keep_damaged_days: int = 30  # rows that cannot be read are kept aside so long; see `hushbell store damaged`


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportSettings:
    """Section ``[transport]``: what carries the envelopes."""

    bus: str = ""  # path of a Unix socket that carries JSON lines; made with mode 0600
    batch: int = 256  # envelopes that are decided together


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """Section ``[log]``: lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    blur: int = 3600  # seconds; times are rounded down to this


@dataclass(frozen=True, slots=True, kw_only=True)
class SsrfSettings:
    """Section ``[ssrf]``: addresses that users supply lead to the public internet only."""

    allow: tuple[str, ...] = ()  # networks besides, such as "127.0.0.0/8" for tests


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, in the order of the sections in hushbell.toml."""

    server: ServerSettings = field(default_factory=ServerSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    transport: TransportSettings = field(default_factory=TransportSettings)
    node: NodeSettings = field(default_factory=NodeSettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    apps: tuple[AppSettings, ...] = ()
    keys: tuple[KeySettings, ...] = ()
    ssrf: SsrfSettings = field(default_factory=SsrfSettings)
    limits: Limits = field(default_factory=Limits)
    log: LogSettings = field(default_factory=LogSettings)
