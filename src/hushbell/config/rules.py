"""What must hold between settings, or of one text more than that it is a text."""

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from hushbell.config.lines import Path
from hushbell.config.settings import Settings

SOCKET_PATH = 103  # bytes of a Unix socket's path, the smallest limit among the systems we run on
_SHARD = re.compile(r"/waku/2/rs/\d{1,5}/\d{1,5}")
_HOST_PORT = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):(\d{1,5})")
_APPLE_ID = re.compile(r"[A-Z0-9]{10}")


def broken_rules(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Yield each key that breaks a rule, and the rule."""
    for topic in settings.server.pubsub_topics:
        if not _SHARD.fullmatch(topic):
            yield ("server", "pubsub_topics"), "each must look like /waku/2/rs/CLUSTER/SHARD"
    if len(settings.transport.bus.encode()) > SOCKET_PATH:
        yield ("transport", "bus"), f"must be a path of at most {SOCKET_PATH} bytes"
    yield from _gateway_rules(settings)


def _gateway_rules(settings: Settings) -> Iterator[tuple[Path, str]]:
    gorush, apns = settings.gateway.gorush, settings.gateway.apns
    if gorush is not None:
        if not is_private(gorush.url):
            # Device tokens go there: nobody on the way may read along.
            yield ("gateway", "gorush", "url"), "must begin with https://, or with http:// and a loopback address"
        yield from _connect_rule(("gateway", "gorush", "connect"), gorush.http.connect)
    if apns is not None:
        for name in ("key_id", "team_id"):
            if not _APPLE_ID.fullmatch(getattr(apns, name) or ""):
                yield ("gateway", "apns", name), "must be the ten letters and digits that Apple gave out"
        yield from _connect_rule(("gateway", "apns", "connect"), apns.http.connect)
    if gorush is not None and apns is not None:
        yield ("gateway", "apns"), "everything goes to gateway.gorush; remove one of the two"


def _connect_rule(path: Path, connect: str) -> Iterator[tuple[Path, str]]:
    match = _HOST_PORT.fullmatch(connect)
    if connect and (match is None or not 0 < int(match[1]) < 65_536):
        yield path, "must look like HOST:PORT"


def is_private(url: str | None) -> bool:
    """Whether nobody between here and there can read along: TLS, or this very machine."""
    try:
        parts = urlsplit(url or "")
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme != "http":
        return parts.scheme == "https" and bool(host)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
