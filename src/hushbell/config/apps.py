"""The apps that the gateway pushes for, and the keys that let callers in."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hushbell.types import SECONDS_PER_DAY

SCOPES = ("send", "read", "tokens", "webhooks", "operate")
"""What a key may do: send; read states and dead tokens; see tokens in the clear; manage webhooks; read statistics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherApp:
    """Section ``[[apps.other]]``: a provider that an installed package offers (docs/providers.md)."""

    provider: str  # the name of its entry point, which messages give it too
    file: str = ""  # TOML with its settings; only the package knows them


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSettings:
    """Section ``[[apps]]``: one app, with the providers it uses."""

    name: str
    queue: int = 1_000_000  # pushes that may be open; over it requests are refused with a Retry-After
    ttl: int = SECONDS_PER_DAY  # seconds that a push lives at most
    attempts: int = 0  # at one push; 0 leaves it to the time to live
    feedback_url: str = ""  # receives each push that failed, in gorush's form
    feedback_headers: tuple[str, ...] = ()  # each "name:value"
    # [apps.NAME] of each provider that the app uses, as an instance of the provider's own settings class.
    providers: Mapping[str, object] = field(default_factory=dict)
    other: tuple[OtherApp, ...] = ()  # providers of installed packages


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """Section ``[[keys]]``: one API key. Of the key itself only the hash is here; it has 256 random bits."""

    name: str  # in the log
    sha256: str  # of the key, 64 hex digits; `hushbell keys api` makes one
    apps: tuple[str, ...] = ()  # names of apps; () means all
    scopes: tuple[str, ...] = ("send", "read")  # of SCOPES
    per_minute: int = 0  # pushes; 0 means no limit
    burst: int = 10_000  # pushes at once, within the limit
