"""Damaged rows are put aside and cost nobody else anything."""

import asyncio
import logging
import os
import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from tests.stores.fixtures import Made

from hushbell.core.delivery.changes import Changes, DeadToken, IdempotentResponse
from hushbell.core.delivery.job import DamagedJob, Job, JobOnDisk, JobProgress, JobResult
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.state import State
from hushbell.core.delivery.webhook import Webhook, WebhookEvent
from hushbell.core.server.facts import FactsNeeded, SaveResponse
from hushbell.ports.outbox import committed
from hushbell.runtime.delivery.engine import App, DeliveryEngine
from hushbell.stores.sqlite.outbox import SqliteOutbox
from hushbell.stores.sqlite.server import SqliteServerStore
from hushbell.testing.clock import FakeClock
from hushbell.testing.scripted_provider import ScriptedProvider
from hushbell.types import Millis, SymmetricKey

ROWS = 12
NOW = Millis(1_800_000_000_000)
ZEROED = "UPDATE jobs SET sealed = zeroblob(length(sealed)) WHERE number = ?"


def opened(folder: Path, *, keep_damaged_days: int = 30) -> SqliteOutbox:
    return SqliteOutbox.open(
        folder / "gateway.db", folder / "key", random=os.urandom, keep_damaged_days=keep_damaged_days
    )


def job(outbox: SqliteOutbox, *tokens: str) -> Job:
    first, (ident,) = outbox.reserve(1)
    note = Notification(ident, "chat", "token", tokens, Message("apns", b"{}"), Millis(NOW + 86_400_000))
    return Job(first, "chat", NOW, (note,))


def change(folder: Path, sql: str, *values: object) -> None:
    """Change a database as an operator's shell would."""
    connection = sqlite3.connect(folder / "gateway.db")
    assert connection.execute(sql, values).rowcount == 1
    connection.commit()
    connection.close()


async def stored(folder: Path, count: int = ROWS) -> list[Job]:
    """Store jobs with a push each, every third with two pushes and progress."""
    outbox = opened(folder)
    jobs = [
        job(outbox, f"token-{number}", f"second-{number}") if number % 3 == 0 else job(outbox, f"token-{number}")
        for number in range(count)
    ]
    progress = [JobProgress(one.number, bytes([State.ACCEPTED, State.RETRYING]), b"\1\1") for one in jobs[::3]]
    await committed(outbox, Changes(jobs=list(jobs), progress=progress))
    await outbox.close()
    return jobs


async def delivered(folder: Path) -> tuple[set[str], SqliteOutbox]:
    """Deliver what is open; return the tokens that a provider got, and the outbox, still open."""
    provider, clock = ScriptedProvider("apns"), FakeClock(NOW, manual=True)
    outbox = opened(folder)
    engine = DeliveryEngine(
        outbox=outbox, apps=[App(name="chat", providers={"apns": provider})], clock=clock, random=os.urandom
    )
    await engine.start()
    running = asyncio.create_task(engine.run())
    async with asyncio.timeout(20):
        while not engine.is_idle:  # noqa: ASYNC110  the engine is watched from outside
            await asyncio.sleep(0.001)
    assert not any(engine.open.values()), "the share of what is damaged is free again"
    engine.stop()
    await running
    return set(provider.tokens), outbox


def damage(changed: str) -> str:
    return f"UPDATE jobs SET {changed} WHERE number = ?"


damages = st.one_of(
    st.just(damage("sealed = zeroblob(length(sealed))")),
    st.integers(0, 60).map(lambda size: damage(f"sealed = substr(sealed, 1, {size})")),
    st.binary(max_size=80).map(lambda data: damage(f"sealed = X'{data.hex()}'")),
    st.binary(max_size=9).map(lambda data: damage(f"app = CAST(X'{data.hex()}' AS TEXT)")),
    st.binary(max_size=9).map(lambda data: damage(f"provider = CAST(X'{data.hex()}' AS TEXT)")),
    st.integers(-(2**62), 2**62)
    .filter(lambda count: count not in (1, 2))
    .map(lambda count: damage(f"pushes = {count}")),
    st.sampled_from((-5_000, 0, 7_000, 2**62)).map(lambda number: damage(f"number = {number} + number % 1000")),
    st.binary(max_size=9).map(
        lambda data: f"INSERT OR REPLACE INTO progress SELECT number, X'{data.hex()}' FROM jobs WHERE number = ?"
    ),
)


@given(st.dictionaries(st.integers(0, ROWS - 1), damages, max_size=5))
@examples(max_examples=40)
async def test_whatever_is_damaged_all_other_rows_are_delivered(damaged: dict[int, str]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        jobs = await stored(folder)
        for index, sql in damaged.items():
            change(folder, sql, jobs[index].number)

        tokens, outbox = await delivered(folder)

        wanted = {
            f"second-{number}" if number % 3 == 0 else f"token-{number}"
            for number in range(ROWS)
            if number not in damaged
        }
        assert tokens == wanted
        assert len(await outbox.quarantined()) == len(damaged)
        assert not list(await outbox.open_jobs())
        await outbox.close()


@pytest.mark.parametrize("column", ["number = number - 900000", "last = 1 << 61", "packed = zeroblob(9)"])
async def test_a_damaged_row_of_results_erases_no_job(tmp_path: Path, column: str) -> None:
    jobs = await stored(tmp_path)
    outbox = opened(tmp_path)
    result = JobResult(jobs[1].number, "chat", NOW, NOW, (1,), bytes([State.ACCEPTED]), b"\1")
    await committed(outbox, Changes(results=[result]))
    await outbox.close()
    change(tmp_path, f"UPDATE job_results SET {column}")

    tokens, outbox = await delivered(tmp_path)

    assert tokens == {f"second-{n}" if n % 3 == 0 else f"token-{n}" for n in range(ROWS) if n != 1}
    await outbox.close()


@given(st.dictionaries(st.integers(1, 8), st.binary(max_size=120), max_size=5))
@examples(max_examples=20)
async def test_damaged_registrations_are_named_and_all_others_are_loaded(damaged: dict[int, bytes]) -> None:
    made = Made()
    with TemporaryDirectory() as name:
        path, key = Path(name) / "hushbell.db", Path(name) / "key"
        store = SqliteServerStore.open(path, key, random=os.urandom)
        await store.commit([made.save(made.device(1, number)) for number in range(1, 9)])
        connection = sqlite3.connect(path)
        for number, data in damaged.items():
            row = (data, made.device(1, number).installation_id)
            connection.execute("UPDATE registrations SET sealed = ? WHERE installation_id = ?", row)
        connection.commit()
        connection.close()

        facts = await store.load(FactsNeeded(queried=frozenset({made.key_hash(1)})), byte_limit=100_000)

        assert facts.damaged == {made.device(1, number) for number in damaged}
        assert facts.devices == {
            made.device(1, number): made.tombstone(1) if number in damaged else made.stored() for number in range(1, 9)
        }
        await store.close()


@pytest.mark.parametrize("version", [-3, 0, 1, 2**62])
async def test_a_registration_replaces_one_whatever_became_of_its_version(
    open_sqlite: Any, made: Made, tmp_path: Path, version: int
) -> None:
    store: SqliteServerStore = open_sqlite()
    await store.commit([made.save(made.device())])
    connection = sqlite3.connect(tmp_path / "data" / "hushbell.db")
    connection.execute("UPDATE registrations SET version = ?, sealed = X'00'", (version,))
    connection.commit()
    connection.close()
    needed = FactsNeeded(devices=frozenset({made.device()}))
    known = (await store.load(needed, byte_limit=10_000)).devices[made.device()].version

    await store.commit([made.save(made.device(), 7, replaces=known)])

    assert (await store.load(needed, byte_limit=10_000)).devices == {made.device(): made.stored(7)}
    await store.close()


async def test_a_damaged_job_is_listed_with_number_and_app_and_has_failed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = await stored(tmp_path)
    change(tmp_path, ZEROED, jobs[4].number)

    with caplog.at_level(logging.ERROR):
        _, outbox = await delivered(tmp_path)

    (row,) = await outbox.quarantined()
    assert (row.source, row.number, row.app) == ("jobs", jobs[4].number, "chat")
    (record,) = caplog.records
    assert str(jobs[4].number) in record.getMessage()
    assert "chat" in record.getMessage()
    assert outbox.rows_quarantined == 1
    found = await outbox.find(jobs[4].number)
    assert isinstance(found, JobResult)
    assert (list(found.states), found.reasons) == ([State.FAILED], ((0, "DamagedRow"),))
    await outbox.close()


async def test_a_damaged_job_is_read_as_such_before_it_is_put_aside(tmp_path: Path) -> None:
    jobs = await stored(tmp_path, 2)
    change(tmp_path, ZEROED, jobs[1].number)
    outbox = opened(tmp_path)

    good, damaged = await outbox.read([jobs[0].number, jobs[1].number])

    assert isinstance(good, JobOnDisk)
    assert damaged == DamagedJob(jobs[1].number, "chat", "apns", 1, "a row of jobs does not decrypt")
    await outbox.close()


async def test_a_released_row_that_is_damaged_still_returns_and_a_repaired_one_is_delivered(tmp_path: Path) -> None:
    jobs = await stored(tmp_path)
    connection = sqlite3.connect(tmp_path / "gateway.db")
    (sealed,) = connection.execute("SELECT sealed FROM jobs WHERE number = ?", (jobs[3].number,)).fetchone()
    connection.close()
    change(tmp_path, ZEROED, jobs[3].number)
    _, outbox = await delivered(tmp_path)
    (row,) = await outbox.quarantined()

    assert await outbox.release(row.id)
    assert not await outbox.release(row.id)
    await outbox.close()
    tokens, outbox = await delivered(tmp_path)

    assert not tokens
    (row,) = await outbox.quarantined()
    assert row.number == jobs[3].number

    assert await outbox.release(row.id)
    await outbox.close()
    change(tmp_path, "UPDATE jobs SET sealed = ? WHERE number = ?", sealed, jobs[3].number)
    tokens, outbox = await delivered(tmp_path)

    assert tokens == {"second-3"}, "its progress was kept with it"
    assert not await outbox.quarantined()
    await outbox.close()


async def test_a_discarded_row_is_gone(tmp_path: Path) -> None:
    jobs = await stored(tmp_path)
    change(tmp_path, ZEROED, jobs[0].number)
    _, outbox = await delivered(tmp_path)
    (row,) = await outbox.quarantined()

    assert await outbox.discard(row.id)

    assert not await outbox.discard(row.id)
    assert not await outbox.quarantined()
    assert await outbox.find(jobs[0].number) is None
    await outbox.close()


async def test_rows_are_erased_after_as_many_days_as_the_settings_say(tmp_path: Path) -> None:
    jobs = await stored(tmp_path)
    change(tmp_path, ZEROED, jobs[0].number)
    _, outbox = await delivered(tmp_path)
    await outbox.forget(NOW, 100)
    assert len(await outbox.quarantined()) == 1
    await outbox.close()

    change(tmp_path, "UPDATE quarantined SET at = at - 8 * 86400000")
    outbox = opened(tmp_path, keep_damaged_days=9)
    await outbox.forget(NOW, 100)
    assert len(await outbox.quarantined()) == 1
    await outbox.close()
    outbox = opened(tmp_path, keep_damaged_days=7)
    await outbox.forget(NOW, 100)

    assert not await outbox.quarantined()
    await outbox.close()


@pytest.mark.parametrize(
    "table, sql",
    [
        ("dead_tokens", "UPDATE dead_tokens SET sealed = zeroblob(40) WHERE cursor = 1"),
        ("webhooks", "UPDATE webhooks SET sealed = zeroblob(40) WHERE name = 'one'"),
        ("webhooks", "UPDATE webhooks SET name = CAST(X'ff' AS TEXT) WHERE name = 'one'"),
        ("webhook_events", "UPDATE webhook_events SET sealed = X'' WHERE number = 1"),
        ("webhook_events", "UPDATE webhook_events SET hook = CAST(X'ff' AS TEXT) WHERE number = 1"),
        ("idempotent_responses", "UPDATE idempotent_responses SET answer = zeroblob(9) WHERE digest = X'01'"),
        ("job_results", "UPDATE job_results SET packed = zeroblob(9)"),
    ],
)
async def test_a_damaged_row_of_any_table_is_put_aside_and_the_rows_beside_it_are_read(
    tmp_path: Path, table: str, sql: str
) -> None:
    outbox = opened(tmp_path)
    gone = job(outbox, "gone")
    await outbox.save_webhook(Webhook("one", "chat", "https://one.example/", b"", ()))
    await outbox.save_webhook(Webhook("two", "chat", "https://two.example/", b"", ()))
    await committed(
        outbox,
        Changes(
            dead_tokens=[DeadToken("chat", "apns", token, "Unregistered", None, NOW) for token in ("one", "two")],
            events=[WebhookEvent(name, b"{}", NOW) for name in ("one", "two")],
            responses=[IdempotentResponse(digest, b"r", b"answer", NOW) for digest in (b"\1", b"\2")],
            results=[JobResult(gone.number, "chat", NOW, NOW, (1,), bytes([State.ACCEPTED]), b"\1")],
        ),
    )
    await outbox.close()
    change(tmp_path, sql)
    outbox = opened(tmp_path)

    for _ in range(2):
        found = {
            "dead_tokens": [one.token for one in await outbox.dead_tokens("chat", 0, 9)],
            "webhooks": [one.name for one in await outbox.webhooks()],
            "webhook_events": [one.webhook for one in await outbox.due_events(NOW, 0, 9)],
            "idempotent_responses": [
                name for name, key in (("one", b"\1"), ("two", b"\2")) if await outbox.idempotent_response(key)
            ],
            "job_results": ["two"] if await outbox.find(gone.number) is None else ["one", "two"],
        }
        assert {name: names for name, names in found.items() if names != ["one", "two"]} == {table: ["two"]}
        await outbox.save_webhook(Webhook("two", "chat", "https://two.example/", b"", ()))  # whatever waits is written

    (row,) = await outbox.quarantined()
    assert row.source == table
    assert outbox.rows_quarantined == 1
    await outbox.close()


async def test_a_damaged_answer_of_the_server_is_put_aside_and_may_be_given_anew(
    open_sqlite: Any, tmp_path: Path, made: Made
) -> None:
    store: SqliteServerStore = open_sqlite()
    await store.commit([SaveResponse(made.request(1), b"one", NOW), SaveResponse(made.request(2), b"two", NOW)])
    await store.keep_query_key(made.key_hash(), SymmetricKey(b"q" * 32))
    connection = sqlite3.connect(tmp_path / "data" / "hushbell.db")
    connection.execute("UPDATE answers SET sealed = zeroblob(50) WHERE wrapper_id = ?", (made.request(1),))
    connection.execute("UPDATE query_keys SET sealed = zeroblob(50)")
    connection.commit()
    connection.close()
    needed = FactsNeeded(requests=frozenset({made.request(1), made.request(2)}))

    facts = await store.load(needed, byte_limit=10_000)
    await store.commit([SaveResponse(made.request(1), b"anew", NOW)])

    assert list(facts.responses) == [made.request(2)]
    again = await store.load(needed, byte_limit=10_000)
    assert again.responses == {made.request(1): b"anew", made.request(2): b"two"}
    assert await store.query_key(made.key_hash()) is None
    await store.keep_query_key(made.key_hash(), SymmetricKey(b"q" * 32))
    assert await store.query_key(made.key_hash()) == b"q" * 32
    assert [row.source for row in await store.outbox.quarantined()] == ["answers", "query_keys"]
    await store.close()
