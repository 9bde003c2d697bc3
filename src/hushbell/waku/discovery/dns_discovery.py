"""
Lists of nodes in the domain name system: trees of TXT records under a signed root (EIP-1459).

A name server can only leave records out: the root is signed by the key in the tree's URL, and every further record is
named by its hash.
"""

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import dns.asyncresolver
import dns.exception

from hushbell.crypto import secp256k1
from hushbell.crypto.hashes import keccak256
from hushbell.errors import TransportError, Unauthentic, Undecodable, WireError
from hushbell.types import PublicKey, Random
from hushbell.waku.discovery import enr
from hushbell.waku.discovery.enr import NodeRecord
from hushbell.waku.random_choice import shuffled

MAX_LOOKUPS = 500  # of one search, linked trees included
MAX_NODES = 100  # nodes, after which the search ends
MAX_CHILDREN = 64  # of one branch
MAX_LINKS = 8  # linked trees that are followed
TEXT = 4096  # bytes of a record
LOOKUP_TIMEOUT = 5.0  # seconds for one look-up

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""Returns the TXT records of a name, each as one text. Raises TransportError."""


@dataclass(frozen=True, slots=True)
class TreeUrl:
    """The key and the domain of a tree: ``enrtree://KEY@DOMAIN``."""

    key: PublicKey
    domain: str

    @classmethod
    def parse(cls, text: str) -> "TreeUrl":
        """Read the text form. Raises Undecodable, Unauthentic."""
        key, at, domain = text.removeprefix("enrtree://").partition("@")
        if not text.startswith("enrtree://") or not at or not domain:
            raise Undecodable("a list is named enrtree://KEY@DOMAIN")
        return cls(secp256k1.parse_public_key(_unbase32(key)), domain.rstrip(".").lower())


class DnsDiscovery:
    """
    Reads trees.

    Args:
        lookup: asks the domain name system.
        random: the order in which branches are followed, so that nodes find different peers.
    """

    def __init__(self, lookup: Lookup, random: Random) -> None:
        self._lookup = lookup
        self._random = random

    async def read(self, name: TreeUrl) -> Sequence[NodeRecord]:
        """
        Return up to :data:`MAX_NODES` nodes of a list and of those it links to. What is spoiled is left out.

        Raises:
            TransportError: the root cannot be looked up.
            Unauthentic, Undecodable: its root is not signed by its key.
        """
        found: dict[bytes, NodeRecord] = {}
        left = MAX_LOOKUPS
        lists, seen = [name], {name}
        while lists and left > 0 and len(found) < MAX_NODES:
            current = lists.pop(0)
            try:
                nodes, links = await self._root(current)
            except (TransportError, WireError):
                if current == name:
                    raise
                continue
            left = await self._walk(current.domain, nodes, left, found)
            left, linked = await self._links(current.domain, links, left)
            for one in linked:
                if one not in seen and len(seen) <= MAX_LINKS:
                    seen.add(one)
                    lists.append(one)
        return list(found.values())

    async def _root(self, name: TreeUrl) -> tuple[str, str]:
        """Return the hashes of the roots of the nodes and of the links."""
        text = await self._record(name.domain, "enrtree-root:")
        signed, mark, signature = text.rpartition(" sig=")
        try:
            raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        except (ValueError, binascii.Error):
            raise Undecodable("a list's signature is not base64") from None
        if not mark or len(raw) != 65 or secp256k1.recover(keccak256(signed.encode()), _signature(raw)) != name.key:
            raise Unauthentic("a list is not signed by its key")
        fields = dict(word.split("=", 1) for word in signed.split() if "=" in word)
        if not signed.startswith("enrtree-root:v1 ") or not {"e", "l"} <= fields.keys():
            raise Undecodable("a list's root is not of version 1")
        return fields["e"], fields["l"]

    async def _walk(self, domain: str, root: str, left: int, found: dict[bytes, NodeRecord]) -> int:
        """Follow branches in random order until :data:`MAX_NODES` are found; return how many look-ups are left."""
        waiting = [root]
        while waiting and left > 0 and len(found) < MAX_NODES:
            left -= 1
            try:
                text = await self._checked_record(domain, waiting.pop())
                if text.startswith("enrtree-branch:"):
                    waiting += self._children(text)
                elif text.startswith(enr.TEXT):
                    record = enr.read_text(text)
                    found[record.peer] = record
            except (TransportError, WireError):
                continue
        return left

    async def _links(self, domain: str, root: str, left: int) -> tuple[int, Sequence[TreeUrl]]:
        waiting, names = [root], list[TreeUrl]()
        while waiting and left > 0 and len(names) < MAX_LINKS:
            left -= 1
            try:
                text = await self._checked_record(domain, waiting.pop())
                if text.startswith("enrtree-branch:"):
                    waiting += self._children(text)
                else:
                    names.append(TreeUrl.parse(text))
            except (TransportError, WireError):
                continue
        return left, names

    def _children(self, text: str) -> Sequence[str]:
        children = [child for child in text.removeprefix("enrtree-branch:").split(",") if child]
        return shuffled(children[:MAX_CHILDREN], self._random)

    async def _checked_record(self, domain: str, label: str) -> str:
        """Return the record that a hash names, and check it."""
        wanted = _unbase32(label)
        if not 12 <= len(wanted) <= 32:
            raise Undecodable("a record's name is no hash")
        text = await self._record(f"{label}.{domain}", "enr")
        if not hmac.compare_digest(keccak256(text.encode())[: len(wanted)], wanted):
            raise Unauthentic("a record is not what its name says")
        return text

    async def _record(self, name: str, beginning: str) -> str:
        for text in await self._lookup(name):
            if text.startswith(beginning) and len(text) <= TEXT and text.isascii():
                return text
        raise TransportError(f"nothing of a list is at {name[:80]}")


async def lookup(name: str) -> Sequence[str]:
    """Return the TXT records of a name from the resolver of this machine. Raises TransportError."""
    try:
        answer = await dns.asyncresolver.resolve(name, "TXT", lifetime=LOOKUP_TIMEOUT)
    except (dns.exception.DNSException, OSError) as error:
        raise TransportError(f"{name[:80]} cannot be looked up: {type(error).__name__}") from error
    return [b"".join(record.strings).decode("ascii", "replace") for record in answer]


def _signature(raw: bytes) -> bytes:
    """Return the signature with a recovery id of 0 or 1; some writers use 27 and 28."""
    return raw[:64] + bytes((raw[64] - 27 if raw[64] >= 27 else raw[64],))


def _unbase32(text: str) -> bytes:
    try:
        return base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except (ValueError, binascii.Error):
        raise Undecodable("not base32") from None
