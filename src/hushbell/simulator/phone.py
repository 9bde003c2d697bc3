"""
A phone worked by hand: each call sends one message, and again until it is answered, and returns the answer.

For tests, demonstrations and load that need every answer in hand. An app embeds ``hushbell.Client``, which decides by
itself what to send.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Self, TypeVar
from uuid import UUID

from hushbell import wire
from hushbell.core.client import query, registration, request
from hushbell.core.client.events import Effect, SendToKey, SendToTopic
from hushbell.core.client.query import Info
from hushbell.core.client.registration import Device, LastRegistration, Options
from hushbell.core.envelope import OpenedEnvelope
from hushbell.crypto import hashes, secp256k1, topics
from hushbell.errors import HushbellError, WireError
from hushbell.ports.clock import Clock
from hushbell.ports.transport import Transport
from hushbell.runtime.client.exchange import EnvelopeExchange
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.types import (
    DEFAULT_PUBSUB_TOPIC,
    DeviceToken,
    InstallationId,
    KeyPair,
    MessageId,
    NotificationType,
    PublicKey,
    PubsubTopic,
    Random,
    RequestId,
    TokenType,
)

RESEND = request.RESPONSE_TIMEOUT  # seconds to wait for an answer before the same bytes are sent again
PATIENCE = 10.0  # seconds until a call gives up

Answer = TypeVar("Answer")


class NoAnswer(HushbellError, TimeoutError):
    """Nobody answered in time; whether the message arrived is unknown. Calling again is safe."""


class Phone:
    """
    One device of one user, on one transport.

    Args:
        transport: where its envelopes go and come from; closed with the phone.
        identity: the account's key.
        clock: the time that envelopes carry.
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
        clock: Clock | None = None,
        random: Random = system_random,
        installation_id: InstallationId | None = None,
        pubsub_topic: PubsubTopic = DEFAULT_PUBSUB_TOPIC,
        resend: float = RESEND,
        patience: float = PATIENCE,
    ) -> None:
        self.identity = identity
        self.installation_id = installation_id or InstallationId(str(UUID(bytes=random(16), version=4)))
        self.resent = 0  # messages that had left before
        self._transport = transport
        self._random = random
        self._resend = resend
        self._patience = patience
        self._last: LastRegistration | None = None
        self._exchange = EnvelopeExchange(
            transport,
            clock=clock or SystemClock(),
            random=random,
            count=lambda _name, _times: None,
            pubsub_topic=pubsub_topic,
        )
        self._exchange.listen(identity, self)
        self._waiting: set[Callable[[OpenedEnvelope], None]] = set()
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._reading = asyncio.create_task(self._exchange.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave the transport."""
        await self._transport.close()
        if self._reading is not None:
            await self._reading

    async def register(
        self,
        server: PublicKey,
        device_token: DeviceToken,
        token_type: TokenType = TokenType.APN,
        *,
        options: Options | None = None,
        apn_topic: str = "",
    ) -> registration.RegistrationResult:
        """Register, or register again with the next version; the answer may be a refusal. Raises NoAnswer."""
        device = Device(
            installation_id=self.installation_id,
            device_token=device_token,
            token_type=token_type,
            apn_topic=apn_topic,
        )
        self._last = registration.next_registration(
            options or Options(), device, self._last, self.identity, self._random
        )
        return await self._tell(server, self._last)

    async def unregister(self, server: PublicKey) -> registration.RegistrationResult:
        """End the registration. Raises NoAnswer."""
        self._last = registration.next_unregistration(self.installation_id, self._last)
        return await self._tell(server, self._last)

    async def query(self, target: PublicKey) -> tuple[Info, ...]:
        """Return how to ring somebody, as the first who knows says. Raises NoAnswer: nobody who knows answered."""
        async with self._ephemeral() as signer:
            asked = query.build_query(target, signer)
            name = topics.query_topic_name(hashes.hash_public_key(target))
            pending = {MessageId(asked.message_id): target}
            post = SendToTopic(application=asked.application, topic_name=name, signer=signer)
            return query.newest(
                await self._ask(post, lambda opened: query.read_response(opened, pending, self.identity.private))
            )

    async def notify(
        self,
        infos: Sequence[Info],
        message_id: bytes,
        chat_id: str,
        type: NotificationType = NotificationType.MESSAGE,  # noqa: A002  the field's own word
        message: bytes = b"",
    ) -> tuple[wire.Report, ...]:
        """Ask each server of the infos once to ring their devices; return all reports. Raises NoAnswer."""
        async with self._ephemeral() as signer:
            ringing = request.NotificationContent(message_id, chat_id, type, self.identity.public, message)
            asked = request.build_requests(infos, ringing, signer)
            answers = await asyncio.gather(*(self.send(each, signer) for each in asked))
        return tuple(report for reports in answers for report in reports)

    async def send(self, asked: request.RequestMessage, signer: KeyPair) -> tuple[wire.Report, ...]:
        """Send one request, or the same again, which gets the stored answer and rings nobody twice. Raises NoAnswer."""
        return await self._ask(
            SendToKey(
                application=asked.application,
                recipient=asked.server,
                signer=signer,
                content_topic=topics.partitioned_topic(asked.server),
            ),
            lambda opened: request.read_reports(opened, asked),
        )

    def on_envelope(self, opened: OpenedEnvelope, to: PublicKey) -> None:  # noqa: ARG002  the answer names what it is for
        """Take what the exchange opened for this phone."""
        for take in tuple(self._waiting):
            take(opened)

    async def _tell(self, server: PublicKey, last: LastRegistration) -> registration.RegistrationResult:
        sealed = registration.seal_registration(last.registration, self.identity, server, self._random)
        pending = {RequestId(sealed.request_id): server}
        return await self._ask(
            SendToKey(
                application=sealed.application,
                recipient=server,
                signer=self.identity,
                content_topic=topics.personal_topic(server),
            ),
            lambda opened: registration.read_response(opened, pending),
        )

    async def _ask(self, effect: Effect, read: Callable[[OpenedEnvelope], Answer]) -> Answer:
        """Send until something arrives that ``read`` believes."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def take(opened: OpenedEnvelope) -> None:
            with suppress(WireError):
                believed = read(opened)
                if not answered.done():
                    answered.set_result(believed)

        self._waiting.add(take)
        try:
            async with asyncio.timeout(self._patience):
                return await self._send_until(answered, effect)
        except TimeoutError:
            raise NoAnswer("nobody answered") from None
        finally:
            self._waiting.discard(take)

    async def _send_until(self, answered: "asyncio.Future[Answer]", effect: Effect) -> Answer:
        left = False
        while True:
            self.resent += left
            sealed = await self._exchange.seal([effect], self.identity, self.installation_id)
            left = await self._exchange.publish(sealed) or left
            done, _pending = await asyncio.wait({answered}, timeout=self._resend)
            if done:
                return answered.result()

    @asynccontextmanager
    async def _ephemeral(self) -> AsyncIterator[KeyPair]:
        """Listen to a key that nobody can link to us."""
        key = secp256k1.key_pair(self._random)
        self._exchange.listen(key, self)
        try:
            yield key
        finally:
            self._exchange.ignore(key.public)
