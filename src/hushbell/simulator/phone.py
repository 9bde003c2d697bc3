"""
A phone without rules of its own: each call sends one message, repeats it until the response, and returns that.

For tests, demonstrations and load that examine every response. An app embeds ``hushbell.Client``, which decides what
to send.
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

RESEND_INTERVAL = request.RESPONSE_TIMEOUT  # seconds until the same message is sent again
TIMEOUT = 10.0  # seconds until a call fails

Answer = TypeVar("Answer")


class NoAnswer(HushbellError, TimeoutError):
    """There was no response in time; whether the message arrived is unknown. Calling again is safe."""


class Phone:
    """
    One device of one user, on one transport.

    Args:
        transport: sends and receives its envelopes; closed with the phone.
        identity: the account's key.
        clock: the time in sealed envelopes.
        random: unpredictable bytes.
        installation_id: of this device; drawn at random if not given.
        pubsub_topic: the shard of all envelopes.
        resend: seconds until the same message is sent again. It gets a new envelope, because a network that relays an
            envelope once would not carry the old one to a server that was away.
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
        resend: float = RESEND_INTERVAL,
        patience: float = TIMEOUT,
    ) -> None:
        self.identity = identity
        self.installation_id = installation_id or InstallationId(str(UUID(bytes=random(16), version=4)))
        self.resent = 0  # messages that were sent again
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
        self._handlers: set[Callable[[OpenedEnvelope], None]] = set()
        self._exchange_task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._exchange_task = asyncio.create_task(self._exchange.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the transport."""
        await self._transport.close()
        if self._exchange_task is not None:
            await self._exchange_task

    async def register(
        self,
        server: PublicKey,
        device_token: DeviceToken,
        token_type: TokenType = TokenType.APN,
        *,
        options: Options | None = None,
        apn_topic: str = "",
    ) -> registration.RegistrationResult:
        """Register, or register again with the next version; the result may be a refusal. Raises NoAnswer."""
        device = Device(
            installation_id=self.installation_id,
            device_token=device_token,
            token_type=token_type,
            apn_topic=apn_topic,
        )
        self._last = registration.next_registration(
            options or Options(), device, self._last, self.identity, self._random
        )
        return await self._send_registration(server, self._last)

    async def unregister(self, server: PublicKey) -> registration.RegistrationResult:
        """Unregister. Raises NoAnswer."""
        self._last = registration.next_unregistration(self.installation_id, self._last)
        return await self._send_registration(server, self._last)

    async def query(self, target: PublicKey) -> tuple[Info, ...]:
        """Return the infos of a person from the first server that responds. Raises NoAnswer."""
        async with self._ephemeral() as signer:
            message = query.build_query(target, signer)
            name = topics.query_topic_name(hashes.hash_public_key(target))
            pending = {MessageId(message.message_id): target}
            post = SendToTopic(application=message.application, topic_name=name, signer=signer)
            return query.newest(
                await self._request(post, lambda opened: query.read_response(opened, pending, self.identity.private))
            )

    async def notify(
        self,
        infos: Sequence[Info],
        message_id: bytes,
        chat_id: str,
        type: NotificationType = NotificationType.MESSAGE,  # noqa: A002  the field's own word
        message: bytes = b"",
    ) -> tuple[wire.Report, ...]:
        """Send each server of the infos one request; return all reports. Raises NoAnswer."""
        async with self._ephemeral() as signer:
            ringing = request.NotificationContent(message_id, chat_id, type, self.identity.public, message)
            asked = request.build_requests(infos, ringing, signer)
            answers = await asyncio.gather(*(self.send(each, signer) for each in asked))
        return tuple(report for reports in answers for report in reports)

    async def send(self, asked: request.RequestMessage, signer: KeyPair) -> tuple[wire.Report, ...]:
        """Send a request. The same one again gets the stored response and no second notification. Raises NoAnswer."""
        return await self._request(
            SendToKey(
                application=asked.application,
                recipient=asked.server,
                signer=signer,
                content_topic=topics.partitioned_topic(asked.server),
            ),
            lambda opened: request.read_reports(opened, asked),
        )

    def on_envelope(self, opened: OpenedEnvelope, to: PublicKey) -> None:  # noqa: ARG002  the answer names what it is for
        """Hand an envelope that the exchange opened to the calls that wait."""
        for handler in tuple(self._handlers):
            handler(opened)

    async def _send_registration(self, server: PublicKey, last: LastRegistration) -> registration.RegistrationResult:
        sealed = registration.seal_registration(last.registration, self.identity, server, self._random)
        pending = {RequestId(sealed.request_id): server}
        return await self._request(
            SendToKey(
                application=sealed.application,
                recipient=server,
                signer=self.identity,
                content_topic=topics.personal_topic(server),
            ),
            lambda opened: registration.read_response(opened, pending),
        )

    async def _request(self, effect: Effect, read: Callable[[OpenedEnvelope], Answer]) -> Answer:
        """Send until an envelope arrives that ``read`` accepts."""
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def on_envelope(opened: OpenedEnvelope) -> None:
            with suppress(WireError):
                result = read(opened)
                if not done.done():
                    done.set_result(result)

        self._handlers.add(on_envelope)
        try:
            async with asyncio.timeout(self._patience):
                return await self._send_until(done, effect)
        except TimeoutError:
            raise NoAnswer("no response") from None
        finally:
            self._handlers.discard(on_envelope)

    async def _send_until(self, done: "asyncio.Future[Answer]", effect: Effect) -> Answer:
        was_sent = False
        while True:
            self.resent += was_sent
            sealed = await self._exchange.seal([effect], self.identity, self.installation_id)
            was_sent = await self._exchange.publish(sealed) or was_sent
            await asyncio.wait({done}, timeout=self._resend)
            if done.done():
                return done.result()

    @asynccontextmanager
    async def _ephemeral(self) -> AsyncIterator[KeyPair]:
        """Listen to a new key that no observer can link to the identity."""
        key = secp256k1.key_pair(self._random)
        self._exchange.listen(key, self)
        try:
            yield key
        finally:
            self._exchange.ignore(key.public)
