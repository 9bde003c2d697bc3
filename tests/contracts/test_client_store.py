"""What every store of a client's facts does, in memory or in a file."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hushbell import wire
from hushbell.core.client.facts import (
    Contact,
    EphemeralKey,
    Fact,
    Forget,
    PendingQuery,
    Profile,
    Purpose,
    Recipient,
    RecipientDevice,
    Save,
    SendOptions,
    ServerRegistration,
)
from hushbell.core.client.inbox import Entry, EntryState
from hushbell.core.client.lifecycles import DeviceState, RegistrationState
from hushbell.core.client.query import Info
from hushbell.core.client.registration import Device, LastRegistration, Options
from hushbell.crypto import secp256k1
from hushbell.errors import StoreCorrupt, StoreMismatch
from hushbell.ports.client_store import ClientStore
from hushbell.stores.memory.client import MemoryClientStore
from hushbell.stores.sqlite import client_rows
from hushbell.stores.sqlite.client import SqliteClientStore
from hushbell.types import (
    AccessToken,
    DeviceToken,
    Hash64,
    InstallationId,
    KeyHash,
    MessageId,
    Millis,
    NotificationType,
    PublicKey,
    RequestId,
    SymmetricKey,
    TokenType,
)

ALICE, BOB, SERVER = (secp256k1.key_pair_from(bytes([number]) * 32) for number in (1, 2, 3))
PHONE = InstallationId("c6ae4fde-bb65-11ea-b3de-0242ac130004")
KEY = SymmetricKey(b"k" * 32)
INFO = Info(
    target=BOB.public,
    server=SERVER.public,
    installation_id=PHONE,
    access_token=AccessToken("secret-access-token"),
    version=3,
)
FACTS: list[Fact] = [
    Profile(
        device=Device(
            installation_id=PHONE,
            device_token=DeviceToken("secret-device-token"),
            token_type=TokenType.FIREBASE,
            apn_topic="org.example",
        ),
        options=Options(muted=("secret-chat",), contacts=(BOB.public,), contacts_only=True),
        sending=SendOptions(off=True, silent_chats=frozenset({"a", "b"})),
        last=LastRegistration(
            wire.Registration(version=7, access_token="secret-access-token", enabled=True), (BOB.public,)
        ),
        version_raises=2,
        registered_at=Millis(5),
        advertised_at=Millis(6),
    ),
    ServerRegistration(
        server=SERVER.public,
        state=RegistrationState.WAITING,
        leaving=True,
        trials=3,
        last=Millis(9),
        requests=(RequestId(b"r" * 64), RequestId(b"s" * 64)),
    ),
    Contact(
        target=BOB.public,
        infos=(INFO,),
        updated_at=Millis(1),
        pending_query=PendingQuery(message_id=MessageId(b"q" * 32), since=Millis(2), trials=1),
        unanswered_at=Millis(3),
        followed=True,
    ),
    Recipient(
        message_id=b"m" * 32,
        target=BOB.public,
        chat_id="secret-chat",
        type=NotificationType.MENTION,
        message=b"secret",
        devices=(PHONE,),
        most=None,
        since=Millis(1),
        deadline=Millis(2),
        ended=True,
    ),
    RecipientDevice(
        message_id=b"m" * 32,
        target=BOB.public,
        installation_id=PHONE,
        state=DeviceState.STALE,
        tried=(SERVER.public,),
        attempts=2,
        resends=1,
        since=Millis(4),
        version=3,
    ),
    EphemeralKey(
        key=ALICE,
        purpose=Purpose.REQUEST,
        until=Millis(7),
        server=SERVER.public,
        application=b"secret",
        chat_message_id=b"m" * 32,
        items=((BOB.public, PHONE),),
        sent_at=Millis(3),
        trials=2,
        answered=True,
    ),
    EphemeralKey(key=BOB, purpose=Purpose.QUERY, until=Millis(7), target=BOB.public, message_id=MessageId(b"q" * 32)),
]
ENTRY = Entry(
    owner=KeyHash(b"o" * 64), message_id=b"m" * 32, chat_hash=Hash64(b"c" * 64), state=EntryState.SHOWN, at=Millis(1)
)


def draw(count: int) -> bytes:
    return b"\x17" * count


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: Any, tmp_path: Path) -> AsyncIterator[ClientStore]:
    made: ClientStore = MemoryClientStore()
    if request.param == "sqlite":
        made = await SqliteClientStore.open(tmp_path / "client.db", KEY, random=draw)
    yield made
    await made.close()


async def test_the_facts_of_0_1_0_are_read_and_replaced_under_their_old_names(tmp_path: Path) -> None:
    """Classes and fields have other names since: the rows were written before the renaming."""
    with sqlite3.connect(tmp_path / "client.db") as written:
        written.executescript((Path(__file__).parents[1] / "stores" / "dumps" / "client-v1.sql").read_text())
    written.close()
    store = await SqliteClientStore.open(tmp_path / "client.db", KEY, random=draw)

    assert list(await store.load(ALICE.public)) == FACTS
    assert list(await store.inbox()) == [ENTRY]
    await store.commit(ALICE.public, [Save(fact) for fact in FACTS])
    assert list(await store.load(ALICE.public)) == FACTS
    await store.close()


async def test_every_fact_comes_back_as_it_was_in_order(store: ClientStore) -> None:
    await store.commit(ALICE.public, [Save(fact) for fact in FACTS])

    assert list(await store.load(ALICE.public)) == FACTS


async def test_a_changed_fact_keeps_its_place_and_a_forgotten_one_is_gone(store: ClientStore) -> None:
    first, second = (
        ServerRegistration(server=PublicKey(b"\x04" + bytes([n]) * 64), state=RegistrationState.DUE) for n in (1, 2)
    )
    await store.commit(ALICE.public, [Save(first), Save(second)])

    changed = ServerRegistration(server=first.server, state=RegistrationState.REGISTERED)
    await store.commit(ALICE.public, [Save(changed), Forget(second), Save(second)])
    assert list(await store.load(ALICE.public)) == [changed, second]

    await store.commit(ALICE.public, [Forget(changed)])
    assert list(await store.load(ALICE.public)) == [second]


async def test_accounts_do_not_see_each_other(store: ClientStore) -> None:
    await store.commit(ALICE.public, [Save(FACTS[0])])
    await store.commit(BOB.public, [Save(FACTS[1])])

    await store.forget(ALICE.public)

    assert list(await store.load(ALICE.public)) == []
    assert list(await store.load(BOB.public)) == [FACTS[1]]


async def test_the_inbox_keeps_the_order_of_the_latest_change(store: ClientStore) -> None:
    entries = [
        Entry(
            owner=ENTRY.owner,
            message_id=bytes([n]) * 32,
            chat_hash=ENTRY.chat_hash,
            state=EntryState.SHOWN,
            at=ENTRY.at,
        )
        for n in range(3)
    ]
    await store.keep_inbox({(one.owner, one.message_id): one for one in entries})

    await store.keep_inbox({(ENTRY.owner, bytes(32)): entries[0], (ENTRY.owner, b"\1" * 32): None})

    assert list(await store.inbox()) == [entries[2], entries[0]]


async def test_nothing_to_change_is_no_error(store: ClientStore) -> None:
    await store.commit(ALICE.public, [])
    await store.keep_inbox({})

    assert list(await store.load(ALICE.public)) == []


async def test_a_file_shows_no_secret_and_opens_with_its_key_alone(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "client.db"
    store = await SqliteClientStore.open(path, KEY, random=draw)
    await store.commit(ALICE.public, [Save(fact) for fact in FACTS])
    await store.keep_inbox({(ENTRY.owner, ENTRY.message_id): ENTRY})
    await store.close()

    written = b"".join(file.read_bytes() for file in path.parent.iterdir())
    for secret in (b"secret", ALICE.public[1:33], BOB.public[1:33], SERVER.public[1:33], b"m" * 32, ALICE.private):
        assert secret not in written
        assert secret.hex().encode() not in written
    assert path.stat().st_mode & 0o077 == 0

    again = await SqliteClientStore.open(path, KEY, random=draw)
    assert list(await again.load(ALICE.public)) == FACTS
    assert list(await again.inbox()) == [ENTRY]
    await again.close()
    other = await SqliteClientStore.open(path, SymmetricKey(b"x" * 32), random=draw)
    assert list(await other.load(ALICE.public)) == []
    await other.close()


async def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "client.db"
    store = await SqliteClientStore.open(path, KEY, random=draw)
    store._writer._connection.execute("PRAGMA user_version = 99")
    await store.close()

    with pytest.raises(StoreMismatch, match="99"):
        await SqliteClientStore.open(path, KEY, random=draw)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"server": 5}', b'{"server": "zz"}'])
def test_a_record_that_is_damaged_is_reported(data: bytes) -> None:
    with pytest.raises(StoreCorrupt, match="Enrolment"):
        client_rows.read("Enrolment", data)


def test_a_field_that_is_younger_than_the_record_has_its_default() -> None:
    old = b'{"server": "' + SERVER.public.hex().encode() + b'"}'

    assert client_rows.read("Enrolment", old) == ServerRegistration(server=SERVER.public)
