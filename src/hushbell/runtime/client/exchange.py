"""One transport for any number of keys: each envelope is opened with the key whose topic it has, and handed over."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from hushbell.core import envelope
from hushbell.core.client import advert
from hushbell.core.client.events import Advertise, Effect, SendToKey, SendToTopic
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

BATCH = 256  # envelopes received at once
MAX_SEEN = 16_384  # hashes of envelopes kept, so that one which arrives twice is opened once
MAX_TOPIC_KEYS = 65_536  # kept; deriving one again takes 15 ms

RETRY_DELAYS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # seconds between attempts to publish what the transport refused
MAX_RETRYING = 1_024  # batches that are retried at the same time

Count = Callable[[str, int], None]


class EnvelopeListener(Protocol):
    """Receives opened envelopes."""

    def on_envelope(self, opened: OpenedEnvelope, to: PublicKey) -> None:
        """Handle an envelope for ``to``: a key that is listened to, or a person whose contact code is followed."""


class TopicKeys:
    """Symmetric keys of topics, each derived once and in a thread: a derivation takes 15 ms."""

    def __init__(self, most: int = MAX_TOPIC_KEYS) -> None:
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
    Seals and publishes messages, opens envelopes and hands them to listeners.

    Args:
        transport: sends and receives envelopes.
        clock: the time in sealed envelopes.
        random: unpredictable bytes.
        count: gets the names of what was dropped.
        pubsub_topic: the shard of all envelopes.
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
        self._private: dict[ContentTopic, dict[PublicKey, tuple[PrivateKey, EnvelopeListener]]] = {}
        self._codes: dict[ContentTopic, dict[PublicKey, tuple[SymmetricKey, dict[int, EnvelopeListener]]]] = {}
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._retries: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Receive envelopes until the transport is closed."""
        while envelopes := await self._transport.receive(BATCH):
            for each in envelopes:
                self._dispatch(each)
            await asyncio.sleep(0)
        for task in tuple(self._retries):
            task.cancel()

    def wants(self, content_topic: str) -> bool:
        """Say whether a listener has this topic: one look-up, for transports that discard the other envelopes."""
        return content_topic in self._private or content_topic in self._codes

    def listen(self, key: KeyPair, listener: EnvelopeListener) -> None:
        """Hand envelopes that are sealed for a key to the listener."""
        topic = topics.partitioned_topic(key.public)
        self._private.setdefault(topic, {})[key.public] = (key.private, listener)
        self._update_subscription(topic)

    def ignore(self, key: PublicKey) -> None:
        """Stop listening to a key."""
        topic = topics.partitioned_topic(key)
        keys = self._private.get(topic, {})
        keys.pop(key, None)
        if not keys:
            self._private.pop(topic, None)
        self._update_subscription(topic)

    async def follow(self, target: PublicKey, listener: EnvelopeListener) -> None:
        """Hand a person's contact codes to the listener."""
        key = await self._topic_keys.key(topics.contact_code_topic_name(target))
        known = self._codes.setdefault(topics.contact_code_topic(target), {})
        known.setdefault(target, (key, {}))[1][id(listener)] = listener
        self._update_subscription(topics.contact_code_topic(target))

    def unfollow(self, target: PublicKey, listener: EnvelopeListener) -> None:
        """Stop handing a person's contact codes to the listener."""
        topic = topics.contact_code_topic(target)
        known = self._codes.get(topic, {})
        if target in known:
            known[target][1].pop(id(listener), None)
            if not known[target][1]:
                del known[target]
        if not known:
            self._codes.pop(topic, None)
        self._update_subscription(topic)

    def _update_subscription(self, topic: ContentTopic) -> None:
        """Subscribe to or unsubscribe from a topic, on a transport that receives subscribed topics only."""
        if self._selective is None:
            return
        if self.wants(topic):
            self._selective.listen_to((topic,))
        else:
            self._selective.ignore((topic,))

    async def carry_out(self, effects: Iterable[Effect], identity: KeyPair, installation_id: str) -> None:
        """
        Seal and publish. What the transport refuses is retried for 16 seconds.

        After that it is dropped and counted; the rules repeat a message that has no response.
        """
        envelopes = await self.seal(effects, identity, installation_id)
        if envelopes and not await self.publish(envelopes):
            self._retry(envelopes)

    async def seal(self, effects: Iterable[Effect], identity: KeyPair, installation_id: str) -> Sequence[Envelope]:
        """Return each effect in a new envelope."""
        return [Envelope(self._pubsub_topic, await self._seal(effect, identity, installation_id)) for effect in effects]

    async def publish(self, envelopes: Sequence[Envelope]) -> bool:
        """Publish once; say whether the transport accepted the envelopes."""
        try:
            await self._transport.publish(envelopes)
        except TransportError:
            self._count("client_publish_failures", 1)
            return False
        self._count("client_bytes_sent", sum(len(envelope.waku_message) for envelope in envelopes))
        return True

    def _retry(self, envelopes: Sequence[Envelope]) -> None:
        """Retry soon: a phone often has no peer in its first seconds."""
        if len(self._retries) >= MAX_RETRYING:
            self._count("client_envelopes_lost", len(envelopes))
            return
        task = asyncio.create_task(self._publish_with_retries(envelopes))
        self._retries.add(task)
        task.add_done_callback(self._retries.discard)

    async def _publish_with_retries(self, envelopes: Sequence[Envelope]) -> None:
        for wait in RETRY_DELAYS:
            await self._clock.sleep(wait)
            if await self.publish(envelopes):
                return
        self._count("client_envelopes_lost", len(envelopes))

    async def _seal(self, effect: Effect, identity: KeyPair, installation_id: str) -> bytes:
        timestamp = nanos(self._clock.now())
        match effect:
            case SendToKey():
                return envelope.seal_to_key(
                    effect.application,
                    recipient=effect.recipient,
                    signer=effect.signer,
                    content_topic=effect.content_topic,
                    timestamp=timestamp,
                    random=self._random,
                )
            case SendToTopic():
                return envelope.seal_with_key(
                    effect.application,
                    key=await self._topic_keys.key(effect.topic_name),
                    signer=effect.signer,
                    content_topic=topics.content_topic(topics.topic4(effect.topic_name)),
                    timestamp=timestamp,
                    random=self._random,
                )
            case Advertise():
                return advert.seal_advert(
                    effect.application,
                    installation_id=InstallationId(installation_id),
                    client=identity,
                    key=await self._topic_keys.key(topics.contact_code_topic_name(identity.public)),
                    timestamp=timestamp,
                    random=self._random,
                )

    def _dispatch(self, received: ReceivedMessage) -> None:
        self._count("client_envelopes", 1)
        try:
            waku = envelope.open_waku(received.waku_message)
        except WireError:
            self._count("client_envelopes_malformed", 1)
            return
        topic = ContentTopic(waku.content_topic)
        private, codes = self._private.get(topic), self._codes.get(topic)
        if (private is None and codes is None) or self._is_duplicate(received.waku_message):
            return
        self._count("client_bytes_received", len(received.waku_message))
        if codes is not None and self._open_code(waku, codes):
            return
        for public, (key, listener) in tuple((private or {}).items()):
            try:
                opened = envelope.open_with_private(waku.payload, key)
            except WireError:
                continue
            listener.on_envelope(opened, public)
            return

    def _open_code(
        self, waku: WakuMessage, codes: dict[PublicKey, tuple[SymmetricKey, dict[int, EnvelopeListener]]]
    ) -> bool:
        for target, (key, listeners) in codes.items():
            try:
                opened = envelope.open_with_symmetric(waku.payload, key)
            except WireError:
                continue
            for listener in tuple(listeners.values()):
                listener.on_envelope(opened, target)
            return True
        return False

    def _is_duplicate(self, message: bytes) -> bool:
        digest = hashlib.sha256(message).digest()
        if digest in self._seen:
            return True
        self._seen[digest] = None
        if len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)
        return False
