"""What carries a server's envelopes, as the settings say: a Waku node within, or an operator's node."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hushbell.cli.carrier import Carrier, Wants
from hushbell.cli.files import made_identity, read_identity
from hushbell.config.gateway import HttpSettings
from hushbell.config.node import pubsub_topics
from hushbell.config.settings import Settings
from hushbell.crypto import topics
from hushbell.errors import ConfigError
from hushbell.http.curl import CurlHttp
from hushbell.observability.metrics import Counters
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.transports.waku import rest
from hushbell.transports.waku.opening import Topics, open_rest, open_waku
from hushbell.transports.waku.relay import WakuTransport
from hushbell.transports.waku.rest import RestTransport
from hushbell.types import PrivateKey, PublicKey, PubsubTopic
from hushbell.waku.node import Node


async def open_carrier(
    settings: Settings, identity: PublicKey, *, folder: Path, clock: SystemClock, counters: Counters
) -> Carrier:
    """
    Return what carries the envelopes of the server with this key.

    Raises:
        ConfigError, StoreError, TransportError: it cannot be opened.
    """
    shards = _shards(settings)
    if settings.node.rest:
        over_rest = await open_rest(
            CurlHttp(HttpSettings(answer=rest.ANSWER)),
            settings.node,
            topics=_own_topics(identity, shards),
            folder=folder,
            clock=clock,
            random=system_random,
            count=counters.count,
        )
        return Carrier(over_rest, lambda: {"addresses": []}, partial(_join, over_rest))
    node = await open_node(settings, folder, shards, clock, counters)
    waku = await open_waku(
        node,
        settings.node,
        topics=_own_topics(identity, shards),
        folder=folder,
        clock=clock,
        random=system_random,
        count=counters.count,
    )
    return Carrier(waku, lambda: {"addresses": node.addresses}, partial(_join, waku))


async def _join(transport: WakuTransport | RestTransport, wants: Wants) -> None:
    transport.listen_only(wants)
    await transport.start()


async def open_node(
    settings: Settings, folder: Path, shards: Sequence[PubsubTopic], clock: SystemClock, counters: Counters
) -> Node:
    """Return the node, which neither listens nor dials yet. Raises ConfigError, StoreError."""
    return await Node.open(
        settings.node,
        key=node_key(settings, folder),
        folder=folder,
        pubsub_topics=[*pubsub_topics(settings.node), *shards],
        clock=clock,
        random=system_random,
        count=counters.count,
    )


def node_key(settings: Settings, folder: Path) -> PrivateKey:
    """Return the key that the node's peer id is made of; the one in the data folder is made on first use."""
    path = node_key_path(settings, folder)
    made_or_read = read_identity if settings.node.identity_file else made_identity
    return made_or_read(path, "node.identity_file").private


def node_key_path(settings: Settings, folder: Path) -> Path:
    """Return where that key is."""
    return Path(settings.node.identity_file or folder / "node.key")


def _shards(settings: Settings) -> Sequence[PubsubTopic]:
    """Return what the server listens to. Raises ConfigError: the node is of another cluster."""
    shards = [PubsubTopic(topic) for topic in settings.server.pubsub_topics]
    ours = f"/waku/2/rs/{settings.node.cluster}/"
    if not settings.node.rest and not all(shard.startswith(ours) for shard in shards):
        raise ConfigError(f"server.pubsub_topics: must be of node.cluster, such as {ours}{settings.node.shards[0]}")
    return shards


def _own_topics(identity: PublicKey, shards: Sequence[PubsubTopic]) -> Topics:
    """Return where registrations and requests for the server come."""
    own = (topics.personal_topic(identity), topics.partitioned_topic(identity))
    return dict.fromkeys(shards, own)
