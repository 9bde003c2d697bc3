"""One transport for any number of accounts: each envelope is opened by whoever listens on its topic."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from hushbell.core import envelope
from hushbell.core.client import advert
from hushbell.core.client.events import Advertise, Effect, Post, Send
from hushbell.core.envelope import OpenedEnvelope
from hushbell.crypto import topics
from hushbell.errors import TransportError, WireError
from hushbell.ports.clock import Clock
from hushbell.ports.transport import ReceivedMessage, SelectiveTransport, Transport
from hushbell.runtime.clock import nanos
from hushbell.types import (
    ContentTopic,
    Envelope,
    InstallationId,
    KeyPair,
    PrivateKey,
    PublicKey,
    PubsubTopic,
    Random,
    SymmetricKey,
)
from hushbell.wire import WakuMessage

BATCH = 256  # envelopes taken at once
MOST_SEEN = 16_384  # envelopes remembered, so that one which comes twice is opened once
MOST_TOPIC_KEYS = 65_536  # derived keys remembered; deriving one again costs 15 ms

REPEATS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # seconds between attempts to publish what the transport did not take
MOST_REPEATING = 1_024  # batches that are tried again at the same time

Count = Callable[[str, int], None]


class Listener(Protocol):
    """Whom envelopes are for."""

    def heard(self, opened: OpenedEnvelope, to: PublicKey) -> None:
        """Take what was opened with the key that answers ``to``."""
        ...


class TopicKeys:
    """Keys of topics, each derived once and away from the event loop: a derivation takes 15 ms."""

    def __init__(self, most: int = MOST_TOPIC_KEYS) -> None:
        self._most = most
        self._keys: OrderedDict[str, asyncio.Future[SymmetricKey]] = OrderedDict()

    async def key(self, name: str) -> SymmetricKey:
        """Return the key of a topic."""
        known = self._keys.get(name)
        if known is None:
            known = asyncio.ensure_future(asyncio.to_thread(topics.topic_key, name))
            self._keys[name] = known
            while len(self._keys) > self._most:
                self._keys.popitem(last=False)
        self._keys.move_to_end(name)
        return await asyncio.shield(known)


class EnvelopeExchange:
    """
    Everybody's letter box and post office.

    Args:
        transport: where envelopes come and go.
        clock: the time that envelopes carry.
        random: unpredictable bytes.
        count: gets the names of what was dropped.
        pubsub_topic: the shard everything travels on.
        topic_keys: may be shared between exchanges of one process.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Clock,
        random: Random,
        count: Count,
        pubsub_topic: PubsubTopic,
        topic_keys: TopicKeys | None = None,
    ) -> None:
        self._transport = transport
        self._selective = transport if isinstance(transport, SelectiveTransport) else None
        self._clock = clock
        self._random = random
        self._count = count
        self._pubsub_topic = pubsub_topic
        self._topic_keys = topic_keys or TopicKeys()
        self._private: dict[ContentTopic, dict[PublicKey, tuple[PrivateKey, Listener]]] = {}
        self._codes: dict[ContentTopic, dict[PublicKey, tuple[SymmetricKey, dict[int, Listener]]]] = {}
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._repeating: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Take envelopes until the transport is closed."""
        while came := await self._transport.receive(BATCH):
            for each in came:
                self._take(each)
            await asyncio.sleep(0)
        for task in tuple(self._repeating):
            task.cancel()

    def wants(self, content_topic: str) -> bool:
        """Say whether anybody listens there: a look-up, for a transport that can spare the rest."""
        return content_topic in self._private or content_topic in self._codes

    def listen(self, key: KeyPair, listener: Listener) -> None:
        """Hear what is sealed for a key."""
        topic = topics.partitioned_topic(key.public)
        self._private.setdefault(topic, {})[key.public] = (key.private, listener)
        self._select(topic)

    def ignore(self, key: PublicKey) -> None:
        """Hear no more of it."""
        topic = topics.partitioned_topic(key)
        keys = self._private.get(topic, {})
        keys.pop(key, None)
        if not keys:
            self._private.pop(topic, None)
        self._select(topic)

    async def follow(self, target: PublicKey, listener: Listener) -> None:
        """Hear somebody's contact codes."""
        key = await self._topic_keys.key(topics.contact_code_topic_name(target))
        known = self._codes.setdefault(topics.contact_code_topic(target), {})
        known.setdefault(target, (key, {}))[1][id(listener)] = listener
        self._select(topics.contact_code_topic(target))

    def unfollow(self, target: PublicKey, listener: Listener) -> None:
        """Hear no more of them."""
        topic = topics.contact_code_topic(target)
        known = self._codes.get(topic, {})
        if target in known:
            known[target][1].pop(id(listener), None)
            if not known[target][1]:
                del known[target]
        if not known:
            self._codes.pop(topic, None)
        self._select(topic)

    def _select(self, topic: ContentTopic) -> None:
        """Tell a transport that brings only what is asked for."""
        if self._selective is None:
            return
        if self.wants(topic):
            self._selective.listen_to((topic,))
        else:
            self._selective.ignore((topic,))

    async def carry_out(self, effects: Iterable[Effect], identity: KeyPair, installation_id: str) -> None:
        """
        Seal and publish. What the transport does not take is tried again for some seconds.

        After that it is lost: the rules send it again when it is missed.
        """
        envelopes = await self.sealed(effects, identity, installation_id)
        if envelopes and not await self.publish(envelopes):
            self._repeat(envelopes)

    async def sealed(self, effects: Iterable[Effect], identity: KeyPair, installation_id: str) -> Sequence[Envelope]:
        """Return what shall leave, in new envelopes."""
        return [
            Envelope(self._pubsub_topic, await self._sealed(effect, identity, installation_id)) for effect in effects
        ]

    async def publish(self, envelopes: Sequence[Envelope]) -> bool:
        """Publish once; say whether the transport took it."""
        try:
            await self._transport.publish(envelopes)
        except TransportError:
            self._count("client_publish_failures", 1)
            return False
        self._count("client_bytes_sent", sum(len(envelope.waku_message) for envelope in envelopes))
        return True

    def _repeat(self, envelopes: Sequence[Envelope]) -> None:
        """Try again soon: a phone often has no peer in its first seconds."""
        if len(self._repeating) >= MOST_REPEATING:
            self._count("client_envelopes_lost", len(envelopes))
            return
        task = asyncio.create_task(self._publish_later(envelopes))
        self._repeating.add(task)
        task.add_done_callback(self._repeating.discard)

    async def _publish_later(self, envelopes: Sequence[Envelope]) -> None:
        for wait in REPEATS:
            await self._clock.sleep(wait)
            if await self.publish(envelopes):
                return
        self._count("client_envelopes_lost", len(envelopes))

    async def _sealed(self, effect: Effect, identity: KeyPair, installation_id: str) -> bytes:
        timestamp = nanos(self._clock.now())
        match effect:
            case Send():
                return envelope.seal_to_key(
                    effect.application,
                    recipient=effect.recipient,
                    signer=effect.signer,
                    content_topic=effect.content_topic,
                    timestamp=timestamp,
                    random=self._random,
                )
            case Post():
                return envelope.seal_with_key(
                    effect.application,
                    key=await self._topic_keys.key(effect.topic_name),
                    signer=effect.signer,
                    content_topic=topics.content_topic(topics.topic4(effect.topic_name)),
                    timestamp=timestamp,
                    random=self._random,
                )
            case Advertise():
                return advert.sealed(
                    effect.application,
                    installation_id=InstallationId(installation_id),
                    client=identity,
                    key=await self._topic_keys.key(topics.contact_code_topic_name(identity.public)),
                    timestamp=timestamp,
                    random=self._random,
                )

    def _take(self, came: ReceivedMessage) -> None:
        self._count("client_envelopes", 1)
        try:
            waku = envelope.open_waku(came.waku_message)
        except WireError:
            self._count("client_envelopes_malformed", 1)
            return
        topic = ContentTopic(waku.content_topic)
        private, codes = self._private.get(topic), self._codes.get(topic)
        if (private is None and codes is None) or self._repeated(came.waku_message):
            return
        self._count("client_bytes_received", len(came.waku_message))
        if codes is not None and self._open_code(waku, codes):
            return
        for public, (key, listener) in tuple((private or {}).items()):
            try:
                opened = envelope.open_with_private(waku.payload, key)
            except WireError:
                continue
            listener.heard(opened, public)
            return

    def _open_code(self, waku: WakuMessage, codes: dict[PublicKey, tuple[SymmetricKey, dict[int, Listener]]]) -> bool:
        for target, (key, listeners) in codes.items():
            try:
                opened = envelope.open_with_symmetric(waku.payload, key)
            except WireError:
                continue
            for listener in tuple(listeners.values()):
                listener.heard(opened, target)
            return True
        return False

    def _repeated(self, message: bytes) -> bool:
        name = hashlib.sha256(message).digest()
        if name in self._seen:
            return True
        self._seen[name] = None
        if len(self._seen) > MOST_SEEN:
            self._seen.popitem(last=False)
        return False
