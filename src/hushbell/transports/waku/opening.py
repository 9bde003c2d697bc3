"""Make a transport from settings: on a node of our own, or on an operator's node over REST."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hushbell.config.node import NodeSettings
from hushbell.ports.clock import Clock
from hushbell.ports.http import HttpClient
from hushbell.ports.metrics import Count
from hushbell.transports.waku.relay import WakuTransport
from hushbell.transports.waku.rest import RestNode, RestTransport
from hushbell.types import ContentTopic, PubsubTopic, Random
from hushbell.waku.inbox.message_queue import MessageQueue
from hushbell.waku.inbox.missing_messages import MissingMessages
from hushbell.waku.inbox.seen_window import SeenFile
from hushbell.waku.node import Node

Topics = Mapping[PubsubTopic, Sequence[ContentTopic]]
"""What is queried from stores after a gap: by shard, at most 10 content topics each."""


async def open_waku(
    node: Node,
    settings: NodeSettings,
    *,
    topics: Topics,
    folder: Path | None,
    clock: Clock,
    random: Random,
    count: Count,
) -> WakuTransport:
    """
    Return the transport on a node of our own, not connected yet.

    Without a folder the window of messages is in memory only. Raises StoreError.
    """
    queue = await _open_queue(settings, folder, clock, count)
    missing = MissingMessages(
        queue=queue,
        stores=node.stores.histories,
        topics=topics,
        clock=clock,
        random=random,
        count=count,
        interval=settings.reconcile,
        max_age=settings.catch_up,
    )
    node.add_reader(queue.add)
    node.stores.on_found = lambda stores: missing.request_round(gap=stores == 1)
    return WakuTransport(node=node, queue=queue, missing=missing, clock=clock, count=count, pace=settings.pace)


async def open_rest(
    http: HttpClient,
    settings: NodeSettings,
    *,
    topics: Topics,
    folder: Path | None,
    clock: Clock,
    random: Random,
    count: Count,
) -> RestTransport:
    """Return the transport on an operator's node, not connected yet. Raises StoreError."""
    node = RestNode(http, settings.rest, settings.rest_dialect)
    queue = await _open_queue(settings, folder, clock, count)
    missing = MissingMessages(
        queue=queue,
        stores=lambda: [node],
        topics=topics,
        clock=clock,
        random=random,
        count=count,
        interval=settings.reconcile,
        max_age=settings.catch_up,
    )
    return RestTransport(
        node=node,
        queue=queue,
        missing=missing,
        clock=clock,
        random=random,
        count=count,
        pubsub_topics=tuple(topics),
    )


async def _open_queue(settings: NodeSettings, folder: Path | None, clock: Clock, count: Count) -> MessageQueue:
    return await MessageQueue.open(
        clock=clock,
        count=count,
        file=None if folder is None else SeenFile(folder / "seen.db"),
        max_seen=settings.seen,
        seen_seconds=settings.seen_for,
        max_messages=settings.inbox,
        message_limit=settings.message,
    )
