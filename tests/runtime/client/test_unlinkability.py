"""
What the bytes that leave a sender's device tell: to whoever carries them, and to the server that opens them.

Spec 16 has each item name its chat and its author by hashes, so that the recipient's rules work and the phone finds
the chat. Whoever the server knows by that hash it recognises by it; everything else must tell nothing.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from hushbell import wire
from hushbell.core import envelope
from hushbell.core.client.events import Target
from hushbell.core.client.preview import Preview
from hushbell.crypto import ciphers, ecies, hashes, secp256k1, signatures, topics
from hushbell.errors import WireError
from hushbell.ports.transport import ReceivedMessage
from hushbell.runtime.client.account import Account
from hushbell.runtime.client.client import Client
from hushbell.runtime.clock import system_random
from hushbell.transports.bus import Bus, BusTransport
from hushbell.types import Envelope, KeyPair, PublicKey, SymmetricKey

ECIES_KEY = 65  # bytes at the beginning of what is sealed for a key: an ephemeral one


class Recording:
    """A transport that keeps what leaves."""

    def __init__(self, inner: BusTransport) -> None:
        self._inner = inner
        self.left: list[bytes] = []

    async def receive(self, limit: int) -> Sequence[ReceivedMessage]:
        return await self._inner.receive(limit)

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        self.left += [each.waku_message for each in envelopes]
        await self._inner.publish(envelopes)

    async def close(self) -> None:
        await self._inner.close()


@dataclass(frozen=True)
class Sender:
    """Somebody who rings, and what leaves their device."""

    client: Client
    account: Account
    wire: Recording

    async def rings(self, who: PublicKey, text: str = "") -> None:
        """Ring somebody in the chat between the two."""
        message_id, author = system_random(32), self.account.identity
        chat = hashes.contact_id(author.public)
        shown = Preview(message_id=message_id, chat_id=chat, author=author.public, text=text)
        target = self.client.sealed_for(author, who, shown) if text else Target(who)
        assert await self.account.ring(message_id, chat, [target])

    def names(self) -> dict[str, bytes]:
        """Return everything that would name the sender."""
        key, installation = self.account.identity.public, self.client.installation_id
        return {
            "key": key[1:33],  # its X, which all its forms begin with
            "hash": hashes.hash_public_key(key),
            "contact id": hashes.contact_id(key).encode(),
            "installation id": installation.encode(),
            "installation id as bytes": bytes.fromhex(installation.replace("-", "")),
        }


@dataclass(frozen=True)
class Seen:
    """What a server finds in one envelope."""

    waku: wire.WakuMessage
    frame: wire.Frame
    opened: envelope.OpenedEnvelope
    size: int

    @property
    def signer(self) -> PublicKey:
        """Who signed the frame."""
        assert self.frame.signature is not None
        return signatures.recover_frame_signer(self.frame.signed_part, self.frame.signature)

    def everything(self) -> bytes:
        """Return all bytes that the server has, inside and outside."""
        return self.frame.data + self.frame.padding + self.waku.payload + self.waku.content_topic.encode()


class Server:
    """A server that keeps everything it can open."""

    def __init__(self, identity: KeyPair, people: Sequence[PublicKey]) -> None:
        self._identity = identity
        self._queries: dict[str, SymmetricKey] = {}
        for person in people:
            name = topics.query_topic_name(hashes.hash_public_key(person))
            self._queries[topics.query_topic(hashes.hash_public_key(person))] = topics.topic_key(name)

    def opens(self, message: bytes) -> Seen:
        waku = envelope.open_waku(message)
        if waku.content_topic in self._queries:
            data = ciphers.open_symmetric(self._queries[waku.content_topic], waku.payload)
        else:
            data = ecies.decrypt(self._identity.private, waku.payload)
        frame = wire.decode_frame(data)
        return Seen(waku, frame, envelope.open_application(wire.unwrap_protocol_message(frame.data)), len(message))


@pytest.fixture
async def people(served: Any, bus: Bus) -> AsyncIterator[list[PublicKey]]:
    """Three who are registered with the server."""
    async with Client(bus.connect()) as client:
        accounts = [await client.account(secp256k1.key_pair(system_random)) for _ in range(3)]
        for account in accounts:
            await account.enable("device-token", servers=[served.identity.public])
        assert all(await asyncio.gather(*(account.registered(served.identity.public) for account in accounts)))
        yield [account.identity.public for account in accounts]


@pytest.fixture
async def new_sender(served: Any, bus: Bus) -> AsyncIterator[Callable[[], Any]]:
    """Return a maker of senders who are registered themselves, as everybody is."""
    async with AsyncExitStack() as stack:

        async def make() -> Sender:
            transport = Recording(bus.connect())
            client = await stack.enter_async_context(Client(transport))
            account = await client.account(secp256k1.key_pair(system_random))
            await account.enable("device-token", servers=[served.identity.public])
            assert await account.registered(served.identity.public)
            await account.learn(account.identity.public)  # after everything that a registration makes leave
            transport.left.clear()
            return Sender(client, account, transport)

        yield make


@pytest.fixture
def server(served: Any, people: list[PublicKey]) -> Server:
    return Server(served.identity, people)


async def test_the_sender_is_in_no_byte_outside_encryption(people: list[PublicKey], new_sender: Any) -> None:
    sender = await new_sender()

    for person in people:
        await sender.rings(person, "Hello")
        await sender.rings(person)

    outside = b"".join(sender.wire.left)
    assert len(sender.wire.left) == 9
    assert [name for name, mark in sender.names().items() if mark in outside] == []
    assert topics.partitioned_topic(sender.account.identity.public).encode() not in outside
    assert topics.contact_code_topic(sender.account.identity.public).encode() not in outside


async def test_the_sender_is_in_no_byte_that_the_server_opens_but_as_author_and_chat(
    people: list[PublicKey], new_sender: Any, server: Server
) -> None:
    sender = await new_sender()
    author = hashes.hash_author(sender.account.identity.public)

    for person in people:
        await sender.rings(person, "Hello")
    seen = [server.opens(message) for message in sender.wire.left]

    names = sender.names()
    for each in seen:
        inside = each.everything()
        request = each.opened.type == wire.ApplicationType.PUSH_NOTIFICATION_REQUEST
        assert inside.count(author) == (2 if request else 0)  # the author, and the chat that is named after the author
        assert [name for name, mark in names.items() if mark in inside.replace(author, b"")] == []
        assert sender.account.identity.public not in (each.signer, each.opened.sender)
    kinds = Counter(each.opened.type for each in seen)
    assert kinds == {
        wire.ApplicationType.PUSH_NOTIFICATION_QUERY: 3,
        wire.ApplicationType.PUSH_NOTIFICATION_REQUEST: 3,
    }


async def test_two_messages_of_one_sender_share_no_key_no_topic_and_no_randomness(
    people: list[PublicKey], new_sender: Any, server: Server
) -> None:
    sender = await new_sender()

    for person in (*people, *people):
        await sender.rings(person)
    seen = [server.opens(message) for message in sender.wire.left]

    assert len(seen) == 9
    for what in (
        [each.signer for each in seen],
        [each.opened.sender for each in seen],
        [each.opened.message_id for each in seen],
        [each.frame.padding for each in seen],
        [each.waku.payload[:ECIES_KEY] for each in seen],
    ):
        assert len(set(what)) == len(seen)
    assert all(each.signer == each.opened.sender for each in seen)
    # Requests travel on the server's own topic and queries on their target's: everybody's do.
    requests = {each.waku.content_topic for each in seen if _is_request(each)}
    queries = [each.waku.content_topic for each in seen if not _is_request(each)]
    assert len(requests) == 1
    assert queries == [topics.query_topic(hashes.hash_public_key(person)) for person in people]
    assert {bytes(each.waku.meta or b"") for each in seen} == {b""}


async def test_what_one_sender_sends_has_the_sizes_of_what_anybody_sends(
    people: list[PublicKey], new_sender: Any, server: Server
) -> None:
    texts = ("", "a", "Hello", "x" * 200)
    senders = [await new_sender() for _ in range(3)]

    for sender in senders:
        for text in texts:
            await sender.rings(people[0], text)

    sizes = [[server.opens(message).size for message in sender.wire.left] for sender in senders]
    assert sizes[0] == sizes[1] == sizes[2]
    inside = {len(server.opens(m).frame.signed_part) + 65 for sender in senders for m in sender.wire.left}
    assert all(size % 256 == 0 for size in inside)


async def test_another_server_opens_nothing(people: list[PublicKey], new_sender: Any) -> None:
    sender = await new_sender()
    stranger = Server(secp256k1.key_pair(system_random), [])

    await sender.rings(people[0])

    for message in sender.wire.left:
        with pytest.raises(WireError):
            stranger.opens(message)


def _is_request(each: Seen) -> bool:
    return each.opened.type == wire.ApplicationType.PUSH_NOTIFICATION_REQUEST
