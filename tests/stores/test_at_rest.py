"""The key file, and what a stolen or altered database gives away."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hushbell.core.delivery.changes import Changes
from hushbell.core.delivery.job import Job
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.server.facts import FactsNeeded, SaveResponse
from hushbell.errors import ConfigError, StoreCorrupt, StoreMismatch
from hushbell.ports.outbox import committed
from hushbell.stores import at_rest
from hushbell.stores.at_rest import OVERHEAD, AtRest, load_or_create_key
from hushbell.stores.sqlite.server import SqliteServerStore
from hushbell.types import Millis, PrivateKey, SymmetricKey

Made = Any  # of conftest.py
Open = Callable[[], SqliteServerStore]


def test_a_key_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "at-rest"

    key = load_or_create_key(path, random=os.urandom)

    assert len(key) == 32
    assert load_or_create_key(path, random=os.urandom) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_whoever_makes_the_key_first_wins(tmp_path: Path) -> None:
    path = tmp_path / "at-rest"

    def slow(size: int) -> bytes:
        if not path.exists():
            path.write_bytes(b"w" * 32)
            path.chmod(0o600)
        return os.urandom(size)

    assert load_or_create_key(path, random=slow) == b"w" * 32


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_key_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "at-rest"
    load_or_create_key(path, random=os.urandom)
    path.chmod(mode)

    with pytest.raises(ConfigError, match=f"run: chmod 600 {path}"):
        load_or_create_key(path, random=os.urandom)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_size_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "at-rest"
    path.write_bytes(b"k" * size)
    path.chmod(0o600)

    with pytest.raises(ConfigError, match="exactly 32 bytes"):
        load_or_create_key(path, random=os.urandom)


def test_a_key_that_cannot_be_made_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(ConfigError, match="at-rest"):
        load_or_create_key(tmp_path / "file" / "at-rest", random=os.urandom)


def test_a_value_opens_only_in_its_place() -> None:
    sealer = AtRest(SymmetricKey(b"k" * 32), random=os.urandom)
    sealed = sealer.seal("outbox", b"1", b"contents")

    assert sealer.open("outbox", b"1", sealed) == b"contents"
    assert len(sealed) == len(b"contents") + OVERHEAD
    for table, row, value in (
        ("outbox", b"2", sealed),
        ("answers", b"1", sealed),
        ("outbox", b"1", sealed[:-1]),
        ("outbox", b"1", sealed[:20]),
        ("outbox", b"1", b""),
    ):
        with pytest.raises(StoreCorrupt):
            sealer.open(table, row, value)


def test_a_key_seals_a_bounded_number_of_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_rest, "VALUES_PER_GENERATION", 2)
    monkeypatch.setattr(at_rest, "KEYS_REMEMBERED", 2)
    sealer = AtRest(SymmetricKey(b"k" * 32), random=os.urandom)

    sealed = [sealer.seal("rings", b"", bytes([number])) for number in range(10)]

    generations = [value[:8] for value in sealed]
    assert [generations.count(generation) for generation in generations] == [2] * 10
    assert [sealer.open("rings", b"", value) for value in sealed] == [bytes([number]) for number in range(10)]


async def test_a_stolen_database_shows_no_secret(open_sqlite: Open, tmp_path: Path, made: Made) -> None:
    store = open_sqlite()
    number, idents = store.outbox.reserve(1)
    message = Message("fcm", b"secret-message", form="spec16")
    push = Notification(idents[0], "server", "token", ("secret-device-token",), message, Millis(made.now + made.day))
    job = Job(number, "server", made.now, (push,))
    await committed(store.outbox, Changes(server=[made.save(made.device())], jobs=[job]))
    await store.commit([SaveResponse(made.request(1), b"secret-response", made.now)])
    await store.keep_query_key(made.key_hash(), SymmetricKey(b"secret-query-key-of-32-bytes-----"))
    await store.pin_identity(PrivateKey(b"secret-identity-of-32-bytes-----"))

    def stolen() -> bytes:
        return b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir())

    while_open = stolen()
    await store.close()
    for raw in (while_open, stolen()):
        assert made.device().installation_id.encode() in raw
        assert b"secret-" not in raw


async def test_files_are_for_their_owner_alone(open_sqlite: Open, tmp_path: Path, made: Made) -> None:
    store = open_sqlite()
    await store.commit([made.save(made.device())])

    files = list((tmp_path / "data").iterdir())

    assert {path.name for path in files} == {"hushbell.db", "hushbell.db-wal", "hushbell.db-shm"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    await store.close()


async def test_another_key_does_not_open_the_database(open_sqlite: Open, tmp_path: Path) -> None:
    await open_sqlite().close()
    (tmp_path / "keys" / "at-rest").write_bytes(b"x" * 32)

    with pytest.raises(StoreMismatch, match=r"at-rest: not the key of the database .*hushbell\.db"):
        open_sqlite()


async def test_a_lost_key_is_never_replaced_by_a_new_one(open_sqlite: Open, tmp_path: Path) -> None:
    await open_sqlite().close()
    (tmp_path / "keys" / "at-rest").unlink()

    with pytest.raises(StoreMismatch, match=r"at-rest: the key of the database .*hushbell\.db is missing"):
        open_sqlite()

    assert not (tmp_path / "keys" / "at-rest").exists()


async def test_an_altered_registration_is_damaged_and_keeps_its_version(open_sqlite: Open, made: Made) -> None:
    store = open_sqlite()
    await store.commit([made.save(made.device(1)), made.save(made.device(2))])
    swap = "UPDATE registrations SET sealed = (SELECT sealed FROM registrations WHERE owner = ?)"

    store._writer._connection.execute(swap, (made.key_hash(2),))

    needed = FactsNeeded(devices=frozenset({made.device(1), made.device(2)}))
    facts = await store.load(needed, byte_limit=10_000)
    assert facts.damaged == {made.device(1)}
    assert facts.devices == {made.device(1): made.tombstone(1), made.device(2): made.stored()}
    await store.close()
