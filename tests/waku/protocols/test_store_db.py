"""The archive's file: what a page holds, in which order, and what is forgotten."""

import sqlite3
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hushbell.errors import ConfigError, StoreCorrupt, StoreMismatch
from hushbell.waku.protocols.store_db import LAST, ArchiveDatabase, ArchivedMessage, ArchiveQuery

SHARD, OTHER = "/waku/2/rs/16/32", "/waku/2/rs/16/64"
MAX_TOPICS = ("/a", "/b", "/c")


def stored(timestamp: int, name: int = 0, *, topic: str = "/a", shard: str = SHARD, size: int = 10) -> ArchivedMessage:
    return ArchivedMessage(name.to_bytes(32, "big"), timestamp, shard, topic, bytes(size))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[ArchiveDatabase]:
    opened = ArchiveDatabase.open(tmp_path / "a" / "archive.db")
    yield opened
    opened.close()


def read_all(
    database: ArchiveDatabase,
    wanted: ArchiveQuery,
    limit: int,
    *,
    size: int = LAST,
    between: list[ArchivedMessage] | None = None,
) -> list[ArchivedMessage]:
    """Page as a client does; ``between`` is put in one by one, a message after each page."""
    found: list[ArchivedMessage] = []
    new = iter(between or ())
    after = None
    for _ in range(200):
        page = database.page(
            ArchiveQuery(
                pubsub_topic=wanted.pubsub_topic,
                content_topics=wanted.content_topics,
                hashes=wanted.hashes,
                since=wanted.since,
                until=wanted.until,
                after=after,
                forward=wanted.forward,
            ),
            limit=limit,
            size=size,
        )
        assert len(page.messages) <= limit
        assert list(page.messages) == sorted(page.messages, key=lambda one: (one.timestamp, one.hash))
        found = [*found, *page.messages] if wanted.forward else [*page.messages, *found]
        if not page.has_more:
            return found
        after = database.place(page.messages[-1 if wanted.forward else 0].hash)
        database.insert([one for one in [next(new, None)] if one])
    raise AssertionError("no end")


MESSAGES = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from(MAX_TOPICS), st.sampled_from([SHARD, OTHER]), st.integers(1, 60)),
    max_size=40,
)
_files = count()


@st.composite
def queries(draw: st.DrawFn) -> ArchiveQuery:
    topics = tuple(draw(st.lists(st.sampled_from(MAX_TOPICS), unique=True)))
    until = draw(st.integers(0, 13))
    return ArchiveQuery(
        pubsub_topic=SHARD if topics else None,
        content_topics=topics,
        since=draw(st.integers(0, 13)),
        until=LAST if until == 13 else until,
        forward=draw(st.booleans()),
    )


@settings(max_examples=60)
@given(
    messages=MESSAGES,
    wanted=queries(),
    limits=st.tuples(st.integers(1, 9), st.sampled_from([1, 100, LAST])),
    newer=st.integers(0, 5),
)
def test_paging_visits_every_message_once_and_in_order(
    tmp_path: Path,
    messages: list[tuple[int, str, str, int]],
    wanted: ArchiveQuery,
    limits: tuple[int, int],
    newer: int,
) -> None:
    database = ArchiveDatabase.open(tmp_path / f"{next(_files)}.db")
    kept = [
        stored(time, name * 7919 % 65_536, topic=topic, shard=shard, size=length)
        for name, (time, topic, shard, length) in enumerate(messages)
    ]
    database.insert(kept)
    late = [stored(20 + number, 70_000 + number, topic=MAX_TOPICS[0]) for number in range(newer)]

    found = read_all(database, wanted, limits[0], size=limits[1], between=late)

    matching = [
        one
        for one in kept
        if wanted.since <= one.timestamp <= wanted.until
        and (not wanted.content_topics or (one.content_topic in wanted.content_topics and one.pubsub_topic == SHARD))
    ]
    before = [one for one in found if one.timestamp < 20]
    assert before == sorted(matching, key=lambda one: (one.timestamp, one.hash))
    assert found[len(before) :] == late[: len(found) - len(before)]  # and of what came meanwhile, no gap
    database.close()


@given(names=st.sets(st.integers(0, 30)), asked=st.lists(st.integers(0, 40), min_size=1), limit=st.integers(1, 5))
@settings(max_examples=40)
def test_asking_by_hash_finds_what_is_there(tmp_path: Path, names: set[int], asked: list[int], limit: int) -> None:
    database = ArchiveDatabase.open(tmp_path / f"{next(_files)}.db")
    database.insert([stored(name % 4, name) for name in names])
    wanted = ArchiveQuery(hashes=tuple(name.to_bytes(32, "big") for name in asked))

    found = read_all(database, wanted, limit)

    assert [one.hash for one in found] == [
        one.hash for one in sorted((stored(n % 4, n) for n in names & set(asked)), key=lambda s: (s.timestamp, s.hash))
    ]
    database.close()


def test_a_page_ends_with_the_message_that_crosses_its_size(database: ArchiveDatabase) -> None:
    database.insert([stored(number, number, size=100) for number in range(5)])

    pages = [database.page(ArchiveQuery(), limit=100, size=size) for size in (1, 100, 101, 250, 500, 501)]

    assert [(len(page.messages), page.has_more) for page in pages] == [
        (1, True),
        (1, True),
        (2, True),
        (3, True),
        (5, False),
        (5, False),
    ]


def test_a_message_is_kept_once(database: ArchiveDatabase) -> None:
    first = database.insert([stored(1, 1), stored(1, 1), stored(2, 2)])
    again = database.insert([stored(1, 1), stored(3, 3)])

    assert (first, again) == (2, 1)
    assert len(database.page(ArchiveQuery(), limit=10, size=LAST).messages) == 3


def test_what_is_too_old_goes_a_bounded_number_at_a_time(database: ArchiveDatabase) -> None:
    database.insert([stored(time, time) for time in range(1_700)])

    dropped = [database.trim(oldest=1_600, size=LAST, steps=2) for _ in range(3)]

    assert dropped == [1_000, 600, 0]
    assert database.page(ArchiveQuery(), limit=1, size=LAST).messages[0].timestamp == 1_600


def test_the_file_stays_within_its_size_and_the_newest_messages_stay(tmp_path: Path) -> None:
    path, size = tmp_path / "archive.db", 4 * 1024 * 1024
    database = ArchiveDatabase.open(path)
    for start in range(0, 12_000, 500):
        database.insert([stored(time, time, size=900) for time in range(start, start + 500)])
        database.trim(oldest=0, size=size, steps=4)
        assert database.size <= size

    last = database.page(ArchiveQuery(forward=False), limit=100, size=LAST).messages
    assert [one.timestamp for one in last] == list(range(11_900, 12_000))
    database.close()
    assert path.stat().st_size <= size * 1.25
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_was_kept_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    first = ArchiveDatabase.open(tmp_path / "archive.db")
    first.insert([stored(1, 1)])
    first.close()

    again = ArchiveDatabase.open(tmp_path / "archive.db")

    assert again.page(ArchiveQuery(), limit=10, size=LAST).messages == (stored(1, 1),)
    again.close()


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"this is no database at all" * 100)
    other = sqlite3.connect(tmp_path / "other")
    other.execute("CREATE TABLE t (x)")
    other.close()

    with pytest.raises(StoreCorrupt):
        ArchiveDatabase.open(tmp_path / "text")
    with pytest.raises(StoreMismatch):
        ArchiveDatabase.open(tmp_path / "other")
    with pytest.raises(ConfigError):
        ArchiveDatabase.open(tmp_path / "text" / "archive.db")
