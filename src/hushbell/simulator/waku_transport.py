"""A phone's transport over Waku: a node without services, storage and listeners."""

from collections.abc import Sequence

from hushbell.config.node import NodeSettings
from hushbell.crypto import secp256k1
from hushbell.errors import TransportError
from hushbell.observability.metrics import Counters
from hushbell.ports.clock import Clock
from hushbell.transports.waku.opening import open_waku
from hushbell.transports.waku.relay import WakuTransport
from hushbell.types import DEFAULT_PUBSUB_TOPIC, PubsubTopic, Random
from hushbell.waku.node import Node

CONNECT_TIMEOUT = 10.0  # seconds until a peer that relays must be connected
POLL_INTERVAL = 0.02  # seconds


async def join_waku(
    peers: Sequence[str],
    *,
    clock: Clock,
    random: Random,
    pubsub_topic: PubsubTopic = DEFAULT_PUBSUB_TOPIC,
    patience: float = CONNECT_TIMEOUT,
) -> WakuTransport:
    """
    Return a transport that is connected to at least one of the peers.

    Args:
        peers: multiaddrs of nodes that relay.
        clock: the time.
        random: for its key, handshakes and choices.
        pubsub_topic: the shard, such as ``/waku/2/rs/16/32``.
        patience: seconds until one must be connected.

    Raises:
        TransportError: none is connected in time.
    """
    cluster, shard = (int(number) for number in pubsub_topic.rsplit("/", 2)[1:])
    settings = NodeSettings(
        listen=(), peers=tuple(peers), cluster=cluster, shards=(shard,), filter=False, lightpush=False
    )
    counters = Counters()
    node = await Node.open(
        settings,
        key=secp256k1.key_pair(random).private,
        folder=None,
        pubsub_topics=[pubsub_topic],
        clock=clock,
        random=random,
        count=counters.count,
    )
    transport = await open_waku(
        node, settings, topics={}, folder=None, clock=clock, random=random, count=counters.count
    )
    await transport.start()
    until = clock.now() + round(patience * 1000)
    while not node.health().ready:
        if clock.now() >= until:
            await transport.close()
            raise TransportError("no peer answers that relays this shard")
        await clock.sleep(POLL_INTERVAL)
    return transport
