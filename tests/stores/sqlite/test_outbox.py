"""The queue's data outlives versions: every older database opens, a newer one is refused by name."""

import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from hushbell.core.delivery.changes import DeadToken, IdempotentResponse
from hushbell.core.delivery.job import Job, JobOnDisk, JobProgress, JobResult
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.state import State
from hushbell.core.delivery.webhook import Webhook, WebhookEvent
from hushbell.errors import StoreMismatch
from hushbell.stores.sqlite.migrations import GATEWAY_SCHEMA
from hushbell.stores.sqlite.outbox import SqliteOutbox
from hushbell.types import Millis

NOW = Millis(1_700_000_000_000)
DUMPS = sorted((Path(__file__).parents[1] / "dumps").glob("queue-v*.sql"))
FIRST = 1 << 40  # number of the first job of the first opening


def restore(dump: Path, folder: Path) -> SqliteOutbox:
    """Open the database of a dump; all were made with this key."""
    (folder / "key").touch(0o600)
    (folder / "key").write_bytes(b"k" * 32)
    connection = sqlite3.connect(folder / "gateway.db")
    connection.executescript(dump.read_text())
    connection.close()
    return SqliteOutbox.open(folder / "gateway.db", folder / "key", random=os.urandom)


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
async def test_a_queue_of_every_version_opens_with_its_data(dump: Path, tmp_path: Path) -> None:
    queue = restore(dump, tmp_path)

    (row,) = await queue.read([waiting.number for waiting in await queue.open_jobs()])
    assert isinstance(row, JobOnDisk)
    job, progress = row
    note = Notification(
        ident=queue._ids.of(FIRST + 1, 1)[0],
        app="chat",
        target_kind="token",
        targets=("one", "two"),
        message=Message(provider="apns", route="production", headers=(("apns-topic", "im.example"),), body=b"{}"),
        reference="mine",
        expires_at=Millis(NOW + 86_400_000),
        retries=3,
    )
    assert job == Job(FIRST + 1, "chat", NOW, (note,))
    assert progress == JobProgress(FIRST + 1, bytes([State.ACCEPTED, State.RETRYING]), b"\1\2")
    states = bytes([State.DEAD_TOKEN])
    assert await queue.find(FIRST) == JobResult(FIRST, "chat", NOW, NOW, (1,), states, b"\1", ((0, "Unregistered"),))
    assert list(await queue.dead_tokens("chat", 0, 9)) == [
        DeadToken("chat", "apns", "gone", "Unregistered", Millis(7), NOW, 1)
    ]
    hook = Webhook("h1", "chat", "https://hook.example/", b"s", ("errored",), "event", (("a", "b"),))
    assert list(await queue.webhooks()) == [hook]
    (event,) = await queue.due_events(NOW, 0, 9)
    assert replace(event, number=0) == WebhookEvent("h1", b"body", NOW, 0, 0, NOW)
    assert await queue.idempotent_response(b"d" * 32) == IdempotentResponse(b"d" * 32, b"r" * 32, b"answer", NOW)
    await queue.close()


def test_there_is_a_dump_of_every_version() -> None:
    assert [dump.stem for dump in DUMPS] == [f"queue-v{version}" for version in range(1, GATEWAY_SCHEMA.version + 1)]


async def test_a_newer_queue_is_refused_with_both_versions(tmp_path: Path) -> None:
    await SqliteOutbox.open(tmp_path / "gateway.db", tmp_path / "key", random=os.urandom).close()
    connection = sqlite3.connect(tmp_path / "gateway.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(StoreMismatch, match=f"schema version 99, this hushbell knows up to {GATEWAY_SCHEMA.version}"):
        SqliteOutbox.open(tmp_path / "gateway.db", tmp_path / "key", random=os.urandom)


def test_the_servers_database_is_no_queue(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "gateway.db")
    connection.executescript((Path(__file__).parents[1] / "dumps" / "v1.sql").read_text())
    connection.close()

    with pytest.raises(StoreMismatch, match="not a hushbell database"):
        SqliteOutbox.open(tmp_path / "gateway.db", tmp_path / "key", random=os.urandom)
