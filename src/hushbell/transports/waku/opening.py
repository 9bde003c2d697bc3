"""From settings to a transport: a node of our own, or an operator's over REST."""

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
"""What is asked of stores after a gap: by shard, at most 10 content topics each."""


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
    Return the transport on a node of our own; nothing is connected yet.

    Without a folder what was seen is forgotten at the end. Raises StoreUnavailable.
    """
    receiving = await _receiving(settings, folder, clock, count)
    catching_up = MissingMessages(
        receiving=receiving,
        stores=node.stores,
        topics=topics,
        clock=clock,
        random=random,
        count=count,
        every=settings.reconcile,
        back=settings.catch_up,
    )
    node.read(receiving.arrived)
    node.on_store(lambda stores: catching_up.soon(gap=stores == 1))
    return WakuTransport(
        network=node, receiving=receiving, catching_up=catching_up, clock=clock, count=count, pace=settings.pace
    )


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
    """Return the transport on an operator's node; nothing is connected yet. Raises StoreUnavailable."""
    node = RestNode(http, settings.rest, settings.rest_dialect)
    receiving = await _receiving(settings, folder, clock, count)
    catching_up = MissingMessages(
        receiving=receiving,
        stores=lambda: [node],
        topics=topics,
        clock=clock,
        random=random,
        count=count,
        every=settings.reconcile,
        back=settings.catch_up,
    )
    return RestTransport(
        node=node,
        receiving=receiving,
        catching_up=catching_up,
        clock=clock,
        random=random,
        count=count,
        pubsub_topics=tuple(topics),
    )


async def _receiving(settings: NodeSettings, folder: Path | None, clock: Clock, count: Count) -> MessageQueue:
    return await MessageQueue.open(
        clock=clock,
        count=count,
        file=None if folder is None else SeenFile(folder / "seen.db"),
        seen=settings.seen,
        seen_for=settings.seen_for,
        waiting=settings.inbox,
        message_limit=settings.message,
    )
