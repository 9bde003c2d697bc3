"""The habits that a linter does not know."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for path in (ROOT / "src").rglob("*.py") if "pb" not in path.parts)
MAX_LINES = 400  # a longer file says why at its head


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_a_source_file_is_short_or_says_why_it_is_not(path: Path) -> None:
    text = path.read_text()
    head = (ast.get_docstring(ast.parse(text)) or "").lower()

    assert len(text.splitlines()) <= MAX_LINES or "one file" in head


def test_no_module_is_named_for_nothing() -> None:
    names = {path.stem for path in SOURCES} | {path.parent.name for path in SOURCES}

    assert not names & {"utils", "util", "helpers", "helper", "manager", "misc"}
