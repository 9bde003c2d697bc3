"""What is archived and what is not."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from hushbell.errors import StoreUnavailable
from hushbell.waku.message import RawMessage
from hushbell.waku.protocols import archive as module
from hushbell.waku.protocols.archive import MAX_CLOCK_ERROR, Archive
from hushbell.waku.protocols.store_db import LAST, ArchiveQuery


async def kept(archive: Archive) -> list[bytes]:
    page = await archive.page(ArchiveQuery(), cursor=None, limit=1_000, size=LAST)
    assert page is not None
    return [one.message for one in page.messages]


async def test_a_message_is_kept_as_it_came_and_once(net: Any, archive: Archive) -> None:
    message = net.message(1) + bytes.fromhex("9a0601ff")

    archive.put(RawMessage(net.shard, message))
    archive.put(RawMessage(net.shard, message))

    assert await kept(archive) == [message]
    assert (net.counts["archive_kept"], net.counts["archive_known"]) == (1, 1)


async def test_what_nobody_should_be_given_later_is_not_kept(net: Any, archive: Archive) -> None:
    now = net.clock.now() * 1_000_000
    for message in (
        net.message(ephemeral=True),
        net.message(timestamp=None),
        net.message(timestamp=0),
        net.message(timestamp=now + MAX_CLOCK_ERROR + 1),
        net.message(timestamp=now - MAX_CLOCK_ERROR - 1),
        net.message(timestamp=-(2**63)),
        b"\xff\xff",
    ):
        archive.put(RawMessage(net.shard, message))
    archive.put(RawMessage(net.shard, net.message(timestamp=now + MAX_CLOCK_ERROR)))
    archive.put(RawMessage(net.shard, net.message(timestamp=now - MAX_CLOCK_ERROR)))

    assert len(await kept(archive)) == 2
    assert net.counts == {
        "archive_kept": 2,
        "archive_ephemeral": 1,
        "archive_untimely": 5,
        "archive_undecodable": 1,
    }


async def test_what_grew_too_old_is_not_shown_and_goes(net: Any, archive: Archive) -> None:
    archive.put(RawMessage(net.shard, net.message(1)))
    assert len(await kept(archive)) == 1
    net.clock.advance(3_599)
    archive.put(RawMessage(net.shard, net.message(2)))
    assert len(await kept(archive)) == 2
    net.clock.advance(2)

    assert len(await kept(archive)) == 1


async def test_an_unknown_cursor_is_told_from_an_empty_page(net: Any, archive: Archive) -> None:
    empty = await archive.page(ArchiveQuery(), cursor=None, limit=10, size=LAST)

    assert empty is not None
    assert await archive.page(ArchiveQuery(), cursor=bytes(32), limit=10, size=LAST) is None


async def test_what_was_put_in_survives_closing(net: Any, tmp_path: Path) -> None:
    settings: Any = {"clock": net.clock, "count": net.count, "age": 60, "size": 1 << 20, "message_limit": 1 << 20}
    first = Archive.open(tmp_path / "x.db", **settings)
    first.put(RawMessage(net.shard, net.message(1)))
    await first.close()
    await first.close()

    again = Archive.open(tmp_path / "x.db", **settings)
    assert await kept(again) == [net.message(1)]
    await again.close()
    again.put(RawMessage(net.shard, net.message(2)))
    with pytest.raises(StoreUnavailable):
        await again.flush()
    assert net.counts["archive_dropped"] == 1


async def test_a_disk_that_does_not_keep_up_loses_messages_and_no_memory(
    net: Any, tmp_path: Path, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED", 10)
    locked = sqlite3.connect(tmp_path / "archive.db", isolation_level=None)
    locked.execute("BEGIN IMMEDIATE")  # somebody else writes

    for number in range(30):
        archive.put(RawMessage(net.shard, net.message(number)))
    locked.execute("ROLLBACK")
    locked.close()
    await archive.flush()

    assert net.counts["archive_dropped"] + net.counts["archive_kept"] == 30
    assert net.counts["archive_dropped"] >= 10


async def test_too_many_questions_at_once_are_refused(net: Any, archive: Archive) -> None:
    asked = [asyncio.ensure_future(archive.flush()) for _ in range(module.MAX_QUERIES + 5)]

    answers = await asyncio.gather(*asked, return_exceptions=True)

    assert sum(isinstance(answer, StoreUnavailable) for answer in answers) == 5
    await archive.flush()


async def test_whoever_goes_away_while_asking_disturbs_nobody(net: Any, archive: Archive) -> None:
    asked = [asyncio.ensure_future(kept(archive)) for _ in range(10)]
    await asyncio.sleep(0)
    for one in asked[::2]:
        one.cancel()

    answers = await asyncio.gather(*asked, return_exceptions=True)

    assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [True, False] * 5
