"""The services that a node offers to peers that do not relay: filter, lightpush, store; and metadata to every peer."""

from collections.abc import Callable, Sequence
from functools import partial

from hushbell.config.node import NodeSettings
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.types import PubsubTopic
from hushbell.waku.libp2p.stream import StreamHost
from hushbell.waku.message import RawMessage
from hushbell.waku.protocols.archive import Archive
from hushbell.waku.protocols.filter import FilterService
from hushbell.waku.protocols.lightpush import LightpushService
from hushbell.waku.protocols.metadata import MetadataService
from hushbell.waku.protocols.store import StoreService


class NodeServices:
    """
    Mounts on a host the services that the settings name.

    Args:
        host: where peers open streams.
        settings: ``filter``, ``lightpush``, ``cluster`` and the size of a message.
        archive: the messages of the store service; None: no store service.
        pubsub_topics: the shards that this node relays.
        publish: publishes a light client's message and returns how many peers got it.
        clock: the time.
        count: ``filter_*``, ``lightpush_*``, ``store_*`` and ``metadata_*`` counters.
    """

    def __init__(
        self,
        host: StreamHost,
        settings: NodeSettings,
        *,
        archive: Archive | None,
        pubsub_topics: Sequence[PubsubTopic],
        publish: Callable[[PubsubTopic, bytes], int],
        clock: Clock,
        count: Count,
    ) -> None:
        self._archive = archive
        topics = partial(tuple[PubsubTopic, ...], pubsub_topics)
        numbers = shard_numbers(pubsub_topics)
        self._metadata = MetadataService(
            host=host, clock=clock, cluster=settings.cluster, shards=lambda: numbers, count=count
        )
        self._filter = FilterService(host=host, clock=clock, topics=topics, count=count) if settings.filter else None
        if settings.lightpush:
            LightpushService(
                host=host,
                clock=clock,
                publish=publish,
                topics=topics,
                count=count,
                message_limit=settings.message,
            )
        if archive is not None:
            StoreService(host=host, clock=clock, archive=archive, count=count)

    def deliver(self, message: RawMessage) -> int:
        """Store a message, push it to the filter subscribers of its topic and return how many those are."""
        if self._archive is not None:
            self._archive.put(message)
        if self._filter is None or not self._filter.subscribers:
            return 0
        topic = message.content_topic
        return 0 if topic is None else self._filter.deliver(message.pubsub_topic, topic, message.data)

    async def close(self) -> None:
        """End all pushes and requests under way."""
        if self._filter is not None:
            await self._filter.close()
        await self._metadata.close()


def shard_numbers(pubsub_topics: Sequence[PubsubTopic]) -> Sequence[int]:
    """Return the numbers of the shards, in ascending order."""
    return sorted(int(topic.rsplit("/", 1)[1]) for topic in pubsub_topics)
