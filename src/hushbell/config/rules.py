"""What must hold between settings, or of one text more than that it is a text."""

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from hushbell.config.apps import SCOPES
from hushbell.config.gateway import HttpSettings
from hushbell.config.lines import Path
from hushbell.config.node import NodeSettings
from hushbell.config.settings import Settings

SOCKET_PATH = 103  # bytes of a Unix socket's path, the smallest limit among the systems we run on
NUMBERS = 65_535  # of clusters, of shards in one, and of ports
_SHARD = re.compile(r"/waku/2/rs/\d{1,5}/\d{1,5}")
_HOST_PORT = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):(\d{1,5})")
# Which protocols a multiaddr may name is the node's business; here only its shape is.
_MULTIADDR = re.compile(r"(/(ip4|ip6|dns|dns4|dns6)/[^/]+/tcp/\d{1,5})(/tls|/sni/[^/]+|/ws|/wss)*(/p2p/[1-9A-Za-z]+)?")
_DNS_LIST = re.compile(r"enrtree://[A-Z2-7]{53}@[A-Za-z0-9.-]+")
_LISTEN = re.compile(r"(?:[A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\]):(\d{1,5})")
_APP_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_APPLE_ID = re.compile(r"[A-Z0-9]{10}")


def broken_rules(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Yield each key that breaks a rule, and the rule."""
    for topic in settings.server.pubsub_topics:
        if not _SHARD.fullmatch(topic):
            yield ("server", "pubsub_topics"), "each must look like /waku/2/rs/CLUSTER/SHARD"
    if settings.server.app and settings.server.app not in [app.name for app in settings.apps]:
        yield ("server", "app"), f'there is no app "{settings.server.app}"'
    if len(settings.transport.bus.encode()) > SOCKET_PATH:
        yield ("transport", "bus"), f"must be a path of at most {SOCKET_PATH} bytes"
    yield from _node_rules(settings)
    yield from _gateway_rules(settings)
    yield from _app_rules(settings)
    yield from _key_rules(settings)
    for network in settings.ssrf.allow:
        if not _is_network(network):
            yield ("ssrf", "allow"), "each must be a network, such as 127.0.0.0/8"


def _node_rules(settings: Settings) -> Iterator[tuple[Path, str]]:
    node = settings.node
    for name, addresses in (("listen", node.listen), ("peers", node.peers)):
        if not all(_MULTIADDR.fullmatch(address) for address in addresses):
            yield ("node", name), "each must look like /ip4/127.0.0.1/tcp/60000 or /dns4/HOST/tcp/PORT/ws"
    if not all(_DNS_LIST.fullmatch(name) for name in node.dns_lists):
        yield ("node", "dns_lists"), "each must look like enrtree://KEY@DOMAIN"
    if node.cluster > NUMBERS:
        yield ("node", "cluster"), f"must be at most {NUMBERS}"
    if not node.shards or node.shards[-1] > NUMBERS:
        yield ("node", "shards"), f"must name at least one shard, each at most {NUMBERS}"
    secure = any("/wss" in address or "/tls" in address for address in node.listen)
    if bool(node.certificate_file) != bool(node.certificate_key_file) or (secure and not node.certificate_file):
        yield ("node", "certificate_file"), "goes with certificate_key_file; an address with /wss needs both"
    yield from _one_carrier(settings)


def _one_carrier(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Envelopes come by one way only."""
    node = settings.node
    if node.rest and not is_private(node.rest):
        # It has no authentication and shows every listener which topics are ours.
        yield ("node", "rest"), "must begin with https://, or with http:// and a loopback address"
    ways = {"transport.bus": settings.transport.bus, "node.rest": node.rest}
    used = [name for name, value in ways.items() if value]
    if len(used) > 1:
        yield ("node", "rest"), "transport.bus carries the envelopes already; remove one of the two"
    for name, given in (("listen", node.listen != NodeSettings().listen), ("peers", bool(node.peers))):
        if used and given:
            yield ("node", name), f"there is no node of our own beside {used[0]}; remove one of the two"


def _gateway_rules(settings: Settings) -> Iterator[tuple[Path, str]]:
    for name in ("listen", "grpc"):
        match = _LISTEN.fullmatch(getattr(settings.gateway, name) or "x:0")
        if match is None or int(match[1]) > NUMBERS:
            yield ("gateway", name), "must look like HOST:PORT"
    gorush, apns = settings.gateway.gorush, settings.gateway.apns
    if gorush is not None:
        if not is_private(gorush.url):
            # Device tokens go there: no third party may read them.
            yield ("gateway", "gorush", "url"), "must begin with https://, or with http:// and a loopback address"
        yield from _connect_rule(("gateway", "gorush", "connect"), gorush.http.connect)
    if apns is not None:
        for name in ("key_id", "team_id"):
            if not _APPLE_ID.fullmatch(getattr(apns, name) or ""):
                yield ("gateway", "apns", name), "must be the ten letters and digits that Apple gave out"
        yield from _connect_rule(("gateway", "apns", "connect"), apns.http.connect)
    if gorush is not None and apns is not None:
        yield ("gateway", "apns"), "everything goes to gateway.gorush; remove one of the two"


def _app_rules(settings: Settings) -> Iterator[tuple[Path, str]]:
    seen: set[str] = set()
    for place, app in enumerate(settings.apps):
        path = ("apps", str(place))
        if not _APP_NAME.fullmatch(app.name or ""):
            yield (*path, "name"), "must be 1 to 64 letters, digits, dots, hyphens and underscores"
        elif app.name in seen:
            yield (*path, "name"), "is another app's, too"
        seen.add(app.name)
        if app.feedback_url and urlsplit(app.feedback_url).scheme not in ("http", "https"):
            yield (*path, "feedback_url"), "must begin with https:// or http://"
        for name, provider in app.providers.items():
            if isinstance(http := getattr(provider, "http", None), HttpSettings):
                yield from _connect_rule((*path, name, "connect"), http.connect)


def _key_rules(settings: Settings) -> Iterator[tuple[Path, str]]:
    names = {app.name for app in settings.apps}
    for place, key in enumerate(settings.keys):
        path = ("keys", str(place))
        if not _SHA256.fullmatch(key.sha256 or ""):
            yield (*path, "sha256"), "must be 64 hex digits; hushbell keys api makes a key and its hash"
        for app in key.apps:
            if app not in names:
                yield (*path, "apps"), f'there is no app "{app}"'
        for scope in key.scopes:
            if scope not in SCOPES:
                yield (*path, "scopes"), "each must be one of " + ", ".join(SCOPES)


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _connect_rule(path: Path, connect: str) -> Iterator[tuple[Path, str]]:
    match = _HOST_PORT.fullmatch(connect)
    if connect and (match is None or not 0 < int(match[1]) <= NUMBERS):
        yield path, "must look like HOST:PORT"


def is_private(url: str | None) -> bool:
    """Whether no third party can read the connection: TLS, or this very machine."""
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
