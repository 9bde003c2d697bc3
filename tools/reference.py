"""Writes docs/reference-client.md from docstrings; ``--check`` says whether it is current."""

import ast
import dataclasses
import enum
import inspect
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any, NewType, get_args

import hushbell

PAGE = Path(__file__).parents[1] / "docs" / "reference-client.md"
HEAD = """# Every name of the client library

Written by `tools/reference.py` from the docstrings; a test says when it is out of date. How the parts fit
together is in [integrate.md](integrate.md).
"""


def main() -> int:
    """Write the page, or compare it."""
    page = HEAD + "".join(_described(name, getattr(hushbell, name)) for name in hushbell.__all__)
    if "--check" not in sys.argv:
        PAGE.write_text(page)
        return 0
    if PAGE.is_file() and PAGE.read_text() == page:
        return 0
    print(f"{PAGE}: out of date: run tools/reference.py", file=sys.stderr)
    return 1


def _described(name: str, what: Any) -> str:
    text = f"\n## {name}\n\n"
    if isinstance(what, NewType):
        text += f"`{what.__supertype__.__name__}` at run time; a type of its own for type checkers.\n"
    elif inspect.isclass(what):
        text += _class(name, what)
    elif inspect.ismodule(what):
        text += f"{_said(what)}\n" + "".join(
            _described(f"{name}.{part}", vars(what)[part]) for part in _defined_in(what)
        )
    elif callable(what):
        text += _function(name, what) + "\n"
    else:
        text += "One of " + ", ".join(f"`{one.__name__}`" for one in get_args(what)) + ".\n"
    return text


def _defined_in(module: ModuleType) -> list[str]:
    return [
        name
        for name, what in vars(module).items()
        if not name.startswith("_") and getattr(what, "__module__", "") == module.__name__
    ]


def _class(name: str, what: type[Any]) -> str:
    text = f"{_said(what)}\n"
    if issubclass(what, enum.Enum):
        return text + "\n" + "\n".join(f"* `{name}.{member.name}`" for member in what) + "\n"
    if dataclasses.is_dataclass(what):
        return text + "".join(_fields(what))
    text += f"\n`{name}({_arguments(what.__init__)})`\n"
    for method, function in vars(what).items():
        if method.startswith("_"):
            continue
        if isinstance(function, property):
            text += f"\n### {name}.{method}\n\n{_said(function)}\n"
        elif inspect.isfunction(function) and function.__name__ == method:  # not an old name of it
            text += f"\n### {name}.{method}\n\n" + _function(method, function) + "\n"
    return text


def _fields(what: type[Any]) -> list[str]:
    """Return a line for each field, with the comment behind it."""
    lines = ["\n"]
    for line in textwrap.dedent(inspect.getsource(what)).splitlines():
        code, _, comment = line.partition("  # ")
        name, colon, kind = code.strip().partition(": ")
        if colon and name.isidentifier() and line.startswith("    ") and not line.startswith("     "):
            lines.append(f"* `{name}: {kind.split(' = ')[0]}`" + (f", {comment}" if comment else "") + "\n")
    return lines


def _function(name: str, function: Any) -> str:
    kind = "async " if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function) else ""
    node = _node(function)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    return f"`{kind}{name}({_arguments(function)}){returns}`\n\n{_said(function)}"


def _arguments(function: Any) -> str:
    """Return them as they are written, which every Python shows alike."""
    arguments = _node(function).args
    arguments.args = [one for one in arguments.args if one.arg != "self"]
    return ast.unparse(arguments)


def _node(function: Any) -> ast.FunctionDef | ast.AsyncFunctionDef:
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    return node


def _said(what: Any) -> str:
    lines, found = (inspect.getdoc(what) or "").splitlines(), []
    for line in lines:
        if line in {"Args:", "Raises:"}:
            found.append(f"*{line[:-1]}*\n")
        elif line.startswith("    ") and not line.startswith("     "):
            found.append(f"* {line.strip()}")
        else:
            found.append(line.strip() if line.startswith(" ") else line)
    return "\n".join(found).strip()


if __name__ == "__main__":
    sys.exit(main())
