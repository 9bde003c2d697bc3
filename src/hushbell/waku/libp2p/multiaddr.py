"""
Addresses as libp2p writes them: ``/ip4/127.0.0.1/tcp/60000/p2p/16Uiu2…``, and their bytes.

Source: github.com/multiformats/multiaddr. Only what can be dialled here is read; others are undecodable, and a
peer that announces them is not at fault.
"""

import ipaddress
from dataclasses import dataclass
from typing import Self

from hushbell.errors import TooLarge, Undecodable, WireError
from hushbell.waku.libp2p import keys, varint
from hushbell.waku.libp2p.stream import PeerId

_MAX_TEXT = 1024
_MAX_BYTES = 512
_MAX_PARTS = 8
_MAX_NAME = 253  # RFC 1035

_CODES = {
    "ip4": 4,
    "tcp": 6,
    "ip6": 41,
    "dns": 53,
    "dns4": 54,
    "dns6": 55,
    "p2p": 421,
    "tls": 448,
    "sni": 449,
    "ws": 477,
    "wss": 478,
}
_KINDS = {code: name for name, code in _CODES.items()}
_HOSTS = ("ip4", "ip6", "dns", "dns4", "dns6")
_NAMES = ("dns", "dns4", "dns6", "sni")
_BARE = ("tls", "ws", "wss")
_FIXED = {"ip4": 4, "ip6": 16, "tcp": 2}


@dataclass(frozen=True, slots=True)
class Multiaddr:
    """One address: its parts in order, each a name and its value in text ("" where it has none)."""

    parts: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read the text form.

        Raises:
            TooLarge, Undecodable: not an address, or of a kind that cannot be dialled here.
        """
        if len(text) > _MAX_TEXT:
            raise TooLarge("an address is too long")
        words = text.removesuffix("/").split("/")
        if len(words) < 2 or words[0]:
            raise Undecodable("an address begins with /")
        parts: list[tuple[str, str]] = []
        rest = iter(words[1:])
        for name in rest:
            known = "p2p" if name == "ipfs" else name
            if known not in _CODES:
                raise Undecodable(f"addresses with /{name[:32]} are not supported")
            value = "" if known in _BARE else next(rest, "")
            parts.append((known, _text(known, _bytes(known, value))))
        return cls(_checked(parts))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """
        Read the binary form.

        Raises:
            TooLarge, Undecodable: not an address, or of a kind that cannot be dialled here.
        """
        if len(data) > _MAX_BYTES:
            raise TooLarge("an address is too long")
        parts: list[tuple[str, str]] = []
        place = 0
        while place < len(data):
            code, place = _number(data, place)
            name = _KINDS.get(code)
            if name is None:
                raise Undecodable(f"addresses with part {code} are not supported")
            size = _FIXED.get(name, 0)
            if name in _NAMES or name == "p2p":
                size, place = _number(data, place)
            if size > len(data) - place:
                raise Undecodable("an address ends inside a part")
            parts.append((name, _text(name, data[place : place + size])))
            place += size
        return cls(_checked(parts))

    def encode(self) -> bytes:
        """Return the binary form."""
        result = b""
        for name, value in self.parts:
            data = _bytes(name, value)
            length = varint.encode(len(data)) if name in _NAMES or name == "p2p" else b""
            result += varint.encode(_CODES[name]) + length + data
        return result

    def __str__(self) -> str:
        return "".join(f"/{name}/{value}" if value else f"/{name}" for name, value in self.parts)

    @property
    def host(self) -> str:
        """The IP address or name to connect to."""
        return self.parts[0][1]

    @property
    def host_kind(self) -> str:
        """One of ip4, ip6, dns, dns4, dns6."""
        return self.parts[0][0]

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self.parts[1][1])

    @property
    def is_websocket(self) -> bool:
        """Whether the connection is a WebSocket, with or without TLS."""
        return any(name in {"ws", "wss"} for name, _ in self.parts)

    @property
    def is_tls(self) -> bool:
        """Whether TLS lies under the WebSocket."""
        return any(name in {"tls", "wss"} for name, _ in self.parts)

    @property
    def server_name(self) -> str:
        """The name that the TLS certificate must carry."""
        return next((value for name, value in self.parts if name == "sni"), self.host)

    @property
    def peer(self) -> PeerId | None:
        """Whom the address claims to reach, if it says so."""
        last, value = self.parts[-1]
        return keys.parse_peer_id(value) if last == "p2p" else None

    def with_peer(self, peer: PeerId) -> "Multiaddr":
        """Return the address with the peer's id at its end."""
        return Multiaddr((*self.without_peer().parts, ("p2p", keys.peer_id_text(peer))))

    def without_peer(self) -> "Multiaddr":
        """Return the address without a peer's id."""
        return Multiaddr(self.parts[:-1]) if self.parts[-1][0] == "p2p" else self

    def with_port(self, port: int) -> "Multiaddr":
        """Return the address with another TCP port."""
        return Multiaddr((self.parts[0], ("tcp", str(port)), *self.parts[2:]))


_TAILS = {(), ("ws",), ("wss",), ("tls", "ws"), ("tls", "sni", "ws")}


def _checked(parts: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    names = [name for name, _ in parts]
    if len(parts) > _MAX_PARTS or len(parts) < 2 or names[0] not in _HOSTS or names[1] != "tcp":
        raise Undecodable("an address begins with a host and a TCP port")
    tail = names[2:-1] if names[-1] == "p2p" else names[2:]
    if tuple(tail) not in _TAILS:
        raise Undecodable("an address has an order of parts that means nothing here")
    return tuple(parts)


def _bytes(name: str, value: str) -> bytes:
    try:
        if name == "ip4":
            return ipaddress.IPv4Address(value).packed
        if name == "ip6":
            return ipaddress.IPv6Address(value).packed
        if name == "tcp":
            if not (value.isascii() and value.isdigit() and len(value) <= 5):
                raise Undecodable("a port is a number")
            return int(value).to_bytes(2, "big")
        if name == "p2p":
            return keys.parse_peer_id(value)
        return value.encode("ascii")
    except (ValueError, OverflowError) as error:
        if isinstance(error, WireError):
            raise
        raise Undecodable(f"an address has a bad /{name}") from None


def _text(name: str, data: bytes) -> str:
    if name == "ip4":
        return str(ipaddress.IPv4Address(data))
    if name == "ip6":
        address = ipaddress.IPv6Address(data)
        return str(address)
    if name == "tcp":
        return str(int.from_bytes(data, "big"))
    if name == "p2p":
        return keys.peer_id_text(keys.read_peer_id(data))
    if name in _NAMES:
        return _host_name(data)
    return ""


def _host_name(data: bytes) -> str:
    allowed = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
    if not 0 < len(data) <= _MAX_NAME or data.strip(allowed):
        raise Undecodable("an address has no host name where one belongs")
    if any(byte not in allowed for byte in data):
        raise Undecodable("an address has no host name where one belongs")
    return data.decode("ascii")


def _number(data: bytes, place: int) -> tuple[int, int]:
    found = varint.decode(data, place, max_length=3)
    if found is None:
        raise Undecodable("an address ends inside a number")
    return found
