"""The public client beside a real server on a bus: registering, ringing, receiving, restarting."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import hushbell
from hushbell.core.client import rotating_identity
from hushbell.core.client.events import DevicesFound, Finished, Notified, Registered, Result, Target
from hushbell.core.client.facts import SendOptions
from hushbell.core.client.inbox import ChatMessage, Dismiss, Fetch, Show
from hushbell.core.client.lifecycles import RegistrationState
from hushbell.core.client.preview import Preview
from hushbell.core.client.registration import Options
from hushbell.crypto import hashes, secp256k1
from hushbell.runtime.client.client import Client
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.stores.sqlite.client import SqliteClientStore
from hushbell.transports.bus import Bus
from hushbell.types import KeyPair, Millis, SymmetricKey

KEY = SymmetricKey(b"k" * 32)


@pytest.fixture
async def alice(bus: Bus) -> AsyncIterator[Client]:
    async with Client(bus.connect()) as client:
        yield client


@pytest.fixture
async def bob(bus: Bus) -> AsyncIterator[Client]:
    async with Client(bus.connect()) as client:
        yield client


def keys() -> KeyPair:
    return secp256k1.key_pair(system_random)


def test_the_package_offers_the_client() -> None:
    assert hushbell.Client is Client
    with pytest.raises(AttributeError, match="nobody"):
        hushbell.nobody  # type: ignore[attr-defined]  # noqa: B018


async def test_two_people_register_and_one_rings_the_other(served: Any, alice: Client, bob: Client) -> None:
    account = await bob.account(keys())
    sender = await alice.account(keys())
    await account.enable("bobs-token", servers=[served.identity.public])
    assert await account.registered(served.identity.public)
    assert account.servers == {served.identity.public: RegistrationState.REGISTERED}

    ended = await sender.ring(b"m" * 32, "chat", [Target(account.identity.public)])

    assert [one.result for one in ended] == [Result.ACCEPTED]
    await served.provider.delivered.wait()
    assert [push.targets[0] for push in served.provider.pushes] == ["bobs-token"]
    assert await sender.learn(account.identity.public) == (bob.installation_id,)


async def test_the_phone_shows_the_preview_and_reading_takes_it_away(served: Any, alice: Client, bob: Client) -> None:
    author = keys()
    account, sender = await bob.account(keys()), await alice.account(author)
    await account.enable("bobs-token", servers=[served.identity.public])
    await account.registered(served.identity.public)
    chat = hashes.contact_id(author.public)
    shown = Preview(message_id=b"m" * 32, chat_id=chat, author=author.public, text="Hello Bob")
    bob.join_chats(account.identity.public, [chat])

    await sender.ring(b"m" * 32, chat, [alice.sealed_for(author, account.identity.public, shown)])
    await served.provider.delivered.wait()
    (data,) = served.provider.data()
    (note,) = await bob.pushed(data)

    assert isinstance(note, Show)
    assert (note.text, note.author, note.chat_id, note.badge) == ("Hello Bob", author.public, chat, 1)
    assert await alice.pushed(data) == []
    (gone,) = await bob.read(account.identity.public, chat)
    assert gone == Dismiss((note.id,), 0)
    assert bob.unread == 0


async def test_a_push_without_text_is_fetched_and_filled(served: Any, bob: Client) -> None:
    author = keys()
    account = await bob.account(keys())
    chat = hashes.contact_id(author.public)
    owner, chat_hash = hashes.hash_public_key(account.identity.public), hashes.hash_chat_id(chat)
    data = {"publicKey": "0x" + owner.hex(), "chatId": "0x" + chat_hash.hex(), "encryptedMessage": "0x"}

    _hint, fetch = await bob.pushed(data)
    message = ChatMessage(message_id=b"m" * 32, chat_id=chat, author=author.public, text="Hello", sent_at=Millis(5))
    steps = await bob.arrived(account.identity.public, message)

    assert fetch == Fetch(owner, chat_hash, None)
    assert [type(step) for step in steps] == [Dismiss, Show]
    assert await bob.pushed({"publicKey": "nonsense"}) == ()


async def test_several_accounts_on_one_device_are_rung_apart(served: Any, alice: Client, bob: Client) -> None:
    accounts = [await bob.account(keys()) for _ in range(3)]
    sender = await alice.account(keys())
    for account in accounts:
        await account.enable("bobs-token", servers=[served.identity.public])
    for account in accounts:
        assert await account.registered(served.identity.public)

    await sender.ring(b"m" * 32, "chat", [Target(accounts[1].identity.public)])
    await served.provider.delivered.wait()
    steps = [step for data in served.provider.data() for step in await bob.pushed(data)]

    (shown,) = [step for step in steps if isinstance(step, Show)]
    assert shown.owner == hashes.hash_public_key(accounts[1].identity.public)


async def test_events_tell_what_happens(served: Any, alice: Client, bob: Client) -> None:
    account, sender = await bob.account(keys()), await alice.account(keys())
    received: list[object] = []

    async def listen(who: Any, last: type[object]) -> None:
        async for event in who.events():
            received.append(event)
            if isinstance(event, last):
                return

    listening = asyncio.gather(listen(account, Registered), listen(sender, Finished))
    await asyncio.sleep(0)
    await account.enable("bobs-token", servers=[served.identity.public])
    await account.registered(served.identity.public)
    await sender.notify(b"m" * 32, "chat", [Target(account.identity.public)])
    await listening

    assert [type(event) for event in received] == [Registered, DevicesFound, Notified, Finished]


async def test_a_contact_code_spares_the_query(served: Any, alice: Client, bob: Client) -> None:
    account, sender = await bob.account(keys()), await alice.account(keys())
    await sender.follow(account.identity.public)

    async def first() -> object:
        return await anext(aiter(sender.events()))

    told = asyncio.create_task(first())
    await asyncio.sleep(0)

    await account.enable("bobs-token", servers=[served.identity.public])

    assert await told == DevicesFound(account.identity.public, (bob.installation_id,))
    await sender.unfollow(account.identity.public)


async def test_leaving_and_sending_nothing_are_respected(served: Any, alice: Client, bob: Client) -> None:
    account, sender = await bob.account(keys()), await alice.account(keys())
    server = served.identity.public
    await account.enable("bobs-token", servers=[server], options=Options(muted=("loud",)))
    assert await account.registered(server)
    await sender.set_sending(SendOptions(off=True))
    assert await sender.ring(b"1" * 32, "chat", [Target(account.identity.public)]) == []

    await account.set_options(Options(enabled=False))
    assert await account.registered(server)
    await account.disable()
    assert not await account.registered(server)
    assert account.servers == {server: RegistrationState.UNREGISTERED}
    await account.remove_server(server)
    assert account.servers == {}
    assert served.provider.pushes == []


async def test_a_device_that_restarts_goes_on_where_it_was(served: Any, bus: Bus, tmp_path: Path) -> None:
    identity, server = keys(), served.identity.public
    chat = "chat"
    owner = hashes.hash_public_key(identity.public)
    data: dict[str, object] = {
        "publicKey": "0x" + owner.hex(),
        "chatId": "0x" + hashes.hash_chat_id(chat).hex(),
        "encryptedMessage": "0x",
    }
    for start in range(3):
        store = await SqliteClientStore.open(tmp_path / "client.db", KEY, random=system_random)
        async with Client(bus.connect(), store=store) as client:
            account = await client.account(identity)
            if start == 0:
                await account.enable("bobs-token", servers=[server])
            assert await account.registered(server)
            version = account._facts.profile.last
            assert version is not None
            assert version.registration.version == 1
            assert client.unread == min(start, 1)
            await client.pushed(data)


async def test_a_persona_rings_today_under_a_key_that_only_its_contacts_compute(
    served: Any, alice: Client, bob: Client
) -> None:
    now = SystemClock().now()
    ours = rotating_identity.create(now, system_random)
    invited = rotating_identity.decode(rotating_identity.encode(rotating_identity.invite(ours)))
    for epoch in rotating_identity.periods_to_serve(ours, now):
        account = await bob.account(rotating_identity.key(ours, epoch), advertises=False)
        await account.enable("bobs-token", servers=[served.identity.public])
        assert await account.registered(served.identity.public)

    sender = await alice.account(keys())
    ended = await sender.ring(b"m" * 32, "chat", [Target(rotating_identity.address(invited, now))])

    assert [one.result for one in ended] == [Result.ACCEPTED]


async def test_whoever_stops_waiting_stops_nothing(served: Any, bob: Client) -> None:
    account = await bob.account(keys())
    asked = asyncio.create_task(account.enable("bobs-token", servers=[served.identity.public]))
    await asyncio.sleep(0)
    asked.cancel()

    assert await account.registered(served.identity.public)


async def test_an_account_that_is_removed_is_forgotten(served: Any, bob: Client) -> None:
    identity = keys()
    account = await bob.account(identity)
    await account.enable("bobs-token", servers=[served.identity.public])
    await account.registered(served.identity.public)

    await bob.remove_account(identity.public)
    again = await bob.account(identity)

    assert again.servers == {}
    assert await bob.remove_account(keys().public) == ()
