"""Flood a service in this process and print how many MiB its memory grew at most: ``flood.py KIND``."""

import asyncio
import os
import resource
import sys
from collections import Counter

from hushbell import wire
from hushbell.config.gateway import Texts
from hushbell.core import envelope
from hushbell.crypto import ciphers, grants, hashes, secp256k1, topics
from hushbell.runtime.clock import system_random
from hushbell.runtime.server.app import delivery_app
from hushbell.runtime.server.service import ServerService
from hushbell.stores.memory.server import MemoryServerStore
from hushbell.testing.clock import FakeClock
from hushbell.transports.bus import Bus
from hushbell.types import DEFAULT_PUBSUB_TOPIC, SECONDS_PER_DAY, AccessToken, Envelope, Nanos, SymmetricKey
from hushbell.wire.messages import ApplicationType, Query, Registration, WakuMessage

SERVER, ALICE = secp256k1.key_pair_from(b"\1" * 32), secp256k1.key_pair_from(b"\2" * 32)
OWNER = hashes.hash_public_key(ALICE.public)
QUERY_KEY = SymmetricKey(b"\7" * 32)
TOKEN = AccessToken("b6ae4fde-bb65-11ea-b3de-0242ac130004")
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss


def message(payload: bytes, type_: ApplicationType) -> bytes:
    return envelope.seal_to_key(
        envelope.sign_application(payload, type_, ALICE),
        recipient=SERVER.public,
        signer=ALICE,
        content_topic=topics.partitioned_topic(SERVER.public),
        timestamp=Nanos(1),
        random=system_random,
    )


def registration(number: int) -> bytes:
    """Just under 512 KiB, all of which a query would return."""
    plaintext = wire.encode(
        Registration(
            token_type=1,
            device_token="token",
            installation_id=f"{number:08x}-bb65-11ea-b3de-0242ac130004",
            access_token=TOKEN,
            enabled=True,
            version=1,
            allow_from_contacts_only=True,
            allowed_key_list=(b"k" * 4096,) * 127,
            grant=grants.make_grant(ALICE, SERVER.public, TOKEN),
        )
    )
    shared = envelope.registration_key(ALICE.private, SERVER.public)
    return message(
        ciphers.seal_gcm(shared, system_random(12), plaintext), ApplicationType.PUSH_NOTIFICATION_REGISTRATION
    )


def query(key_hashes: tuple[bytes, ...]) -> bytes:
    payload = wire.encode(Query(public_keys=key_hashes))
    return envelope.seal_with_key(
        envelope.sign_application(payload, ApplicationType.PUSH_NOTIFICATION_QUERY, ALICE),
        key=QUERY_KEY,
        signer=ALICE,
        content_topic=topics.query_topic(OWNER),
        timestamp=Nanos(1),
        random=system_random,
    )


def flood(kind: str) -> list[bytes]:
    """One of each message, to be sent many times."""
    topic = topics.partitioned_topic(SERVER.public)
    match kind:
        case "envelopes":
            return [wire.encode(WakuMessage(payload=b"\4" * (1024 * 1024 - 200), content_topic=topic, version=1))] * 200
        case "items":
            return [message(b"\x0a\x00" * 390_000, ApplicationType.PUSH_NOTIFICATION_REQUEST)] * 30
        case "keys":
            return [message(b"\x0a\x02ab" * 190_000, ApplicationType.PUSH_NOTIFICATION_QUERY)] * 100
        case "queries":
            return [query((OWNER,))] * 15
    raise AssertionError(kind)


async def main(kind: str) -> None:
    bus, counters, store = Bus(), Counter[str](), MemoryServerStore(random=os.urandom)
    await store.keep_query_key(OWNER, QUERY_KEY)
    service = await ServerService.start(
        identity=SERVER,
        store=store,
        transport=bus.connect(),
        app=delivery_app({}, Texts(), ttl=SECONDS_PER_DAY),
        clock=FakeClock(manual=True),
        random=system_random,
        count=lambda name, number: counters.update({name: number}),
    )
    running = asyncio.create_task(service.run())
    stranger = bus.connect()
    largest = 0

    async def send(messages: list[bytes]) -> None:
        nonlocal largest
        done = counters["envelopes_received"] + len(messages)
        listening = asyncio.create_task(listen())
        for one in messages:  # a copy each, as a socket would make it
            await stranger.publish([Envelope(DEFAULT_PUBSUB_TOPIC, bytes(bytearray(one)))])
        while counters["envelopes_received"] < done or not service.is_idle:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        listening.cancel()

    async def listen() -> None:
        nonlocal largest
        while True:
            for received in await stranger.receive(1):
                largest = max(largest, len(received.waku_message))

    if kind == "queries":
        for number in range(32):
            await send([registration(number)])
    messages = flood(kind)
    largest = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await send(messages)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    service.stop()
    await running
    print(grown * UNIT // 1024**2, largest, counters["batches_failed"], counters["answers"])  # noqa: T201  read by the test


asyncio.run(main(sys.argv[1]))
