"""The load: envelopes sealed in advance, and a loop that keeps so many of them in flight and times the answers."""

import asyncio
import os
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hushbell import wire
from hushbell.core import envelope
from hushbell.core.client import registration, request
from hushbell.core.client.query import Info
from hushbell.crypto import secp256k1, topics
from hushbell.errors import WireError
from hushbell.transports.socket import SocketBusTransport
from hushbell.types import (
    DEFAULT_PUBSUB_TOPIC,
    AccessToken,
    ContentTopic,
    DeviceToken,
    Envelope,
    InstallationId,
    KeyPair,
    Nanos,
    NotificationType,
    PublicKey,
    TokenType,
)
from hushbell.wire.messages import NotificationResponse, RegistrationResponse, WakuMessage

BATCH = 256  # answers taken at once
SILENCE = 60.0  # seconds without an answer after which the benchmark gives up
CHAT = "0x04" + "ab" * 64


@dataclass(frozen=True, slots=True)
class Message:
    """One envelope, and the key its answer is sealed to."""

    envelope: Envelope
    receiver: KeyPair
    answers_on: ContentTopic


@dataclass(slots=True)
class Answered:
    """What came back to one phase."""

    seconds: float  # from the first envelope sent to the last answer
    latencies: list[float]  # seconds, in order of the answers
    good: int  # of the answers that were opened
    opened: int
    answers: list[bytes] = field(default_factory=list, repr=False)


def _sealed(application: bytes, server: PublicKey, signer: KeyPair, topic: ContentTopic) -> Message:
    message = envelope.seal_to_key(
        application,
        recipient=server,
        signer=signer,
        content_topic=topic,
        timestamp=Nanos(time.time_ns()),
        random=os.urandom,
    )
    return Message(Envelope(DEFAULT_PUBSUB_TOPIC, message), signer, topics.partitioned_topic(signer.public))


def registrations(server: PublicKey, count: int) -> tuple[list[Message], list[Info]]:
    """Return registrations of so many new users, and how to ring each."""
    messages, infos = [], []
    topic = topics.personal_topic(server)
    for _ in range(count):
        client = secp256k1.key_pair(os.urandom)
        device = registration.Device(
            installation_id=InstallationId(f"{int.from_bytes(os.urandom(16)):032x}"),
            device_token=DeviceToken(os.urandom(32).hex()),
            token_type=TokenType.APN,
            apn_topic="org.example.messenger",
        )
        last = registration.next_registration(registration.Options(), device, None, client, os.urandom)
        sealed = registration.seal_registration(last.registration, client, server, os.urandom)
        messages.append(_sealed(sealed.application, server, client, topic))
        token = AccessToken(last.registration.access_token)
        infos.append(
            Info(
                target=client.public,
                server=server,
                installation_id=device.installation_id,
                access_token=token,
                version=last.registration.version,
            )
        )
    return messages, infos


def requests(server: PublicKey, infos: Sequence[Info], count: int) -> list[Message]:
    """Return requests that ring the devices in turn; each has its own message and its own ephemeral sender key."""
    author = secp256k1.key_pair(os.urandom).public
    topic = topics.partitioned_topic(server)
    messages = []
    for number in range(count):
        signer = secp256k1.key_pair(os.urandom)
        ringing = request.NotificationContent(os.urandom(32), CHAT, NotificationType.MESSAGE, author)
        (asked,) = request.build_requests([infos[number % len(infos)]], ringing, signer)
        messages.append(_sealed(asked.application, server, signer, topic))
    return messages


async def feed(bus: Path, messages: Sequence[Message], in_flight: int, *, sample: int = 40) -> Answered:
    """
    Keep so many messages in flight until each is answered.

    Answers are matched by content topic, which up to a few keys share; a mismatch swaps two latencies.
    """
    transport = await SocketBusTransport.connect(bus)
    sent: defaultdict[str, deque[float]] = defaultdict(deque)
    waiting = deque(messages)
    came: list[bytes] = []
    latencies: list[float] = []

    async def send(count: int) -> None:
        some = [waiting.popleft() for _ in range(min(count, len(waiting)))]
        now = time.perf_counter()
        for message in some:
            sent[message.answers_on].append(now)
        await transport.publish([message.envelope for message in some])

    start = time.perf_counter()
    await send(in_flight)
    while len(came) < len(messages):
        async with asyncio.timeout(SILENCE):
            answers = await transport.receive(BATCH)
        now = time.perf_counter()
        for answer in answers:
            topic = wire.decode(WakuMessage, answer.waku_message).content_topic
            latencies.append(now - sent[topic].popleft())
            came.append(answer.waku_message)
        await send(len(answers))
    seconds = time.perf_counter() - start
    await transport.close()
    good, opened = _check(messages, came, sample)
    return Answered(seconds, latencies, good, opened, came)


def _check(messages: Sequence[Message], answers: Sequence[bytes], sample: int) -> tuple[int, int]:
    """Open some of the answers, spread over all, and return how many of how many say success."""
    keys: defaultdict[str, list[KeyPair]] = defaultdict(list)
    for message in messages:
        keys[message.answers_on].append(message.receiver)
    some = answers[:: max(1, len(answers) // sample)]
    return sum(_is_success(answer, keys) for answer in some), len(some)


def _is_success(answer: bytes, keys: defaultdict[str, list[KeyPair]]) -> bool:
    waku = envelope.open_waku(answer)
    for key in keys[waku.content_topic]:
        try:
            opened = envelope.open_with_private(waku.payload, key.private)
        except WireError:
            continue
        if opened.type == wire.ApplicationType.PUSH_NOTIFICATION_RESPONSE:
            return [report.success for report in wire.decode(NotificationResponse, opened.payload).reports] == [True]
        return wire.decode(RegistrationResponse, opened.payload).success
    return False
