import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from hushbell.demo.story import Story, run_repeatedly

RING = "rings: “You have a new message”"
RUNS = 3


def _rings(steps: list[tuple[str, str]]) -> list[str]:
    return [what for who, what in steps if who == "Alice's phone" and what.startswith("rings")]


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_the_main_job_runs_from_registration_to_a_push_that_survives_a_restart(tmp_path: Path) -> None:
    steps: list[tuple[str, str]] = []

    await Story(tmp_path, lambda who, what: steps.append((who, what))).run()

    assert _rings(steps) == [RING] * 2


async def test_the_demo_runs_again_and_again_and_keeps_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    steps: list[tuple[str, str]] = []

    def tell(who: str, what: str) -> None:
        steps.append((who, what))
        if what.startswith(f"run {RUNS} is complete"):
            runs.cancel()

    runs = asyncio.create_task(run_repeatedly(tell, pause=0.0))
    with suppress(asyncio.CancelledError):
        await runs

    assert _rings(steps) == [RING] * 2 * RUNS
    assert _names(tmp_path) == []
