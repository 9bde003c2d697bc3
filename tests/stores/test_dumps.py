"""
Databases of an earlier hushbell, as it left them with work under way, and what today's code finds in them.

All dumps were made with the key ``KEY``, which was made for these tests and protects nothing.
"""

import os
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hushbell.core.delivery.changes import DeadToken, IdempotentResponse
from hushbell.core.delivery.job import JobOnDisk, JobProgress, JobResult
from hushbell.core.delivery.state import State
from hushbell.core.delivery.webhook import Webhook, WebhookEvent
from hushbell.core.server.facts import FactsNeeded
from hushbell.stores.sqlite.outbox import SqliteOutbox
from hushbell.stores.sqlite.server import SqliteServerStore
from hushbell.types import Millis, NotificationKey

Made = Any  # of conftest.py
KEY = b"k" * 32
DUMPS = Path(__file__).parent / "dumps"
N = Millis(1_700_000_000_000)
FIRST = 1 << 40  # number of the first job of the first opening


def restore(dump: str, database: Path, key: Path) -> None:
    key.touch(0o600)
    key.write_bytes(KEY)
    connection = sqlite3.connect(database)
    connection.executescript((DUMPS / dump).read_text())
    connection.close()


@pytest.fixture(params=[1, 2])
async def server(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    restore(f"server-v{request.param}.sql", tmp_path / "hushbell.db", tmp_path / "key")
    store = SqliteServerStore.open(tmp_path / "hushbell.db", tmp_path / "key", random=os.urandom)
    yield store
    await store.close()


async def test_the_servers_facts_are_still_there(server: SqliteServerStore, made: Made) -> None:
    requests = frozenset({made.request(1), made.request(2)})
    notification_keys = frozenset({NotificationKey(b"r" * 32), NotificationKey(b"s" * 32)})
    devices = frozenset({made.device(1), made.device(2), made.device(3)})

    facts = await server.load(
        FactsNeeded(devices=devices, requests=requests, notification_keys=notification_keys), byte_limit=10_000
    )

    assert facts.devices == {
        made.device(1): made.stored(),
        made.device(2): replace(made.stored(5, muted=3), token_dead_since=Millis(made.now + 5)),
        made.device(3): made.tombstone(3),
    }
    assert facts.responses == {made.request(1): b"response 1", made.request(2): b"response 2"}
    assert facts.notified == notification_keys
    assert await server.query_key(made.key_hash()) == b"q" * 32
    assert await server.identity() == b"i" * 32


async def test_the_servers_pushes_are_still_owed(server: SqliteServerStore, made: Made) -> None:
    rows = await server.outbox.read([job.number for job in await server.outbox.open_jobs()])

    jobs = [(row.job.provider, row.progress and row.progress.attempts) for row in rows if isinstance(row, JobOnDisk)]
    assert jobs == [*[("fcm", None)] * 4, ("apns", b"\2")]


async def test_the_servers_final_states_are_still_readable(server: SqliteServerStore, made: Made) -> None:
    assert [await server.final_state(made.name(4, position)) for position in range(4)] == [
        "delivered",
        "dropped",
        "failed",
        "expired",
    ]


@pytest.fixture(params=[1, 2])
async def outbox(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    restore(f"outbox-v{request.param}.sql", tmp_path / "gateway.db", tmp_path / "key")
    opened = SqliteOutbox.open(tmp_path / "gateway.db", tmp_path / "key", random=os.urandom)
    yield opened
    await opened.close()


async def test_the_gateways_jobs_go_on_where_they_were(outbox: SqliteOutbox) -> None:
    rows = await outbox.read([waiting.number for waiting in await outbox.open_jobs()])
    found = [row for row in rows if isinstance(row, JobOnDisk)]

    jobs = [
        (job.number, job.app, job.provider, [note.targets for note in job.notifications], progress)
        for job, progress in found
    ]
    begun = JobProgress(FIRST + 3, bytes([State.ACCEPTED, State.RETRYING, State.STORED]), b"\1\2\0")
    assert jobs == [
        (FIRST + 1, "chat", "apns", [("two",), ("three", "four")], None),
        (FIRST + 3, "chat", "fcm", [("five", "six", "seven")], begun),
        (FIRST + 5, "chat", "fcm", [("news",)], None),
    ]
    notes = [note for job, _ in found for note in job.notifications]
    assert [note.kind for note in notes] == ["token", "token", "token", "topic"]
    assert [note.reference for note in notes] == ["waiting", "waiting", "begun", "topic"]
    assert [note.retries for note in notes] == [3, 3, 3, None]
    assert {(note.message.body, note.message.route, note.message.headers) for note in notes} == {
        (b'{"aps":{}}', "production", (("apns-topic", "im.example"),))
    }
    assert {note.expires_at for note in notes} == {N + 86_400_000}
    assert notes[1].ident == outbox._ids.of(FIRST + 2, 1)[0]


async def test_the_gateway_still_says_how_jobs_ended(outbox: SqliteOutbox) -> None:
    at = Millis(N + 9)
    accepted = JobResult(FIRST, "chat", N, at, (1,), bytes([State.ACCEPTED]), b"\1")
    gone = JobResult(FIRST + 4, "chat", N, at, (1,), bytes([State.DEAD_TOKEN]), b"\2", ((0, "Unregistered"),))

    assert await outbox.find(FIRST) == accepted
    assert await outbox.find(FIRST + 4) == gone
    assert await outbox.idempotent_response(b"d" * 32) == IdempotentResponse(b"d" * 32, b"r" * 32, b"answer", N)
    assert list(await outbox.dead_tokens("chat", 0, 9)) == [
        DeadToken("chat", "apns", "eight", "Unregistered", Millis(N - 7), N, 1),
        DeadToken("chat", "fcm", "nine", "UNREGISTERED", None, N, 2),
    ]


async def test_the_gateway_still_owes_its_webhooks_their_events(outbox: SqliteOutbox) -> None:
    events = ("not_delivered", "errored")
    hook = Webhook("hook", "chat", "https://hooks.example/a", b"s" * 32, events, "event", (("x-key", "v"),))
    other = Webhook("other", "chat", "https://hooks.example/b", b"", ("expired",), "tokens")

    assert list(await outbox.webhooks()) == [hook, other]
    assert list(await outbox.due_events(N, 0, 9)) == [WebhookEvent("hook", b'{"state":"not_delivered"}', N, 1, 0, N)]
    later = Millis(N + 60_000)
    assert list(await outbox.due_events(later, 1, 9)) == [WebhookEvent("other", b'{"state":"expired"}', N, 2, 3, later)]
