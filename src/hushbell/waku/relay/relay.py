"""
The driver of the relay: streams of a libp2p host on one side, topics and messages on the other.

A message is read, validated, forwarded and delivered within one call; it waits in no queue of the relay.
"""

import asyncio
from collections.abc import Callable
from hashlib import sha256

from hushbell.errors import TooLarge, TransportError, Undecodable
from hushbell.ports.clock import Clock
from hushbell.ports.metrics import Count
from hushbell.types import Millis, Random
from hushbell.waku.libp2p.stream import PeerId, StreamHost
from hushbell.waku.relay.cache import MessageCache, SeenIds
from hushbell.waku.relay.gossip import Gossip
from hushbell.waku.relay.mesh import Mesh
from hushbell.waku.relay.peer_streams import ConnectionInfo, PeerStreams
from hushbell.waku.relay.peers import Peers
from hushbell.waku.relay.rpc import (
    Control,
    RelayMessage,
    RelayRpc,
    TopicFrames,
    control_frames,
    message_frame,
    topic_tail,
)
from hushbell.waku.relay.score import DeliveryWindows, Scores
from hushbell.waku.relay.settings import RelaySettings
from hushbell.waku.relay.validation import MessageValidator, ValidationResult

_MALFORMED = 10.0  # penalty points; the fourth time a peer is below the graylist's threshold
_REFUSALS = {result: f"relay_refused_{result.name.lower()}" for result in ValidationResult}


def ignore_message(_topic: str, _data: bytes) -> None:
    """Do nothing with a message."""


class Relay:
    """
    Waku's relay on a host.

    Args:
        host: opens and accepts streams. clock: for back-offs, scores and dates of messages. random: the choice among
        peers. count: ``relay_*`` counters. validator: the node's own rule for (pubsub topic, message); a message that
        it refuses does not lower the peer's score.
        connection_info: address and direction of a peer's connection, which the scores and the mesh need.

    ``on_message`` is called once with each message (pubsub topic, serialised WakuMessage) of a subscribed topic, not
    with those published here.
    """

    def __init__(
        self,
        host: StreamHost,
        settings: RelaySettings,
        *,
        clock: Clock,
        random: Random,
        count: Count,
        validator: Callable[[str, bytes], bool] | None = None,
        connection_info: Callable[[PeerId], ConnectionInfo] = lambda _: ConnectionInfo("", outbound=False),
    ) -> None:
        self.on_message: Callable[[str, bytes], object] = ignore_message
        self.topic_frames = TopicFrames()
        self._settings = settings
        self._clock = clock
        self._count = count
        self._validator = validator
        self._seen = SeenIds(settings, count)
        self._cache = MessageCache(settings, count)
        self._scores = Scores(settings.scoring, count)
        self._deliveries = DeliveryWindows(self._scores, settings.scoring.topic)
        self._peers = Peers(settings.limits, count)
        self._mesh = Mesh(settings, peers=self._peers, scores=self._scores, random=random, count=count)
        self._gossip = Gossip(
            settings,
            self._mesh,
            peers=self._peers,
            scores=self._scores,
            cache=self._cache,
            seen=self._seen,
            random=random,
            count=count,
        )
        self._accepted = self._duplicates = 0  # counted on at heartbeats
        self._heartbeat_task: asyncio.Task[None] | None = None
        self._peer_streams = PeerStreams(
            host, settings.limits, self, clock=clock, count=count, connection_info=connection_info
        )
        # Looked up once: each message needs them.
        self._queues = self._peer_streams.queues
        self._seen_ids = self._seen.ids
        self._members = self._mesh.members
        self._promises = self._gossip.promises
        self._counts_duplicates = self._scores.counts_duplicates
        self._validate = MessageValidator(settings).validate

    def start(self) -> None:
        """Start the heartbeats."""
        self._heartbeat_task = asyncio.get_running_loop().create_task(self._run_heartbeats())

    async def close(self) -> None:
        """Leave every topic and end the streams."""
        for topic in list(self._mesh.members):
            self.unsubscribe(topic)
        if self._heartbeat_task is not None:
            self._heartbeat_task.cancel()
            await asyncio.gather(self._heartbeat_task, return_exceptions=True)
        await self._peer_streams.close()

    def subscribe(self, topic: str) -> None:
        """Join a topic: its messages are passed to ``on_message`` and forwarded to other peers."""
        self._check_topic(topic)
        self.topic_frames.add(topic)
        self._mesh.join(topic, self._clock.now())
        self._send_control()

    def unsubscribe(self, topic: str) -> None:
        """Leave a topic."""
        self.topic_frames.remove(topic)
        self._mesh.leave(topic, self._clock.now())
        self._send_control()

    def publish(self, topic: str, data: bytes) -> int:
        """
        Send a serialised WakuMessage to every subscribed peer and return how many there are now.

        With 0 nothing was sent and nothing is remembered: publish it again when there are peers. A message that this
        relay has sent or forwarded before is not sent again.

        Raises:
            TooLarge: over the bound of a message.
            Undecodable: other nodes would not relay the message.
            TransportError: too many topics, or the topic's name is too long.
        """
        self._check_topic(topic)
        now = self._clock.now()
        result = self._validate(data, now)
        if result:
            raise (TooLarge if result is ValidationResult.LARGE else Undecodable)(
                f"other nodes would refuse it: {result.name}"
            )
        receivers = self._mesh.receivers(topic, now)
        key = sha256(data).digest()
        if key in self._seen_ids:
            return len(receivers)
        frame = message_frame(data, topic_tail(topic))
        sent = 0
        for queue in [self._queues[peer] for peer in receivers]:  # a list: a write may end a connection
            sent += queue.publish(frame)
        if sent:
            self._seen.add(key, now)
            self._cache.put(key, topic, frame)
        return sent

    async def wait_for_room(self) -> None:
        """Return when no peer has frames waiting, at the latest after :data:`peer_streams.MAX_WAIT_SECONDS`."""
        await self._peer_streams.wait_for_room()

    def subscribers(self, topic: str) -> int:
        """Return how many peers are subscribed to a topic of ours."""
        return len(self._peers.listening.get(topic, ()))

    def mesh(self, topic: str) -> int:
        """Return how many peers are in the mesh of a topic."""
        return len(self._mesh.members.get(topic, ()))

    def score(self, peer: PeerId) -> float:
        """Return a peer's score."""
        return self._scores.of(peer)

    def heartbeat(self) -> None:
        """Run one heartbeat: scores, queues, mesh and gossip."""
        now = self._clock.now()
        self._count("relay_accepted", self._accepted)
        self._count("relay_duplicates", self._duplicates)
        self._accepted = self._duplicates = 0
        self._scores.heartbeat(now)
        self._peers.reset_counts()
        self._deliveries.expire(now)
        for peer, queue in list(self._queues.items()):
            reason = queue.heartbeat()
            if reason is not None:
                self._peer_streams.cut(peer, reason)
            elif self.is_graylisted(peer):
                self._peer_streams.cut(peer, "relay_cut_graylisted")
        self._mesh.heartbeat(now)
        self._gossip.heartbeat(now)
        self._send_control()

    def message(self, peer: PeerId, topic: str, data: bytes, frame: bytes) -> None:
        """Forward a message that a peer sent, and pass it to ``on_message``, if it is new and valid."""
        key = sha256(data).digest()
        if key in self._seen_ids:
            self._duplicates += 1
            if self._counts_duplicates:
                self._deliveries.on_duplicate(key, peer, topic, self._clock.now())
            return
        now = self._clock.now()
        result = self._validate(data, now)
        if self._validator is not None and not result and not self._validator(topic, data):
            result = ValidationResult.REFUSED
        if self._promises:
            self._promises.pop(key, None)
        if result:
            self._refused(peer, topic, result)
            return
        self._seen.add(key, now)
        self._cache.put(key, topic, frame)
        self._accepted += 1
        queues = self._queues
        for other in [*self._members[topic]]:  # a copy: a write may end a connection
            if other != peer and (queue := queues.get(other)) is not None:
                queue.forward(frame)
        self._scores.on_delivery(peer, topic)
        if self._counts_duplicates:
            self._deliveries.on_first(key, peer, now)
        self.on_message(topic, data)

    def rpc(self, peer: PeerId, rpc: RelayRpc) -> None:
        """Process an RPC that is not a single message."""
        now = self._clock.now()
        if rpc.control.subscriptions:
            self._mesh.on_subscriptions(peer, rpc.control.subscriptions, now)
        for message in rpc.messages:
            self._parsed(peer, message)
            if peer not in self._queues:
                return  # it was cut
        self._controlled(peer, rpc.control, now)
        self._cut_if_graylisted(peer)
        self._send_control()

    def _parsed(self, peer: PeerId, message: RelayMessage) -> None:
        topic = message.topic
        if topic is None or topic not in self._members:
            self._count("relay_refused_topic", 1)
        elif message.signed:
            self._count("relay_refused_signed", 1)
            self._refused(peer, topic, ValidationResult.INVALID)
        else:
            self.message(peer, topic, message.data, message_frame(message.data, topic_tail(topic)))

    def _controlled(self, peer: PeerId, control: Control, now: Millis) -> None:
        for topic, ids in control.ihave:
            self._gossip.on_ihave(peer, topic, ids, now)
        queue = self._queues[peer]
        for frame in self._gossip.on_iwant(peer, control.iwant) if control.iwant else ():
            queue.forward(frame)
        if peer in self._queues:  # a write may end a connection
            self._mesh.on_graft(peer, control.graft, now)
            self._mesh.on_prune(peer, control.prune, now)
        if control.exchanged:
            self._count("relay_peers_not_followed", control.exchanged)

    def malformed(self, peer: PeerId) -> None:
        """Penalise a peer whose bytes are no RPC or over a limit; its stream is reset."""
        self._count("relay_malformed", 1)
        self._scores.penalise(peer, _MALFORMED, self._clock.now())
        self._cut_if_graylisted(peer)

    def _refused(self, peer: PeerId, topic: str, result: ValidationResult) -> None:
        self._count(_REFUSALS[result], 1)
        if result is ValidationResult.INVALID:
            self._scores.invalid(peer, topic, self._clock.now())
            self._cut_if_graylisted(peer)

    def _check_topic(self, topic: str) -> None:
        if topic in self._peers.listening:
            return
        limits = self._settings.limits
        if not topic or len(topic.encode()) > limits.topic_name:
            raise TransportError("a topic's name is empty or too long")
        if len(self._peers.listening) >= limits.topics:
            raise TransportError("too many topics")

    def _send_control(self) -> None:
        for peer, control in self._peers.pop_control().items():
            queue = self._queues.get(peer)
            if queue is not None:
                for frame in control_frames(control, self._settings.limits.iwant_batch):
                    queue.control(frame)

    def on_peer(self, peer: PeerId, origin: ConnectionInfo) -> None:
        """Add a peer and send it our subscriptions."""
        self._scores.connected(peer, origin.address)
        self._scores.refresh(peer, self._clock.now())
        self._peers.add(peer, outbound=origin.outbound)
        self._mesh.connected(peer)
        self._send_control()

    def on_peer_gone(self, peer: PeerId) -> None:
        """Remove a peer."""
        self._mesh.disconnected(peer)
        self._gossip.forget(peer)
        self._peers.remove(peer)
        self._scores.disconnected(peer, self._clock.now())

    def is_graylisted(self, peer: PeerId) -> bool:
        """Return whether a peer's score is below the graylist's threshold."""
        return self._scores.of(peer) < self._settings.scoring.graylist_threshold

    def _cut_if_graylisted(self, peer: PeerId) -> None:
        if self.is_graylisted(peer):
            self._peer_streams.cut(peer, "relay_cut_graylisted")

    async def _run_heartbeats(self) -> None:
        while True:
            await self._clock.sleep(self._settings.heartbeat / 1000)
            self.heartbeat()
