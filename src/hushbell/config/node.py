"""The Waku node: where it listens, whom it knows, what it serves and how much it keeps. Defaults are Status's."""

from dataclasses import dataclass
from typing import Literal

from hushbell.types import SECONDS_PER_DAY, PubsubTopic

HOUR = 3600  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """Section ``[node]``. Sizes in bytes, times in seconds."""

    listen: tuple[str, ...] = ("/ip4/127.0.0.1/tcp/0",)  # multiaddrs; port 0 picks one, which the ready line names
    peers: tuple[str, ...] = ()  # multiaddrs of nodes to stay connected to
    dns_lists: tuple[str, ...] = ()  # EIP-1459 lists of further nodes: enrtree://KEY@DOMAIN
    connections: int = 6  # kept to nodes of the lists; peers named above come on top
    identity_file: str = ""  # the node's private key, 64 hex digits; "" is node.key in the data folder
    cluster: int = 16  # Status
    shards: tuple[int, ...] = (32,)  # of the cluster; one-to-one traffic and pushes of Status
    certificate_file: str = ""  # certificate chain, for addresses with /wss
    certificate_key_file: str = ""  # its private key
    message: int = 1024 * 1024  # what Status nodes relay at most; larger is refused
    peer_exchange: bool = False  # ask peers for further nodes as well
    filter: bool = True  # push messages to light clients that ask for them
    lightpush: bool = True  # publish for light clients
    store: bool = True  # keep messages and answer who missed some
    store_age: int = 2 * SECONDS_PER_DAY  # older messages are forgotten
    store_size: int = 1024 * 1024 * 1024  # of the messages kept; beyond it the oldest go first
    inbox: int = 8192  # messages for the server that wait; beyond it they are fetched from a store later
    seen: int = 200_000  # messages remembered, so that none is handed on twice
    seen_for: int = 2 * HOUR  # how long
    pace: int = 2000  # messages a second that the server publishes at most; go-waku's nodes lose faster bursts
    reconcile: int = 300  # stores are asked so often for what no peer delivered
    catch_up: int = 3 * SECONDS_PER_DAY  # how far back after a long silence; stores rarely keep more
    rest: str = ""  # URL of an operator's nwaku or go-waku, in place of a node of our own
    rest_dialect: Literal["nwaku", "go-waku"] = "nwaku"  # what that node speaks


def pubsub_topics(settings: NodeSettings) -> tuple[PubsubTopic, ...]:
    """Return the topics of the node's shards, such as ``/waku/2/rs/16/32``."""
    return tuple(PubsubTopic(f"/waku/2/rs/{settings.cluster}/{shard}") for shard in settings.shards)
