"""
identify and identify-push: the protocols and addresses of a peer. Messages only, no I/O.

Source: github.com/libp2p/specs, identify/README.md. A message may come in several frames, which are read as one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hushbell.errors import Undecodable, WireError
from hushbell.waku.libp2p import keys, protobuf, varint
from hushbell.waku.libp2p.multiaddr import Multiaddr
from hushbell.waku.libp2p.stream import PeerId

PROTOCOL = "/ipfs/id/1.0.0"
PUSH = "/ipfs/id/push/1.0.0"
_MAX_FIELDS = 512
_MAX_ADDRESSES = 64
_MAX_NAME = 256
_PUBLIC_KEY, _LISTEN, _PROTOCOL, _OBSERVED, _VERSION, _AGENT = 1, 2, 3, 4, 5, 6
_PROTOCOL_VERSION = b"ipfs/0.1.0"


@dataclass(frozen=True, slots=True)
class Identify:
    """A peer's description of itself. Only its key is proved."""

    protocols: tuple[str, ...] = ()
    addresses: tuple[Multiaddr, ...] = ()
    """Its listen addresses; those of kinds that cannot be dialled here are left out."""
    observed: Multiaddr | None = None
    """Our address as the peer sees it."""
    agent: str = ""


def encode(public_key: bytes, about: Identify) -> bytes:
    """Return the message about a node with this public key, given as libp2p's protobuf."""
    parts = [protobuf.put(_PUBLIC_KEY, public_key)]
    parts += [protobuf.put(_LISTEN, address.without_peer().encode()) for address in about.addresses]
    parts += [protobuf.put(_PROTOCOL, protocol.encode()) for protocol in about.protocols]
    if about.observed is not None:
        parts.append(protobuf.put(_OBSERVED, about.observed.encode()))
    parts += [protobuf.put(_VERSION, _PROTOCOL_VERSION), protobuf.put(_AGENT, about.agent.encode())]
    return b"".join(parts)


def unframed(data: bytes) -> bytes:
    """
    Return the message that one or more frames hold together.

    Raises:
        Undecodable: the bytes are no whole frames.
    """
    message, place = b"", 0
    while place < len(data):
        found = varint.decode(data, place, max_length=3)
        if found is None or found[0] > len(data) - found[1]:
            raise Undecodable("identify ends inside a frame")
        place = found[0] + found[1]
        message += data[found[1] : place]
    return message


def decode(data: bytes, peer: PeerId, max_protocols: int) -> Identify:
    """
    Read the identify message of an authenticated peer.

    Args:
        data: the message, already within its bound.
        peer: the peer of the connection; a message with another key is refused.
        max_protocols: protocols that are read; further ones are left out.

    Raises:
        TooLarge: too many fields.
        Undecodable: not the message, or with another peer's key.
    """
    protocols: dict[str, None] = {}
    addresses: list[Multiaddr] = []
    observed: Multiaddr | None = None
    agent = ""
    for number, value in protobuf.read(data, _MAX_FIELDS):
        if not isinstance(value, bytes):
            continue
        if number == _PUBLIC_KEY and keys.peer_id_of(value) != peer:
            raise Undecodable("identify carries another peer's key")
        if number == _PROTOCOL and len(value) <= _MAX_NAME and len(protocols) < max_protocols:
            protocols[value.decode("utf-8", "replace")] = None
        elif number == _LISTEN and len(addresses) < _MAX_ADDRESSES:
            addresses += _read(value)
        elif number == _OBSERVED:
            observed = next(iter(_read(value)), None)
        elif number == _AGENT:
            agent = value[:_MAX_NAME].decode("utf-8", "replace")
    return Identify(tuple(protocols), tuple(addresses), observed, agent)


def _read(data: bytes) -> Sequence[Multiaddr]:
    """Return one address, or none if it is of a kind that cannot be dialled here."""
    try:
        return (Multiaddr.decode(data),)
    except WireError:
        return ()
