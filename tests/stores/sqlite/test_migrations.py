"""What the pushes of version 1 become."""

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.stores.test_dumps import KEY, restore

from hushbell.core.delivery.job import JobOnDisk
from hushbell.core.delivery.state import State
from hushbell.core.server.push_body import FORM, decode_push_body
from hushbell.stores.at_rest import AtRest
from hushbell.stores.sqlite.migrations import pushes_to_jobs
from hushbell.stores.sqlite.server import SqliteServerStore
from hushbell.types import SymmetricKey, TokenType

Made = Any  # of fixtures.py


@pytest.fixture
def migrated(tmp_path: Path) -> Any:
    """A database of version 1 with pushes, brought to today's version; one damaged push if asked for."""

    async def migrate(*, damaged: bool = False) -> SqliteServerStore:
        database, key = tmp_path / "hushbell.db", tmp_path / "key"
        restore("server-v1.sql", database, key)
        if damaged:
            connection = sqlite3.connect(database)
            connection.execute("UPDATE outbox SET sealed = zeroblob(99) WHERE position = 1")
            connection.commit()
            connection.close()
        await SqliteServerStore.open(database, key, random=os.urandom).close()
        connection = sqlite3.connect(database, isolation_level=None)
        if connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'outbox'").fetchone() == (1,):
            connection.execute("DELETE FROM counts")
            pushes_to_jobs(connection, AtRest(SymmetricKey(KEY), random=os.urandom))
        connection.close()
        return SqliteServerStore.open(database, key, random=os.urandom)

    return migrate


async def test_each_push_is_a_job_in_the_order_of_its_arrival(migrated: Any, made: Made) -> None:
    store = await migrated()

    rows = await store.outbox.read([job.number for job in await store.outbox.open_jobs()])

    jobs = [row.job for row in rows if isinstance(row, JobOnDisk)]
    assert [(job.app, job.provider, job.accepted_at) for job in jobs] == [
        *[("server", "fcm", made.now)] * 4,
        ("server", "apns", made.now),
    ]
    notes = [job.notifications[0] for job in jobs]
    assert {(note.targets, note.collapse_id) for note in notes} == {(("secret-device-token",), "ab" * 32)}
    assert {note.expires_at for note in notes} == {made.now + made.day}
    assert {note.message.form for note in notes} == {FORM}
    bodies = [decode_push_body(note.message.body) for note in notes]
    assert [body.device for body in bodies] == [made.device(n) for n in (1, 2, 3, 1, 1)]
    assert [body.token_type for body in bodies] == [TokenType.FIREBASE] * 4 + [TokenType.APN]
    assert {(body.chat_id, body.message) for body in bodies} == {(b"secret-chat", b"secret-message")}
    assert len({note.ident for note in notes}) == 5
    await store.close()


async def test_a_deferred_push_keeps_its_attempts(migrated: Any) -> None:
    store = await migrated()

    rows = await store.outbox.read([job.number for job in await store.outbox.open_jobs()])

    progress = [row.progress for row in rows if isinstance(row, JobOnDisk)]
    assert progress[:4] == [None] * 4
    assert progress[4] is not None
    assert (progress[4].states, progress[4].attempts) == (bytes([State.RETRYING]), b"\2")
    await store.close()


async def test_numbers_go_on_behind_those_of_the_migrated_jobs(migrated: Any) -> None:
    store = await migrated()

    first, _ = store.outbox.reserve(1)

    assert first > max(job.number for job in await store.outbox.open_jobs())
    await store.close()


async def test_a_push_that_cannot_be_read_is_put_aside(migrated: Any) -> None:
    store = await migrated(damaged=True)

    assert len(list(await store.outbox.open_jobs())) == 4
    (row,) = await store.outbox.quarantined()
    assert (row.source, row.app) == ("outbox", "server")
    assert not await store.outbox.release(row.id), "the table is gone"
    await store.close()
