"""The habits that a linter does not know."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for path in (ROOT / "src").rglob("*.py") if "pb" not in path.parts)
LONGEST = 400  # lines; a longer file does two things


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_a_source_file_is_short(path: Path) -> None:
    lines = path.read_text().splitlines()

    assert len(lines) <= LONGEST


def test_no_module_is_named_for_nothing() -> None:
    names = {path.stem for path in SOURCES} | {path.parent.name for path in SOURCES}

    assert not names & {"utils", "util", "helpers", "helper", "manager", "misc"}
