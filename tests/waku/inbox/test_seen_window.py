"""The window of seen messages: bounded, and true after a restart."""

from pathlib import Path

import pytest

from hushbell.errors import StoreCorrupt, StoreUnavailable
from hushbell.types import Millis
from hushbell.waku.inbox.seen_window import SETTLE_MILLIS, SeenFile, SeenWindow, WindowChanges

NOW = Millis(1_700_000_000_000)
LATER = Millis(NOW + SETTLE_MILLIS)
HOUR = 3_600_000


def window(limit: int = 100) -> SeenWindow:
    return SeenWindow(limit=limit, age=HOUR)


def test_a_message_is_new_once() -> None:
    seen = window()

    assert seen.add(b"a", NOW)
    assert not seen.add(b"a", NOW)


def test_beyond_the_limit_the_oldest_are_forgotten() -> None:
    seen = window(limit=2)

    for key in (b"a", b"b", b"c"):
        seen.add(key, NOW)

    assert len(seen) == 2
    assert not seen.add(b"c", NOW)
    assert seen.add(b"a", NOW)


def test_what_could_not_be_handed_on_may_come_again() -> None:
    seen = window()
    seen.add(b"a", NOW)

    seen.remove(b"a")

    assert seen.add(b"a", NOW)


def test_only_what_was_handed_on_long_ago_settles_and_once() -> None:
    seen = window()
    for key in (b"done", b"in hand", b"waiting"):
        seen.add(key, NOW)
    seen.mark_received(b"done", NOW)
    seen.mark_received(b"in hand", LATER)

    assert seen.pop_settled(NOW) == WindowChanges([(b"done", NOW)], None)
    assert seen.pop_settled(NOW) == WindowChanges([], None)
    assert seen.pop_settled(LATER) == WindowChanges([(b"in hand", NOW)], None)


def test_the_mark_moves_only_with_what_came_before_it() -> None:
    seen = window()
    seen.add(b"a", NOW)
    seen.mark_received(b"a", NOW)
    seen.mark_complete(Millis(NOW - 5), LATER)

    assert seen.pop_settled(NOW).complete_until is None
    assert seen.pop_settled(LATER).complete_until == NOW - 5


def test_old_entries_go() -> None:
    seen = window()
    seen.add(b"a", NOW)
    seen.add(b"b", Millis(NOW + HOUR))

    seen.pop_settled(Millis(NOW + HOUR + 1))

    assert len(seen) == 1
    assert seen.add(b"a", NOW)


def test_the_file_returns_the_newest_and_the_mark(tmp_path: Path) -> None:
    SeenFile(tmp_path / "seen.db").save(WindowChanges([(b"%d" % n, Millis(NOW + n)) for n in range(5)], NOW), Millis(0))

    entries, covered = SeenFile(tmp_path / "seen.db").load(NOW, 2)

    assert entries == [(b"3", NOW + 3), (b"4", NOW + 4)]
    assert covered == NOW


def test_a_new_file_is_empty_and_has_no_mark(tmp_path: Path) -> None:
    assert SeenFile(tmp_path / "seen.db").load(Millis(0), 10) == ([], None)


def test_the_file_drops_what_is_too_old(tmp_path: Path) -> None:
    file = SeenFile(tmp_path / "seen.db")

    file.save(WindowChanges([(b"a", NOW), (b"b", LATER)], None), LATER)

    assert file.load(Millis(0), 10) == ([(b"b", LATER)], None)


def test_a_file_that_is_none_is_said_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "seen.db").write_bytes(b"this is no database, not in the least" * 100)

    with pytest.raises(StoreCorrupt, match=r"seen\.db"):
        SeenFile(tmp_path / "seen.db")


def test_a_folder_that_is_not_there_may_come_back(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"seen\.db"):
        SeenFile(tmp_path / "nowhere" / "seen.db")


def test_the_file_is_for_nobody_else(tmp_path: Path) -> None:
    SeenFile(tmp_path / "seen.db").save(WindowChanges([(b"a", NOW)], None), Millis(0))

    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}
