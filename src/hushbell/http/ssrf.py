"""
Addresses that users give us lead to the public internet, or nowhere.

A URL is taken apart by strict rules and put together anew, so that no later parser can read it otherwise. Its name is
resolved once, every address is checked, and the request goes to an address that was checked: a name that changes
its mind in between changes nothing. Redirects are never followed (http/curl.py).
"""

import asyncio
import ipaddress
import re
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL = 2048  # characters of a URL
RESOLVER_THREADS = 8  # that resolve names; the system's resolver blocks
MAX_WAITING = 256  # names that are resolved or wait for their turn; above it names are refused for now
RESOLVER_TIMEOUT = 5.0  # seconds for the resolver
MAX_NAMES = 1024  # names whose checked addresses are kept
NAME_LIFETIME = 60.0  # seconds that they are kept
MAX_ADDRESSES = 16  # of one name a name with more is refused

_URL = re.compile(r"[!#-;=?-\[\]_a-z~]+", re.ASCII)  # visible ASCII without quotes, <, >, \, ^, `, {, |, }
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)

# IANA's registries of special addresses, and one public address that is a cloud's own.
_CLOSED_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24"),
            *("192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
            *("224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
        ),
    )
)
_OPEN_6 = ipaddress.IPv6Network("2000::/3")  # all that is given out as global unicast, except:
_CLOSED_6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20", "2620:4f:8000::/48")))
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_6TO4 = ipaddress.IPv6Network("2002::/16")


class AddressRefused(Exception):
    """
    The URL leads nowhere we go.

    ``is_final`` is False if another time may bring another answer. The text never holds the URL.
    """

    def __init__(self, rule: str, *, is_final: bool = True) -> None:
        super().__init__(rule)
        self.is_final = is_final


@dataclass(frozen=True, slots=True)
class ResolvedUrl:
    """A URL in its one form, taken apart."""

    scheme: str
    host: str  # lower case, without brackets and trailing dot
    port: int
    target: str  # path and query

    @property
    def origin(self) -> str:
        """Scheme, host and port, the latter unless it is the scheme's own (RFC 6454)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"https": 443, "http": 80}[self.scheme]
        return f"{self.scheme}://{host}" + ("" if self.port == usual else f":{self.port}")

    @property
    def url(self) -> str:
        """The URL as it is requested."""
        return self.origin + self.target


class SsrfGuard:
    """Says where a URL of a user's may lead. One for all that send there, so that its bounds hold for all."""

    def __init__(self, allow: Iterable[str] = (), resolve: Callable[[str], Sequence[str]] | None = None) -> None:
        """
        Take what is allowed beside the public internet.

        Args:
            allow: networks, such as ``127.0.0.0/8``; ``http:`` and single-label names work only there.
            resolve: name → IP addresses, blocking; raises OSError. None asks the system.

        Raises:
            ValueError: one is no network.
        """
        self._allow: tuple[Network, ...] = tuple(ipaddress.ip_network(network) for network in allow)
        self._resolve = resolve or _system_resolve
        self._asked: dict[str, asyncio.Future[tuple[Address, ...]]] = {}
        self._turn = asyncio.Semaphore(RESOLVER_THREADS)
        self._known: OrderedDict[str, tuple[float, tuple[Address, ...]]] = OrderedDict()

    def parse(self, url: str) -> ResolvedUrl:
        """Return a URL taken apart. Raises Refused for everything that is not plainly an address on the web."""
        if len(url) > MAX_URL or not _URL.fullmatch(url.lower()) or "#" in url:
            raise AddressRefused("not a URL of visible characters, or too long")
        try:
            parts = urlsplit(url)
            port, scheme = parts.port, parts.scheme
        except ValueError:
            raise AddressRefused("not a URL") from None
        if scheme not in ("https", "http") or (scheme == "http" and not self._allow):
            raise AddressRefused("must begin with https://")
        if "@" in parts.netloc or "%" in parts.netloc:
            raise AddressRefused("must hold no user and nothing encoded before the path")
        usual = 443 if scheme == "https" else 80
        port = usual if port is None else port
        if port != usual and not 1024 <= port <= 65_535:
            raise AddressRefused("must name no port, or one from 1024")
        host = self._host(parts.netloc)
        path = parts.path or "/"
        return ResolvedUrl(scheme, host, port, path + (f"?{parts.query}" if parts.query else ""))

    async def resolve(self, place: ResolvedUrl) -> tuple[str, ...]:
        """
        Return the IP addresses that a request may go to, best first.

        Raises:
            AddressRefused: one of the name's addresses is not public, or the name does not resolve.
        """
        addresses = await self._addresses(place.host)
        for address in addresses:
            if not self.is_open(address):
                raise AddressRefused("leads to an address that is not public")
            if place.scheme == "http" and not self._is_allowed(address):
                raise AddressRefused("must begin with https://")
        return tuple(str(address) for address in addresses)

    def is_open(self, address: Address) -> bool:
        """Say whether an address is public, or allowed."""
        plain = _unwrapped(address)
        return self._is_allowed(plain) or _is_public(plain)

    def _is_allowed(self, address: Address) -> bool:
        plain = _unwrapped(address)
        return any(plain in network for network in self._allow)

    def _host(self, netloc: str) -> str:
        if netloc.startswith("["):
            inside, _, rest = netloc[1:].partition("]")
            if rest and not rest.startswith(":"):
                raise AddressRefused("not an IPv6 address in brackets")
            try:
                return str(ipaddress.IPv6Address(inside))
            except ValueError:
                raise AddressRefused("not an IPv6 address in brackets") from None
        host = netloc.partition(":")[0].lower().removesuffix(".")
        labels = host.split(".")
        if _NUMERIC.fullmatch(labels[-1]):
            try:
                return str(ipaddress.IPv4Address(host))
            except ValueError:
                # Other programs read 127.1, 0177.0.0.1, 0x7f000001 and 2130706433 as addresses, too.
                raise AddressRefused("not an IPv4 address of four plain numbers") from None
        if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
            raise AddressRefused("not a host name; names in other scripts must come as xn--")
        if len(labels) == 1 and not self._allow:
            raise AddressRefused("must be a whole host name")
        return host

    async def _addresses(self, host: str) -> tuple[Address, ...]:
        try:
            return (ipaddress.ip_address(host),)
        except ValueError:
            pass
        loop = asyncio.get_running_loop()
        known = self._known.get(host)
        if known is not None and known[0] > loop.time():
            return known[1]
        asked = self._asked.get(host)
        if asked is None:
            if len(self._asked) >= MAX_WAITING:
                raise AddressRefused("too many names to resolve", is_final=False)
            asked = self._asked[host] = loop.create_task(self._resolve_in_thread(host))
            asked.add_done_callback(partial(self._on_resolved, host))
        try:
            async with asyncio.timeout(RESOLVER_TIMEOUT):
                return await asyncio.shield(asked)
        except (OSError, UnicodeError, ValueError):  # TimeoutError is an OSError
            raise AddressRefused("does not resolve", is_final=False) from None

    async def _resolve_in_thread(self, host: str) -> tuple[Address, ...]:
        """
        Resolve a name in a thread of its own.

        The thread is a daemon: a resolver that hangs delays neither the end of the program nor the next name
        for longer than its turn.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[str]] = loop.create_future()
        async with self._turn:
            thread = threading.Thread(target=_run, args=(self._resolve, host, loop, answer), daemon=True)
            thread.start()
            found = await answer
        addresses = tuple(dict.fromkeys(ipaddress.ip_address(text) for text in found))
        if not addresses or len(addresses) > MAX_ADDRESSES:
            raise ValueError("resolves to nothing, or to too much")
        self._known[host] = (loop.time() + NAME_LIFETIME, addresses)
        self._known.move_to_end(host)
        if len(self._known) > MAX_NAMES:
            self._known.popitem(last=False)
        return addresses

    def _on_resolved(self, host: str, asked: "asyncio.Future[tuple[Address, ...]]") -> None:
        del self._asked[host]
        if not asked.cancelled():
            asked.exception()  # every waiter got it, or none waits


def _run(
    resolve: Callable[[str], Sequence[str]],
    host: str,
    loop: asyncio.AbstractEventLoop,
    answer: "asyncio.Future[Sequence[str]]",
) -> None:
    """Resolve a name in a thread and hand the result over to the event loop."""
    found: Sequence[str] = ()
    failed: BaseException | None = None
    try:
        found = resolve(host)
    except (OSError, ValueError) as error:
        failed = OSError(str(error))
    with suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(_deliver, answer, found, failed)


def _deliver(answer: "asyncio.Future[Sequence[str]]", found: Sequence[str], failed: BaseException | None) -> None:
    if answer.done():
        return
    if failed is not None:
        answer.set_exception(failed)
    else:
        answer.set_result(found)


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address inside one that only carries it."""
    if isinstance(address, ipaddress.IPv6Address):
        number = int(address)
        if address in _MAPPED or address in _NAT64:
            return ipaddress.IPv4Address(number & 0xFFFFFFFF)
        if address in _6TO4:
            return ipaddress.IPv4Address(number >> 80 & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _CLOSED_4)
    if address.scope_id or address not in _OPEN_6:
        return False
    if int(address) >> 32 & 0xFFFFFFFF in (0x00005EFE, 0x02005EFE):  # ISATAP: an IPv4 address at the end
        return _is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return not any(address in network for network in _CLOSED_6)


def _system_resolve(host: str) -> tuple[str, ...]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(str(entry[4][0]) for entry in found)
