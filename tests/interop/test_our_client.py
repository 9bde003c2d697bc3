"""Our client against the unmodified server of status-go: register, find, ring, be refused, leave."""

import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hushbell.core.client.events import Result, Target
from hushbell.core.client.lifecycles import RegistrationState
from hushbell.core.client.registration import Options
from hushbell.crypto.hashes import contact_id, hash_author, hash_chat_id, hash_public_key
from hushbell.testing.mock.server import MockProviders
from hushbell.transports.socket import SocketBusServer
from hushbell.types import KeyPair, NotificationType, PublicKey, TokenType

pytestmark = pytest.mark.interop

DEVICE_TOKEN = "0123456789abcdef" * 4
OTHER_DEVICE_TOKEN = "f" * 64
CHAT = "0x" + "ab" * 32
SHORT = 5.0  # seconds for what nobody will answer


@dataclass(frozen=True)
class Served:
    """status-go's server, and the bus it is on."""

    key: PublicKey
    peer: Any

    async def handled(self, kind: str, number: int) -> None:
        """Wait until the server has taken so many messages of a kind."""
        await self.peer.event("handled", number=number, type=f"PUSH_NOTIFICATION_{kind}")


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Path]:
    path = tmp_path / "bus.sock"
    server = await SocketBusServer.listen(path)
    yield path
    await server.close()


@pytest.fixture
async def server(start_peer: Any, bus: Path, gorush: MockProviders, new_key: Callable[[], KeyPair]) -> Served:
    key = new_key()
    return Served(key.public, await start_peer("server", bus, "-gorush", gorush.plain_url, key=key))


def rung(gorush: MockProviders) -> list[str]:
    """Return the device tokens that were rung, in order."""
    return [token for posted in gorush.requests for item in posted.json["notifications"] for token in item["tokens"]]


async def registered(device: Any, server: Served, token: str = DEVICE_TOKEN, **how: Any) -> None:
    await device.account.enable(token, servers=[server.key], **how)
    assert await device.account.registered(server.key)


async def test_our_client_registers_and_rings_another(
    server: Served, bus: Path, new_device: Any, gorush: MockProviders
) -> None:
    alice, bob = await new_device(bus), await new_device(bus)

    await registered(alice, server, apn_topic="im.status.ethereum")
    ended = await bob.ring(alice, CHAT)

    assert [one.result for one in ended] == [Result.ACCEPTED]
    [posted] = gorush.requests[0].json["notifications"]
    assert posted["tokens"] == [DEVICE_TOKEN]
    assert posted["platform"] == TokenType.APN
    assert posted["topic"] == "im.status.ethereum"
    assert posted["data"]["chatId"] == "0x" + hash_chat_id(CHAT).hex()
    assert posted["data"]["publicKey"] == "0x" + hash_public_key(alice.key).hex()


async def test_a_preview_reaches_the_phone_and_nobody_else_reads_it(
    server: Served, bus: Path, new_device: Any, gorush: MockProviders
) -> None:
    alice, bob = await new_device(bus), await new_device(bus)
    chat = contact_id(bob.key)
    alice.client.join_chats(alice.key, [chat])
    await registered(alice, server)

    await bob.ring(alice, chat, text="Hello Alice")

    data = gorush.requests[0].json["notifications"][0]["data"]
    [shown] = await alice.client.pushed(data)
    assert (shown.text, shown.author, shown.chat_id) == ("Hello Alice", bob.key, chat)
    assert await bob.client.pushed(data) == []


async def test_registering_again_leaves_only_the_new_device_token_to_ring(
    server: Served, bus: Path, new_device: Any, gorush: MockProviders
) -> None:
    alice, bob = await new_device(bus), await new_device(bus)
    await registered(alice, server)

    await registered(alice, server, OTHER_DEVICE_TOKEN, token_type=TokenType.FIREBASE)
    await bob.ring(alice, CHAT)

    [posted] = gorush.requests[0].json["notifications"]
    assert (posted["tokens"], posted["platform"]) == ([OTHER_DEVICE_TOKEN], TokenType.FIREBASE)


async def test_a_device_that_forgot_its_version_catches_up(
    server: Served, bus: Path, new_device: Any, gorush: MockProviders
) -> None:
    alice, bob = await new_device(bus), await new_device(bus)
    for token in ("1" * 64, "2" * 64, "3" * 64):
        await registered(alice, server, token)
    forgetful = await new_device(bus, key=alice.identity, installation_id=alice.client.installation_id)

    await registered(forgetful, server, OTHER_DEVICE_TOKEN)  # status-go calls its versions 1 and 2 and 4 a mismatch
    await bob.ring(alice, CHAT)

    assert rung(gorush) == [OTHER_DEVICE_TOKEN]


async def test_two_devices_ring_with_one_request(
    server: Served, bus: Path, new_device: Any, gorush: MockProviders
) -> None:
    phone, bob = await new_device(bus), await new_device(bus)
    tablet = await new_device(bus, key=phone.identity)
    await registered(phone, server)
    await registered(tablet, server, OTHER_DEVICE_TOKEN)

    ended = await bob.ring(phone, CHAT)

    assert [one.result for one in ended] == [Result.ACCEPTED, Result.ACCEPTED]
    assert len(gorush.requests) == 1
    assert set(rung(gorush)) == {DEVICE_TOKEN, OTHER_DEVICE_TOKEN}


async def test_contacts_only_lets_a_contact_ring_and_nobody_else(
    server: Served, bus: Path, new_device: Any, gorush: MockProviders
) -> None:
    alice, bob, mallory = [await new_device(bus) for _ in range(3)]

    await registered(alice, server, options=Options(contacts=(bob.key,), contacts_only=True))

    assert await bob.account.learn(alice.key) == (alice.client.installation_id,)
    assert [one.result for one in await bob.ring(alice, CHAT)] == [Result.ACCEPTED]
    assert await mallory.ring(alice, CHAT, patience=SHORT) == []
    assert rung(gorush) == [DEVICE_TOKEN]


async def test_a_stale_token_is_refused_then_asked_for_and_the_message_is_sent_again(
    server: Served, bus: Path, new_device: Any, gorush: MockProviders
) -> None:
    alice, bob, carol = [await new_device(bus) for _ in range(3)]
    await registered(alice, server, options=Options(contacts=(bob.key, carol.key)))
    assert await bob.account.learn(alice.key)

    await alice.account.set_options(Options(contacts=(bob.key,)))  # a contact less: another access token
    assert await alice.account.registered(server.key)
    ended = await bob.ring(alice, CHAT)

    assert [one.result for one in ended] == [Result.ACCEPTED]
    await server.handled("QUERY", 2)
    await server.handled("REQUEST", 2)  # the first was refused: WRONG_TOKEN
    assert rung(gorush) == [DEVICE_TOKEN]


async def test_whoever_is_blocked_or_muted_is_told_success_and_rings_nobody(
    server: Served, bus: Path, new_device: Any, gorush: MockProviders
) -> None:
    alice, bob, mallory = [await new_device(bus) for _ in range(3)]
    await registered(alice, server, options=Options(blocked=(contact_id(mallory.key),), muted=("loud",)))

    told = [*await mallory.ring(alice, CHAT), *await bob.ring(alice, "loud")]
    assert [one.result for one in told] == [Result.ACCEPTED, Result.ACCEPTED]
    assert rung(gorush) == []
    await bob.ring(alice, CHAT)
    assert rung(gorush) == [DEVICE_TOKEN]


async def test_mentions_ring_in_the_chats_that_allow_them(
    server: Served, bus: Path, new_device: Any, gorush: MockProviders
) -> None:
    alice, bob = await new_device(bus), await new_device(bus)
    await registered(alice, server, options=Options(mentions_in=("status",)))

    await bob.ring(alice, "elsewhere", type=NotificationType.MENTION)
    assert rung(gorush) == []
    await bob.ring(alice, "status", type=NotificationType.MENTION)
    [posted] = gorush.requests[0].json["notifications"]
    assert posted["message"] == "Someone mentioned you"

    await alice.account.set_options(Options(mentions_in=("status",), block_mentions=True))
    assert await alice.account.registered(server.key)
    await bob.ring(alice, "status", type=NotificationType.MENTION)
    assert len(gorush.requests) == 1


async def test_a_request_to_join_rings(server: Served, bus: Path, new_device: Any, gorush: MockProviders) -> None:
    owner, bob = await new_device(bus), await new_device(bus)
    await registered(owner, server)

    await bob.ring(owner, contact_id(owner.key), type=NotificationType.REQUEST_TO_JOIN_COMMUNITY)

    assert len(gorush.requests) == 1
    assert "author" not in gorush.requests[0].json["notifications"][0]["data"]
    assert hash_author(bob.key).hex() not in gorush.requests[0].request.body.decode()


async def test_who_left_is_rung_no_more_and_can_come_back(
    server: Served, bus: Path, new_device: Any, gorush: MockProviders
) -> None:
    alice, bob = await new_device(bus), await new_device(bus)
    await registered(alice, server)
    assert await bob.account.learn(alice.key)

    await alice.account.disable()
    assert not await alice.account.registered(server.key)
    assert alice.account.servers == {server.key: RegistrationState.UNREGISTERED}
    ended = await bob.ring(alice, CHAT, patience=SHORT)
    await registered(alice, server, OTHER_DEVICE_TOKEN)
    again = await bob.ring(alice, CHAT)

    assert [one.result for one in ended] == [Result.EXPIRED]  # NOT_REGISTERED, and queries tell nothing
    assert [one.result for one in again] == [Result.ACCEPTED]
    assert rung(gorush) == [OTHER_DEVICE_TOKEN]


async def test_a_group_rings_with_one_request_for_all_members_of_a_server(
    server: Served, bus: Path, new_device: Any, gorush: MockProviders
) -> None:
    bob, *members = [await new_device(bus) for _ in range(4)]
    for number, member in enumerate(members):
        await registered(member, server, str(number) * 64)
        await bob.account.learn(member.key)

    ended = await bob.account.ring(secrets.token_bytes(32), "group", [Target(member.key) for member in members])

    assert [one.result for one in ended] == [Result.ACCEPTED] * 3
    assert len(gorush.requests) == 1
    assert sorted(rung(gorush)) == [str(number) * 64 for number in range(3)]
