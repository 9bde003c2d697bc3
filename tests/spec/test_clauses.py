"""Every clause of spec 16 and every case of the acceptance list has its tests, or says why not."""

import ast
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
CLAUSES, CLIENT = (
    tomllib.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))
    for name in ("clauses.toml", "client_cases.toml")
)
SPEC: list[dict[str, Any]] = CLAUSES["spec16"]
ACCEPTANCE: list[dict[str, Any]] = CLAUSES["acceptance"] + CLIENT["case"]

# How often spec 16 says MUST or SHOULD (or, twice, "should" of a server's answer), by section.
SECTIONS = {
    "reason": 1,
    "requirements": 1,
    "components": 1,
    "registering": 30,
    "query-topic": 1,
    "grant": 1,
    "re-registering": 3,
    "unregistering": 2,
    "advertising": 7,
    "discovering": 1,
    "querying": 18,
    "sending": 15,
    "description": 1,
    "anonymous": 2,
}
CASES = {"V": 18, "R": 15, "Q": 2, "N": 2, "B": 14, "P": 4, "G": 1, "C": 5, "CP": 5, "I": 8}
FIXES = range(16, 26)  # of status-go's client, reference/status-go.md section 10


def name(clause: dict[str, Any]) -> str:
    return clause.get("case") or f"{clause['section']}-{clause['number']}"


def texts_by_test() -> dict[str, set[str]]:
    """Every test function, with the strings of the files it stands in: the names of its cases are among them."""
    found: dict[str, set[str]] = {}
    for path in TESTS.rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = list(ast.walk(tree))
        texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found.setdefault(node.name, set()).update(texts)
    return found


TEXTS = texts_by_test()


def exists(reference: str) -> bool:
    parts = re.fullmatch(r"(test_\w+)(?:\[(\w+)\]|(\*))?", reference)
    if parts is None:
        return False
    test, case, beginning = parts.groups()
    if beginning:
        return any(each.startswith(test) for each in TEXTS)
    return test in TEXTS and (case is None or case in TEXTS[test])


def test_no_clause_of_spec_16_is_missing() -> None:
    numbers = {(clause["section"], clause["number"]) for clause in SPEC}

    assert numbers == {(section, n) for section, count in SECTIONS.items() for n in range(1, count + 1)}
    assert len(numbers) == len(SPEC)
    assert Counter(clause["level"].split()[0] for clause in SPEC) == {"MUST": 54, "SHOULD": 30}


def test_no_case_of_the_acceptance_list_is_missing() -> None:
    cases = [clause["case"] for clause in ACCEPTANCE]

    wanted = [f"{letter}{n}" for letter, count in CASES.items() for n in range(1, count + 1)]
    assert sorted(cases) == sorted(wanted + [f"F{n}" for n in FIXES])


@pytest.mark.parametrize("clause", SPEC + ACCEPTANCE, ids=name)
def test_a_clause_has_tests_that_exist_or_says_why_not(clause: dict[str, Any]) -> None:
    said = [key for key in ("tests", "deviation") if clause.get(key)]

    assert clause["text"]
    assert len(said) == 1
    assert [reference for reference in clause.get("tests", []) if not exists(reference)] == []
