"""A simulated phone: it registers, asks and rings over any transport."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Self, TypeVar
from uuid import UUID

from hushbell import wire
from hushbell.core import envelope
from hushbell.core.client import advert, query, registration, request
from hushbell.core.client.query import Info
from hushbell.core.client.registration import Device, Last, Options
from hushbell.crypto import hashes, secp256k1, topics
from hushbell.errors import HushbellError, TransportError, WireError
from hushbell.ports.transport import Transport
from hushbell.types import (
    DEFAULT_PUBSUB_TOPIC,
    ContentTopic,
    DeviceToken,
    Envelope,
    InstallationId,
    KeyPair,
    MessageId,
    Nanos,
    NotificationType,
    PublicKey,
    PubsubTopic,
    Random,
    RequestId,
    SymmetricKey,
    TokenType,
)

BATCH = 256  # envelopes taken at once
EPHEMERAL_KEYS = 64  # that still listen; an answer to an older one is missed
RESEND = request.ANSWER_WAIT  # seconds to wait for an answer before the same bytes are sent again
PATIENCE = 10.0  # seconds until a call gives up

Clock = Callable[[], Nanos]
Answer = TypeVar("Answer")


class NoAnswer(HushbellError, TimeoutError):
    """Nobody answered in time; whether the message arrived is unknown. Calling again is safe."""


class Phone:
    """
    One device of one user, on one transport.

    Args:
        transport: where its envelopes go and come from.
        identity: the account's key.
        clock: now, in nanoseconds.
        random: unpredictable bytes.
        installation_id: which of the account's devices this is; drawn if not given.
        pubsub_topic: the shard everything travels on.
        resend: seconds to wait for an answer before the same message is sent again, in a new envelope: a network that
            relays none twice would not carry the old one to a server that was away.
        patience: seconds until a call raises NoAnswer.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        identity: KeyPair,
        clock: Clock,
        random: Random,
        installation_id: InstallationId | None = None,
        pubsub_topic: PubsubTopic = DEFAULT_PUBSUB_TOPIC,
        resend: float = RESEND,
        patience: float = PATIENCE,
    ) -> None:
        self.identity = identity
        self.installation_id = installation_id or InstallationId(str(UUID(bytes=random(16), version=4)))
        self._pubsub_topic = pubsub_topic
        self._transport = transport
        self._clock = clock
        self._random = random
        self._resend = resend
        self._patience = patience
        self.resent = 0  # messages that had left before
        self._last: Last | None = None
        self._servers: list[PublicKey] = []  # that accepted the last registration sent to them
        self._adverts: dict[PublicKey, tuple[Info, ...]] = {}
        self._topic_keys: dict[ContentTopic, SymmetricKey] = {}
        self._listening: dict[ContentTopic, list[KeyPair]] = {}
        self._ephemeral: list[KeyPair] = []
        self._waiting: set[Callable[[envelope.Opened], None]] = set()
        self._reader: asyncio.Task[None] | None = None
        self._listen(identity)

    async def __aenter__(self) -> Self:
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave the transport."""
        await self._transport.close()
        if self._reader:
            await self._reader

    async def register(
        self,
        server: PublicKey,
        device_token: DeviceToken,
        token_type: TokenType = TokenType.APN,
        *,
        options: Options | None = None,
        apn_topic: str = "",
    ) -> registration.Answer:
        """Register, or register again with the next version; the answer may be a refusal. Raises NoAnswer."""
        device = Device(
            installation_id=self.installation_id,
            device_token=device_token,
            token_type=token_type,
            apn_topic=apn_topic,
        )
        self._last = registration.registered(options or Options(), device, self._last, self.identity, self._random)
        return await self._send_registration(server)

    async def unregister(self, server: PublicKey) -> registration.Answer:
        """End the registration. Raises NoAnswer."""
        self._last = registration.unregistered(self.installation_id, self._last)
        return await self._send_registration(server)

    async def advertise(self) -> None:
        """Say how to ring this device, on its account's contact code topic; nothing if no server accepted it."""
        if self._last is None or not self._servers:
            return
        application = advert.advert(self._last, self._servers, self.identity)
        if application is None:
            return
        message = advert.sealed(
            application,
            installation_id=self.installation_id,
            client=self.identity,
            key=await _topic_key(topics.contact_code_topic_name(self.identity.public)),
            timestamp=self._clock(),
            random=self._random,
        )
        await self._transport.publish([Envelope(self._pubsub_topic, message)])

    async def follow(self, target: PublicKey) -> None:
        """Listen to somebody's contact code topic from now on."""
        if target in self._adverts:
            return
        key = await _topic_key(topics.contact_code_topic_name(target))
        self._topic_keys[topics.contact_code_topic(target)] = key
        self._adverts[target] = ()

        def keep(opened: envelope.Opened) -> None:
            with suppress(WireError):
                heard = query.advertised(opened, target, self.identity.private)
                self._adverts[target] = query.newest(dict.fromkeys((*self._adverts[target], *heard)))

        self._waiting.add(keep)

    async def discover(self, target: PublicKey) -> tuple[Info, ...]:
        """Return how to ring somebody as they advertise it. Raises NoAnswer: they say nothing in time."""
        await self.follow(target)
        if not query.must_ask(self._adverts[target]):
            return self._adverts[target]
        return await self._ask(None, lambda opened: query.advertised(opened, target, self.identity.private))

    async def query(self, target: PublicKey) -> tuple[Info, ...]:
        """Return how to ring somebody. Raises NoAnswer: nobody who knows answered."""
        signer = self._fresh_key()
        asked = query.query(target, signer)
        name = topics.query_topic_name(hashes.hash_public_key(target))
        key = await _topic_key(name)

        def seal() -> bytes:
            return envelope.seal_with_key(
                asked.application,
                key=key,
                signer=signer,
                content_topic=topics.content_topic(topics.topic4(name)),
                timestamp=self._clock(),
                random=self._random,
            )

        pending = {MessageId(asked.message_id): target}
        return query.newest(await self._ask(seal, lambda opened: query.answer(opened, pending, self.identity.private)))

    async def notify(
        self,
        target: PublicKey | Sequence[Info],
        message_id: bytes,
        chat_id: str,
        type: NotificationType = NotificationType.MESSAGE,  # noqa: A002  the field's own word
        message: bytes = b"",
    ) -> tuple[wire.Report, ...]:
        """
        Ring every device of somebody, or those of the infos, each through one server; return all reports.

        Raises NoAnswer: a server did not answer.
        """
        infos = await self._known(PublicKey(target)) if isinstance(target, bytes) else target
        signer = self._fresh_key()
        ringing = request.Ringing(message_id, chat_id, type, self.identity.public, message)
        asked = request.requests(request.chosen(infos, self._random), ringing, signer)
        answers = await asyncio.gather(*(self.send(each, signer) for each in asked))
        return tuple(report for reports in answers for report in reports)

    async def send(self, asked: request.Asked, signer: KeyPair) -> tuple[wire.Report, ...]:
        """Send one request, or the same again, which gets the stored answer and rings nobody twice."""
        topic = topics.partitioned_topic(asked.server)
        seal = partial(self._seal, asked.application, asked.server, signer, topic)
        return await self._ask(seal, lambda opened: request.reports(opened, asked))

    async def _send_registration(self, server: PublicKey) -> registration.Answer:
        assert self._last is not None
        sent = registration.sealed(self._last.registration, self.identity, server, self._random)
        seal = partial(self._seal, sent.application, server, self.identity, topics.personal_topic(server))
        pending = {RequestId(sent.request_id): server}
        answer = await self._ask(seal, lambda opened: registration.answer(opened, pending))
        if server in self._servers:
            self._servers.remove(server)
        if answer.success and not self._last.registration.unregister:
            self._servers.append(server)
        return answer

    async def _known(self, target: PublicKey) -> tuple[Info, ...]:
        advertised = self._adverts.get(target, ())
        return await self.query(target) if query.must_ask(advertised) else advertised

    async def _ask(self, seal: Callable[[], bytes] | None, read: Callable[[envelope.Opened], Answer]) -> Answer:
        """Send, or only listen, until something arrives that ``read`` believes."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def take(opened: envelope.Opened) -> None:
            try:
                believed = read(opened)
            except WireError:
                return
            if not answered.done():
                answered.set_result(believed)

        self._waiting.add(take)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    if seal is None:
                        return await answered
                    return await self._send_until(answered, seal)
        finally:
            self._waiting.discard(take)
        raise NoAnswer("nobody answered")

    async def _send_until(self, answered: "asyncio.Future[Answer]", seal: Callable[[], bytes]) -> Answer:
        message = seal()
        while True:
            # Whatever the transport did not take is sent again below, as it is.
            with suppress(TransportError):
                await self._transport.publish([Envelope(self._pubsub_topic, message)])
                message = b""
            done, _pending = await asyncio.wait({answered}, timeout=self._resend)
            if done:
                return answered.result()
            if not message:
                self.resent += 1
                message = seal()

    def _seal(self, application: bytes, recipient: PublicKey, signer: KeyPair, topic: ContentTopic) -> bytes:
        return envelope.seal_to_key(
            application,
            recipient=recipient,
            signer=signer,
            content_topic=topic,
            timestamp=self._clock(),
            random=self._random,
        )

    def _fresh_key(self) -> KeyPair:
        """Return a key that nobody can link to us, and listen for answers to it."""
        key = secp256k1.key_pair(self._random)
        self._listen(key)
        self._ephemeral.append(key)
        if len(self._ephemeral) > EPHEMERAL_KEYS:
            old = self._ephemeral.pop(0)
            topic = topics.partitioned_topic(old.public)
            self._listening[topic].remove(old)
            if not self._listening[topic]:
                del self._listening[topic]
        return key

    def _listen(self, key: KeyPair) -> None:
        self._listening.setdefault(topics.partitioned_topic(key.public), []).append(key)

    async def _read(self) -> None:
        while came := await self._transport.receive(BATCH):
            for each in came:
                opened = self._open(each)
                if opened is not None:
                    for take in tuple(self._waiting):
                        take(opened)

    def _open(self, came: Envelope) -> envelope.Opened | None:
        try:
            waku = envelope.open_waku(came.waku_message)
        except WireError:
            return None
        for key in self._listening.get(ContentTopic(waku.content_topic), ()):
            try:
                return envelope.open_with_private(waku, key.private)
            except WireError:
                continue
        topic_key = self._topic_keys.get(ContentTopic(waku.content_topic))
        if topic_key is not None:
            with suppress(WireError):
                return envelope.open_with_symmetric(waku, topic_key)
        return None


async def _topic_key(name: str) -> SymmetricKey:
    return await asyncio.to_thread(topics.topic_key, name)
