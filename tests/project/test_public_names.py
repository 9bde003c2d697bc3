"""The names of the package ``hushbell``: one list at run time, the same list for type checkers, nothing beside it."""

import ast
from pathlib import Path

import pytest

import hushbell
from hushbell.old_names import NEW_NAMES

STUB = ast.parse(Path(hushbell.__file__).with_suffix(".pyi").read_text())


def _stub_names() -> set[str]:
    """Return the names that type checkers may import."""
    (names,) = (
        ast.literal_eval(statement.value)
        for statement in STUB.body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__"
    )
    return set(names)


def _stub_modules() -> dict[str, str]:
    """Return the module of each name in the stub."""
    return {
        alias.name: f"{statement.module}"
        for statement in STUB.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


def test_dir_shows_the_public_names_and_nothing_else() -> None:
    assert dir(hushbell) == sorted(hushbell.__all__)


def test_type_checkers_see_the_same_names() -> None:
    assert _stub_names() == set(hushbell.__all__) == set(_stub_modules())


@pytest.mark.parametrize("name", hushbell.__all__)
def test_a_public_name_is_what_type_checkers_take_it_for(name: str) -> None:
    module = __import__(_stub_modules()[name], fromlist=[name])

    assert getattr(hushbell, name) is getattr(module, name)


@pytest.mark.parametrize("old, new", NEW_NAMES.items())
def test_a_name_of_0_1_0_still_works_and_says_its_new_name(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"hushbell.{old} is called hushbell.{new} now"):
        found = getattr(hushbell, old)

    if old != "persona":
        assert found is getattr(hushbell, new)


def test_the_functions_of_anonymous_mode_keep_their_old_names_under_the_old_one() -> None:
    with pytest.warns(DeprecationWarning, match="rotating_identity"):
        persona = hushbell.persona  # type: ignore[attr-defined]

    assert persona.epochs_to_serve is hushbell.rotating_identity.periods_to_serve
    assert persona.create is hushbell.rotating_identity.create


def test_a_name_that_never_was_is_an_error() -> None:
    with pytest.raises(AttributeError, match="nobody"):
        hushbell.nobody  # type: ignore[attr-defined]  # noqa: B018
