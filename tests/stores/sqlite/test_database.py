"""Data outlives versions: every older database opens, a newer one is refused by name."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hushbell.core.server.facts import FactsNeeded, MarkDeadToken, MarkNotified
from hushbell.errors import ConfigError, StoreCorrupt, StoreMismatch, StoreUnavailable
from hushbell.stores.at_rest import AtRest
from hushbell.stores.sqlite.database import open_database
from hushbell.stores.sqlite.migrations import GATEWAY_SCHEMA, SERVER_SCHEMA
from hushbell.stores.sqlite.outbox import SqliteOutbox
from hushbell.stores.sqlite.schema import Schema
from hushbell.stores.sqlite.server import SqliteServerStore
from hushbell.types import DeviceKey, InstallationId, Millis, NotificationKey

Made = Any  # of conftest.py
Open = Callable[[], SqliteServerStore]
DUMPS = sorted((Path(__file__).parents[1] / "dumps").glob("v[0-9]*.sql"))
RING = NotificationKey(b"r" * 32)


def restore(dump: Path, database: Path, key: Path) -> None:
    """Make the database of a dump; all were made with this key."""
    key.touch(0o600)
    key.write_bytes(b"k" * 32)
    connection = sqlite3.connect(database)
    connection.executescript(dump.read_text())
    connection.close()


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
async def test_a_database_of_every_version_opens_with_its_data(dump: Path, tmp_path: Path, made: Made) -> None:
    database, key = tmp_path / "hushbell.db", tmp_path / "at-rest"
    restore(dump, database, key)

    store = SqliteServerStore.open(database, key, random=os.urandom)

    needed = FactsNeeded(
        devices=frozenset({made.device(1), made.device(2)}),
        requests=frozenset({made.request(1)}),
        notification_keys=frozenset({RING}),
    )
    facts = await store.load(needed, byte_limit=10_000)
    assert facts.devices == {made.device(1): made.stored(), made.device(2): made.tombstone(3)}
    assert facts.responses == {made.request(1): b"response"}
    assert facts.notified == {RING}
    assert [job.app for job in await store.outbox.open_jobs()] == ["server"] * 2
    assert await store.final_state(made.name(3)) == "delivered"
    assert await store.query_key(made.key_hash()) == b"q" * 32
    assert await store.identity() == b"i" * 32
    await store.close()


def test_there_is_a_dump_of_every_version() -> None:
    assert [dump.stem for dump in DUMPS] == [f"v{version}" for version in range(1, SERVER_SCHEMA.version + 1)]


async def test_data_is_there_after_opening_again(open_sqlite: Open, made: Made) -> None:
    store = open_sqlite()
    await store.commit([made.save(made.device()), MarkNotified(RING, made.now)])
    await store.close()

    again = open_sqlite()

    facts = await again.load(
        FactsNeeded(devices=frozenset({made.device()}), notification_keys=frozenset({RING})), byte_limit=10_000
    )
    assert facts.devices == {made.device(): made.stored()}
    assert facts.notified == {RING}
    await again.close()


async def test_a_newer_database_is_refused_with_both_versions(open_sqlite: Open, tmp_path: Path) -> None:
    await open_sqlite().close()
    connection = sqlite3.connect(tmp_path / "data" / "hushbell.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(StoreMismatch, match=f"schema version 99, this hushbell knows up to {SERVER_SCHEMA.version}"):
        open_sqlite()


def test_another_programs_database_is_refused_and_left_alone(open_sqlite: Open, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    connection = sqlite3.connect(tmp_path / "data" / "hushbell.db")
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()

    with pytest.raises(StoreMismatch, match="not a hushbell database"):
        open_sqlite()

    assert not (tmp_path / "keys").exists()


def test_a_file_that_is_no_database_is_corrupt(open_sqlite: Open, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "hushbell.db").write_bytes(b"no database at all, " * 100)

    with pytest.raises(StoreCorrupt, match="SQLITE_NOTADB"):
        open_sqlite()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(ConfigError, match=r"hushbell\.db"):
        SqliteServerStore.open(tmp_path / "file" / "hushbell.db", tmp_path / "at-rest", random=os.urandom)


async def test_the_database_says_what_it_is(open_sqlite: Open, tmp_path: Path) -> None:
    await open_sqlite().close()

    connection = sqlite3.connect(tmp_path / "data" / "hushbell.db")

    assert connection.execute("PRAGMA application_id").fetchone() == (SERVER_SCHEMA.application_id,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


async def test_a_full_disk_writes_nothing_and_passes(open_sqlite: Open, made: Made) -> None:
    store = open_sqlite()
    connection = store._writer._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    large = [MarkNotified(NotificationKey(os.urandom(32)), made.now) for _ in range(2_000)]

    results = await asyncio.gather(
        store.commit([made.save(made.device(), muted=200)]), store.commit(large), return_exceptions=True
    )

    assert [type(result) for result in results] == [StoreUnavailable] * 2
    connection.execute("PRAGMA max_page_count = 100000")
    await store.commit(large)
    facts = await store.load(
        FactsNeeded(
            notification_keys=frozenset(write.notification_key for write in large), devices=frozenset({made.device()})
        ),
        byte_limit=100,
    )
    assert len(facts.notified) == 2_000
    assert not facts.devices
    await store.close()


async def test_a_lock_of_another_process_is_unavailable_and_passes(
    open_sqlite: Open, tmp_path: Path, made: Made
) -> None:
    store = open_sqlite()
    store._writer._connection.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(tmp_path / "data" / "hushbell.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreUnavailable, match="SQLITE_BUSY"):
        await store.commit([made.save(made.device())])

    other.execute("ROLLBACK")
    other.close()
    await store.commit([made.save(made.device())])
    await store.close()


async def test_a_value_that_does_not_fit_fails_alone(open_sqlite: Open, made: Made) -> None:
    store = open_sqlite()

    results = await asyncio.gather(
        store.commit([made.save(made.device(1), 2**63)]),
        store.commit([made.save(made.device(2), 2**63 - 1)]),
        store.commit([MarkDeadToken(DeviceKey(made.key_hash(3), InstallationId("\ud800")), made.now)]),
        return_exceptions=True,
    )

    assert [type(result) for result in results] == [StoreUnavailable, type(None), StoreUnavailable]
    assert "d800" not in str(results[2])
    await store.close()


async def test_forgetting_goes_in_steps(open_sqlite: Open, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hushbell.stores.sqlite.server.FORGET_STEP", 10)
    store = open_sqlite()
    await store.commit([MarkNotified(NotificationKey(bytes([n]) * 32), made.now) for n in range(25)])

    assert await store.forget(Millis(made.now + made.day)) == 25
    await store.close()


async def test_writes_that_wait_for_the_disk_are_bounded(
    open_sqlite: Open, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hushbell.stores.sqlite.writer.MAX_WAITING", 2)
    store = open_sqlite()

    results = await asyncio.gather(
        *(store.commit([made.save(made.device(number))]) for number in range(3)), return_exceptions=True
    )

    assert [type(result) for result in results] == [type(None), type(None), StoreUnavailable]
    await store.commit([made.save(made.device(9))])
    await store.close()


def tables(database: Path) -> dict[str, list[object]]:
    connection = sqlite3.connect(database)
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'index')")]
    found = {name: connection.execute(f"PRAGMA table_xinfo({name})").fetchall() for name in names}
    found |= {f"{name} index": connection.execute(f"PRAGMA index_xinfo({name})").fetchall() for name in names}
    connection.close()
    return found


@pytest.mark.parametrize("dump, schema", [("v1.sql", SERVER_SCHEMA), ("queue-v1.sql", GATEWAY_SCHEMA)])
def test_a_migrated_database_has_the_tables_of_a_new_one(tmp_path: Path, dump: str, schema: Schema) -> None:
    restore(Path(__file__).parents[1] / "dumps" / dump, tmp_path / "old.db", tmp_path / "key")

    for name in ("old.db", "new.db"):
        opened = open_database(tmp_path / name, tmp_path / "key", schema, random=os.urandom)
        opened.reading.close()
        opened.writing.close()

    assert tables(tmp_path / "old.db") == tables(tmp_path / "new.db")


async def test_the_old_database_is_kept_beside_the_migrated_one(tmp_path: Path) -> None:
    dump = Path(__file__).parents[1] / "dumps" / "server-v1.sql"
    restore(dump, tmp_path / "hushbell.db", tmp_path / "key")
    before = contents(tmp_path / "hushbell.db")

    await SqliteServerStore.open(tmp_path / "hushbell.db", tmp_path / "key", random=os.urandom).close()

    assert contents(tmp_path / "hushbell.db.v1") == before
    assert (tmp_path / "hushbell.db.v1").stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["hushbell.db", "hushbell.db.v1", "key"]  # noqa: PTH208  in a coroutine


async def test_a_kept_copy_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "gateway.db.v1").write_bytes(b"an earlier copy")
    restore(Path(__file__).parents[1] / "dumps" / "queue-v1.sql", tmp_path / "gateway.db", tmp_path / "key")
    before = contents(tmp_path / "gateway.db")

    await SqliteOutbox.open(tmp_path / "gateway.db", tmp_path / "key", random=os.urandom).close()

    assert (tmp_path / "gateway.db.v1").read_bytes() == b"an earlier copy"
    assert contents(tmp_path / "gateway.db.v1.2") == before


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    restore(Path(__file__).parents[1] / "dumps" / "queue-v1.sql", tmp_path / "gateway.db", tmp_path / "key")
    before = contents(tmp_path / "gateway.db")

    def failing(connection: sqlite3.Connection, _: AtRest) -> None:
        connection.execute("DROP TABLE jobs")
        connection.execute("DROP TABLE jobs")

    schema = replace(GATEWAY_SCHEMA, migrations={1: failing})
    with pytest.raises(StoreUnavailable):
        open_database(tmp_path / "gateway.db", tmp_path / "key", schema, random=os.urandom)

    assert contents(tmp_path / "gateway.db") == before


def contents(database: Path) -> list[str]:
    connection = sqlite3.connect(database)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    found = [str(version), *connection.iterdump()]
    connection.close()
    return found
