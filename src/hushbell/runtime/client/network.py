"""What an app opens before it makes a client: a transport, a store, keys."""

from collections.abc import Sequence
from pathlib import Path

from hushbell.config.gateway import HttpSettings
from hushbell.config.node import NodeSettings, pubsub_topics
from hushbell.crypto import secp256k1
from hushbell.errors import ConfigError, Unauthentic
from hushbell.http.curl import CurlHttp
from hushbell.ports.client_store import ClientStore
from hushbell.ports.transport import Transport
from hushbell.runtime.client.client import ignore_counts
from hushbell.runtime.client.exchange import Count
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.stores.sqlite.client import SqliteClientStore
from hushbell.transports.socket import SocketBusTransport
from hushbell.transports.waku import rest
from hushbell.transports.waku.light_client import LightTransport
from hushbell.transports.waku.opening import open_rest, open_waku
from hushbell.types import DEFAULT_PUBSUB_TOPIC, KeyPair, PublicKey, PubsubTopic, SymmetricKey
from hushbell.waku.node import Node, parse_address

CATCH_UP = 60  # seconds of history to fetch from an operator's node after a gap; the client repeats older messages


def new_key() -> KeyPair:
    """Draw the key pair of a new account."""
    return secp256k1.key_pair(system_random)


def parse_key(text: str) -> PublicKey:
    """
    Parse a public key of 66 or 130 hex digits, as ``hushbell serve`` and ``hushbell keys`` print it.

    Raises:
        ValueError: not a public key.
    """
    try:
        return secp256k1.parse_public_key(bytes.fromhex(text.removeprefix("0x")))
    except Unauthentic as error:
        raise ValueError(f"not a public key: {error}") from None


async def open_store(path: str | Path, key: bytes) -> ClientStore:
    """
    Open the file with a client's state, or create it.

    Args:
        path: of the file.
        key: 32 bytes that encrypt the file; keep them elsewhere, such as in the operating system's key store.

    Raises:
        ValueError: a key of another length.
        StoreError: the file cannot be opened.
    """
    if len(key) != 32:
        raise ValueError("the key of a store is 32 bytes")
    return await SqliteClientStore.open(Path(path), SymmetricKey(key), random=system_random)


async def join(
    peers: Sequence[str] = (),
    *,
    dns_lists: Sequence[str] = (),
    light: bool = False,
    rest_url: str = "",
    bus: str = "",
    pubsub_topic: str = DEFAULT_PUBSUB_TOPIC,
    count: Count | None = None,
) -> Transport:
    """
    Return a transport: a Waku node in this process, an operator's node, or a server's bus. Name one of them.

    Args:
        peers: multiaddrs of Waku nodes to connect to.
        dns_lists: lists of further nodes, ``enrtree://KEY@DOMAIN``.
        light: a light client of the peers: less traffic than a node, but the peers see the topics.
        rest_url: of an operator's nwaku with its REST API.
        bus: path of the socket of ``hushbell serve --bus``.
        pubsub_topic: the shard, such as ``/waku/2/rs/16/32``.
        count: gets names and numbers of dropped items.

    Raises:
        ConfigError: none or several are named, or an address is not valid.
        TransportError: the network cannot be joined.
    """
    count = count or ignore_counts
    if sum((bool(peers or dns_lists), bool(rest_url), bool(bus))) != 1:
        raise ConfigError("join: name peers (or dns_lists), or rest_url, or bus")
    if bus:
        return await SocketBusTransport.connect(Path(bus))
    shard = PubsubTopic(pubsub_topic)
    if rest_url:
        over_rest = await open_rest(
            CurlHttp(HttpSettings(answer=rest.MAX_RESPONSE)),
            NodeSettings(rest=rest_url, catch_up=CATCH_UP),
            topics={shard: ()},
            folder=None,
            clock=SystemClock(),
            random=system_random,
            count=count,
        )
        await over_rest.start()
        return over_rest
    if light:
        return await _join_light(shard, peers, count)
    settings = _settings(shard, peers, dns_lists)
    node = await Node.open(
        settings,
        key=new_key().private,
        folder=None,
        pubsub_topics=pubsub_topics(settings),
        clock=SystemClock(),
        random=system_random,
        count=count,
    )
    # The client's rules repeat a message whose response is missed, so no history is fetched.
    waku = await open_waku(
        node, settings, topics={}, folder=None, clock=SystemClock(), random=system_random, count=count
    )
    await waku.start()
    return waku


async def _join_light(shard: PubsubTopic, peers: Sequence[str], count: Count) -> LightTransport:
    if not peers:
        raise ConfigError("join: light: name peers")
    cluster, number = _numbers(shard)
    over_light = await LightTransport.open(
        [parse_address(address, "peers") for address in peers],
        shard=shard,
        cluster=cluster,
        number=number,
        clock=SystemClock(),
        random=system_random,
        count=count,
        message_limit=NodeSettings().message,
    )
    over_light.start()
    return over_light


def _settings(shard: PubsubTopic, peers: Sequence[str], dns_lists: Sequence[str]) -> NodeSettings:
    cluster, number = _numbers(shard)
    return NodeSettings(
        listen=(),
        peers=tuple(peers),
        dns_lists=tuple(dns_lists),
        cluster=cluster,
        shards=(number,),
        filter=False,
        lightpush=False,
        store=False,
    )


def _numbers(shard: str) -> tuple[int, int]:
    parts = shard.split("/")
    if len(parts) == 6 and parts[:4] == ["", "waku", "2", "rs"] and parts[4].isdecimal() and parts[5].isdecimal():
        return int(parts[4]), int(parts[5])
    raise ConfigError(f"join: pubsub_topic must be of the form {DEFAULT_PUBSUB_TOPIC}, not {shard}")
