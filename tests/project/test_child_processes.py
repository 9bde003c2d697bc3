"""No test and no benchmark starts a process that could outlive it."""

import ast
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
STARTS = {"Popen", "create_subprocess_exec", "create_subprocess_shell"}


def calls(tree: ast.AST, names: set[str]) -> int:
    """Return how many calls of functions of these names there are."""
    called = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return sum((each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", "")) in names for each in called)


def test_every_process_that_is_started_ends_with_its_parent() -> None:
    files = [*REPOSITORY.glob("tests/**/*.py"), *REPOSITORY.glob("bench/**/*.py")]
    trees = {str(file.relative_to(REPOSITORY)): ast.parse(file.read_text()) for file in files}

    forgotten = [file for file, tree in trees.items() if calls(tree, STARTS) > calls(tree, {"kill_with_parent"})]

    assert sum(calls(tree, STARTS) for tree in trees.values()) > 20
    assert not forgotten, "call hushbell.testing.child_processes.kill_with_parent(process.pid) after each start"
