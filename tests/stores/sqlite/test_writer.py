"""One thread writes; calls that wait together share a transaction."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hushbell.errors import StoreUnavailable, VersionConflict
from hushbell.stores.sqlite.writer import Result, Step, Writer

ADD = "INSERT OR IGNORE INTO numbers (number) VALUES"


class Traced:
    """A writer, its file, and the statements that it ran."""

    def __init__(self, path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY, text TEXT CHECK (text <> 'bad'))")
        self.statements: list[str] = []
        connection.set_trace_callback(self.statements.append)
        self.reading = sqlite3.connect(path)
        self.connection = connection
        self.writer = Writer(connection)

    def numbers(self) -> list[int]:
        return [number for (number,) in self.reading.execute("SELECT number FROM numbers ORDER BY number")]

    def count(self, word: str) -> int:
        return sum(statement.startswith(word) for statement in self.statements)


@pytest.fixture
async def traced(tmp_path: Path) -> AsyncIterator[Traced]:
    made = Traced(tmp_path / "file.db")
    yield made
    await asyncio.to_thread(made.writer.close)
    made.reading.close()


def add(number: int, *, must_change: bool = False) -> list[Step]:
    return [Step(ADD, [(number,)], must_change=must_change)]


async def together(traced: Traced, *calls: list[Step]) -> list[object]:
    """Make calls that wait while another one is being written."""
    traced.reading.execute("BEGIN IMMEDIATE")  # the thread waits for this lock
    first = asyncio.ensure_future(traced.writer.write(add(0)))
    await asyncio.sleep(0.05)
    waiting = [asyncio.ensure_future(traced.writer.write(steps)) for steps in calls]
    await asyncio.sleep(0)
    traced.reading.execute("COMMIT")
    await first
    return await asyncio.gather(*waiting, return_exceptions=True)


async def test_calls_that_wait_together_share_a_transaction_without_savepoints(traced: Traced) -> None:
    results = await together(traced, *(add(number) for number in range(1, 6)))

    assert results == [1] * 5
    assert traced.count("COMMIT") == 2
    assert traced.count("SAVEPOINT") == 0
    assert traced.numbers() == list(range(6))


async def test_a_conditional_call_that_loses_is_undone_alone(traced: Traced) -> None:
    lost = [*add(7), *add(0, must_change=True)]

    results = await together(traced, add(1), lost, add(2, must_change=True), add(3))

    assert [type(result) for result in results] == [int, VersionConflict, int, int]
    assert traced.numbers() == [0, 1, 2, 3]
    assert traced.count("SAVEPOINT") == 2
    assert traced.count("COMMIT") == 2


async def test_a_value_that_cannot_be_written_costs_its_own_call_alone(traced: Traced) -> None:
    bad = [*add(7), Step("INSERT INTO numbers (number, text) VALUES", [(8, "bad")])]

    results = await together(traced, add(1), add(1 << 70), bad, add(2))

    assert [type(result) for result in results] == [int, StoreUnavailable, StoreUnavailable, int]
    assert traced.numbers() == [0, 1, 2]


async def test_many_rows_go_in_few_statements(traced: Traced) -> None:
    changed = await traced.writer.write([Step(ADD, [(number,) for number in range(130)])])

    assert changed == 130
    assert traced.count("INSERT") == 3


async def test_each_row_of_a_conditional_step_must_change_a_row(traced: Traced) -> None:
    await traced.writer.write(add(5))

    with pytest.raises(VersionConflict):
        await traced.writer.write([Step(ADD, [(4,), (5,), (6,)], must_change=True)])

    assert traced.numbers() == [5]


async def test_a_callback_comes_once_and_after_its_call(traced: Traced) -> None:
    results: list[Result] = []

    traced.writer.put(add(1), results.append)
    assert not results
    await traced.writer.write(add(2))

    assert results == [1]


async def test_what_a_caller_asked_for_is_written_though_it_went_away(traced: Traced) -> None:
    gone = asyncio.ensure_future(traced.writer.write(add(1)))
    await asyncio.sleep(0)
    gone.cancel()

    await traced.writer.write(add(2))

    assert traced.numbers() == [1, 2]


async def test_closing_writes_what_was_accepted_and_a_last_call_and_refuses_the_rest(traced: Traced) -> None:
    accepted = asyncio.ensure_future(traced.writer.write(add(1)))
    await asyncio.sleep(0)

    await asyncio.to_thread(traced.writer.close, add(2))

    assert await accepted == 1
    assert traced.numbers() == [1, 2]
    with pytest.raises(StoreUnavailable):
        await traced.writer.write(add(3))
