"""Ethereum node records: verified and reduced to addresses and shards (EIP-778, RFC 31, 51)."""

import binascii
import ipaddress
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass

from hushbell.crypto import secp256k1
from hushbell.crypto.hashes import keccak256
from hushbell.errors import TooLarge, Unauthentic, Undecodable, WireError
from hushbell.types import PublicKey
from hushbell.waku.libp2p.keys import peer_id_of
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.stream import PeerId

MAX_RECORD = 1024  # bytes; EIP-778 says 300, and Waku's with many addresses are longer
MAX_ITEMS = 64  # keys and values
MAX_ADDRESSES = 16  # of one node
TEXT = "enr:"

_SECP256K1 = b"\x08\x02\x12\x21"  # libp2p's protobuf of such a key, before its 33 bytes


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """The addresses and shards that a node announces."""

    peer: PeerId
    addresses: tuple[Multiaddr, ...]  # each with the peer's id
    cluster: int | None  # None: not announced
    shards: frozenset[int]

    def relays(self, cluster: int, shards: frozenset[int]) -> bool:
        """Whether it relays one of the shards, or does not say."""
        return self.cluster is None or (self.cluster == cluster and bool(self.shards & shards))


def read_text(text: str) -> NodeRecord:
    """
    Return the record of ``enr:`` and url-safe base64.

    Raises:
        TooLarge, Undecodable, Unauthentic: see :func:`read`.
    """
    body = text.removeprefix(TEXT)
    if len(body) > 2 * MAX_RECORD:
        raise TooLarge("a node record is too long")
    try:
        return read(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, binascii.Error):
        raise Undecodable("a node record is not base64") from None


def read(data: bytes) -> NodeRecord:
    """
    Return the content of a record, whose signature is checked.

    Raises:
        TooLarge: over :data:`MAX_RECORD` bytes or :data:`MAX_ITEMS` items.
        Undecodable: not a record of the scheme "v4".
        Unauthentic: its signature is another key's.
    """
    if len(data) > MAX_RECORD:
        raise TooLarge("a node record is too long")
    kind, start, end = _item(data, 0)
    if kind != "list" or end != len(data):
        raise Undecodable("a node record is one list")
    kind, signature_at, content_at = _item(data, start)
    items = list(_items(data, content_at))
    if len(items) % 2 == 0:
        raise Undecodable("a node record has a key without a value")
    pairs = dict(zip(items[1::2], items[2::2], strict=True))
    if pairs.get(b"id") != b"v4":
        raise Undecodable("a node record of an unknown scheme")
    key = secp256k1.parse_public_key(pairs.get(b"secp256k1", b""))
    _check(data[signature_at:content_at], _list(data[content_at:]), key)
    return _record(pairs, key)


def _record(pairs: dict[bytes, bytes], key: PublicKey) -> NodeRecord:
    peer = peer_id_of(_SECP256K1 + secp256k1.compress(key))
    addresses: list[Multiaddr] = []
    for address in _addresses(pairs):
        claimed = address.peer
        if claimed in (None, peer) and len(addresses) < MAX_ADDRESSES:
            addresses.append(address.with_peer(peer))
    cluster, shards = _shards(pairs)
    return NodeRecord(peer, tuple(addresses), cluster, shards)


def _check(signature: bytes, content: bytes, key: PublicKey) -> None:
    digest = keccak256(content)
    if len(signature) == 64:
        for parity in (b"\0", b"\1"):
            try:
                if secp256k1.recover(digest, signature + parity) == key:
                    return
            except WireError:
                continue
    raise Unauthentic("a node record is not signed by its key")


def _addresses(pairs: dict[bytes, bytes]) -> Iterator[Multiaddr]:
    """Yield the addresses of kinds that can be dialled here."""
    several = pairs.get(b"multiaddrs", b"")
    while len(several) > 2:
        size = int.from_bytes(several[:2])
        one, several = several[2 : 2 + size], several[2 + size :]
        try:
            yield Multiaddr.decode(one)
        except WireError:
            continue
    for name, host, port in (("ip4", b"ip", b"tcp"), ("ip6", b"ip6", b"tcp6")):
        try:
            address = ipaddress.ip_address(pairs[host])
            yield Multiaddr.parse(f"/{name}/{address}/tcp/{int.from_bytes(pairs[port])}")
        except (KeyError, ValueError, WireError):
            continue


def _shards(pairs: dict[bytes, bytes]) -> tuple[int | None, frozenset[int]]:
    """Read the list, or the bits, of shards (RFC 51)."""
    listed, bits = pairs.get(b"rs", b""), pairs.get(b"rsv", b"")
    if len(listed) >= 3 and len(listed) == 3 + 2 * listed[2]:
        numbers = (int.from_bytes(listed[at : at + 2]) for at in range(3, len(listed), 2))
        return int.from_bytes(listed[:2]), frozenset(numbers)
    if len(bits) == 2 + 128:
        flags = bits[2:]
        return int.from_bytes(bits[:2]), frozenset(n for n in range(1024) if flags[n // 8] >> (n % 8) & 1)
    return None, frozenset()


def _items(data: bytes, place: int) -> Iterator[bytes]:
    count = 0
    while place < len(data):
        _, start, place = _item(data, place)
        count += 1
        if count > MAX_ITEMS:
            raise TooLarge("a node record has too many items")
        yield data[start:place]


def _item(data: bytes, place: int) -> tuple[str, int, int]:
    """Return the kind of the RLP item at ``place``, and where its content begins and ends."""
    if place >= len(data):
        raise Undecodable("a node record ends too soon")
    head = data[place]
    if head < 0x80:
        return "bytes", place, place + 1
    kind, base = ("bytes", 0x80) if head < 0xC0 else ("list", 0xC0)
    size, start = head - base, place + 1
    if size > 55:
        start += size - 55
        size = int.from_bytes(data[place + 1 : start])
    if start + size > len(data):
        raise Undecodable("a node record ends too soon")
    return kind, start, start + size


def _list(content: bytes) -> bytes:
    """Return the RLP list of items that are encoded already."""
    if len(content) <= 55:
        return bytes((0xC0 + len(content),)) + content
    size = len(content).to_bytes(2).lstrip(b"\0")
    return bytes((0xF7 + len(size),)) + size + content
