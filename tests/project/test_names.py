"""One word, one idea: the names in the source that can be checked."""

import ast
import io
import tokenize
from collections import defaultdict
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "hushbell"
FILES = sorted(path for path in SOURCE.rglob("*.py") if "pb" not in path.parts)

NOT_VERBS = {"do", "take", "tell", "hear", "have", "let", "again", "at"}

OLD_WORDS = {"told", "tells", "heard", "hears", "said", "stand_in", "somebody", "everybody", "whoever", "enough"}
"""Words of the project's first language, as whole names. Names in stored data keep theirs: they are texts there."""

STORED = {"heard_at", "asked_in_vain"}

PARTICIPLES = ("ing", "ed")
EVENTS = {"core/client/events.py", "core/server/events.py"}  # they say what has happened, in the past tense
NOT_PARTICIPLES = {"Setting", "FactsNeeded", "MarkNotified"}  # RFC 9113's noun; commands and what they hold


def _classes(path: Path) -> list[ast.ClassDef]:
    return [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]


def _is_error(node: ast.ClassDef) -> bool:
    """Whether a class is an error: its name says what happened, as Python's own do (NotImplementedError aside)."""
    bases = {ast.unparse(base) for base in node.bases}
    return any(base.endswith(("Error", "Exception")) for base in bases)


def _names(path: Path) -> dict[str, int]:
    """Return each name in a file with its first line; texts and comments are none."""
    found: dict[str, int] = {}
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.NAME:
            found.setdefault(token.string, token.start[0])
    return found


def test_no_two_public_classes_have_the_same_name() -> None:
    places = defaultdict(list)
    for path in FILES:
        for node in _classes(path):
            if not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(SOURCE)))

    assert {name: where for name, where in places.items() if len(where) > 1} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_names_in_a_file_say_what_they_are(path: Path) -> None:
    tree = ast.parse(path.read_text())
    vague = [
        f"function {node.name} in line {node.lineno}: name it by the verb that says what happens"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.strip("_") in NOT_VERBS
    ]
    participles = [
        f"class {node.name} in line {node.lineno}: name it by a noun"
        for node in _classes(path)
        if str(path.relative_to(SOURCE)) not in EVENTS
        and node.name.lower().endswith(PARTICIPLES)
        and node.name not in NOT_PARTICIPLES
        and not _is_error(node)
    ]
    old = [
        f"{name} in line {line}: the glossary has the word of today"
        for name, line in _names(path).items()
        if name.strip("_").lower() in OLD_WORDS and name not in STORED
    ]

    assert vague + participles + old == []
