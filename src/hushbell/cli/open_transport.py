"""
The transport of a server, as the settings say: a Unix socket, a Waku node within, or an operator's node over REST.

Each kind is imported when it is opened: a server on a socket loads nothing of Waku.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from hushbell.config.settings import Settings
from hushbell.crypto import topics
from hushbell.errors import ConfigError
from hushbell.observability.metrics import Counters
from hushbell.ports.transport import Transport
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.types import ContentTopic, PublicKey, PubsubTopic

TopicRoute = Callable[[str], object]
"""Returns what messages on a content topic are to the server; a false value: they do not concern it."""


async def _ignore_route(route: TopicRoute) -> None:
    """Receive everything: nothing was left to start."""


@dataclass(frozen=True, slots=True)
class OpenTransport:
    """A transport, how it is started, and its part of the ready line."""

    transport: Transport
    facts: Callable[[], Mapping[str, object]]
    start: Callable[[TopicRoute], Awaitable[None]] = _ignore_route
    """Receive messages that have a route. Raises TransportError, ConfigError: the network cannot be joined."""


async def open_transport(
    settings: Settings, identity: PublicKey, *, folder: Path, clock: SystemClock, counters: Counters
) -> OpenTransport:
    """
    Return the transport of the server with this key.

    Raises:
        ConfigError, StoreError, TransportError: it cannot be opened.
    """
    if bus := settings.transport.bus:
        from hushbell.transports.socket import SocketBusServer

        socket = await SocketBusServer.listen(Path(bus), count=counters.count)
        return OpenTransport(socket, lambda: {"addresses": [], "bus": bus})
    return await open_network(settings, identity, folder=folder, clock=clock, counters=counters)


async def open_network(
    settings: Settings, identity: PublicKey, *, folder: Path, clock: SystemClock, counters: Counters
) -> OpenTransport:
    """Return a transport on Waku. Raises as :func:`open_transport`."""
    if settings.node.rest:
        return await _open_rest(settings, identity, folder, clock, counters)
    return await _open_waku(settings, identity, folder, clock, counters)


async def _open_waku(
    settings: Settings, identity: PublicKey, folder: Path, clock: SystemClock, counters: Counters
) -> OpenTransport:
    from hushbell.cli.node import open_node
    from hushbell.transports.waku.opening import open_waku

    shards = _shards(settings)
    node = await open_node(settings, folder, shards, clock, counters)
    transport = await open_waku(
        node,
        settings.node,
        topics=_own_topics(identity, shards),
        folder=folder,
        clock=clock,
        random=system_random,
        count=counters.count,
    )
    return OpenTransport(transport, lambda: {"addresses": node.addresses}, partial(_start, transport))


async def _open_rest(
    settings: Settings, identity: PublicKey, folder: Path, clock: SystemClock, counters: Counters
) -> OpenTransport:
    from hushbell.config.gateway import HttpSettings
    from hushbell.http.curl import CurlHttp
    from hushbell.transports.waku.opening import open_rest
    from hushbell.transports.waku.rest import MAX_RESPONSE

    transport = await open_rest(
        CurlHttp(HttpSettings(answer=MAX_RESPONSE)),
        settings.node,
        topics=_own_topics(identity, _shards(settings)),
        folder=folder,
        clock=clock,
        random=system_random,
        count=counters.count,
    )
    return OpenTransport(transport, lambda: {"addresses": []}, partial(_start, transport))


class _RoutedTransport(Transport, Protocol):
    def set_route(self, route: TopicRoute) -> None: ...
    async def start(self) -> None: ...


async def _start(transport: _RoutedTransport, route: TopicRoute) -> None:
    transport.set_route(route)
    await transport.start()


def _shards(settings: Settings) -> Sequence[PubsubTopic]:
    """Return the shards that the server listens to. Raises ConfigError: the node is of another cluster."""
    shards = [PubsubTopic(topic) for topic in settings.server.pubsub_topics]
    ours = f"/waku/2/rs/{settings.node.cluster}/"
    if not settings.node.rest and not all(shard.startswith(ours) for shard in shards):
        raise ConfigError(f"server.pubsub_topics: must be of node.cluster, such as {ours}{settings.node.shards[0]}")
    return shards


def _own_topics(identity: PublicKey, shards: Sequence[PubsubTopic]) -> Mapping[PubsubTopic, Sequence[ContentTopic]]:
    """Return the topics of registrations and requests for the server."""
    own = (topics.personal_topic(identity), topics.partitioned_topic(identity))
    return dict.fromkeys(shards, own)
