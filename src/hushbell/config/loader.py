"""
From a TOML text, an environment and flags to settings: flag before environment before file before default.

The caller reads the text. All mistakes are found before the first one is reported.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hushbell.config.lines import Path, line_of, lines
from hushbell.config.rules import broken_rules
from hushbell.config.schema import MEMBER, Key, build, general, keys, nearest
from hushbell.config.settings import Settings
from hushbell.errors import ConfigError

PREFIX = "HUSHBELL_"
_SYNTAX = re.compile(r"(?P<rule>.*) \(at line (?P<line>\d+), column \d+\)")


@dataclass(frozen=True, slots=True)
class Source:
    """A configuration file that was read: its name for messages, and its text."""

    name: str
    text: str


def load(
    source: Source | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    *,
    providers: Mapping[str, type] | None = None,
) -> Settings:
    """
    Return the settings.

    Args:
        source: the file, or None if there is none.
        environment: variables; those named ``HUSHBELL_SECTION__KEY`` count, with lists and numbers as TOML values.
        flags: values given on the command line by dotted key, such as ``{"server.data": "/var/lib/hushbell"}``.
            None is a flag that was not given.
        providers: the settings class of each provider, by the name of its section in ``[[apps]]``.

    Raises:
        ConfigError: one line for each mistake, with file and line, key and rule.
    """
    providers = providers or {}
    reading = _SettingsReader(keys(Settings, providers), providers)
    if source is not None:
        reading.read_file(source)
    reading.read_environment(environment or {})
    reading.read_flags(flags or {})
    settings = reading.finish()
    if reading.problems:
        raise ConfigError("\n".join(reading.problems))
    return settings


class _SettingsReader:
    """Values found so far, where each stands, and what is wrong."""

    def __init__(self, known: Mapping[Path, Key], providers: Mapping[str, type]) -> None:
        self.problems: list[str] = []
        self._known = known
        self._providers = providers
        self._values: dict[Path, Any] = {}
        self._places: dict[Path, str] = {}
        self._refused: set[Path] = set()
        self._sections: dict[Path, str] = {(): "configuration"}

    def read_file(self, source: Source) -> None:
        try:
            tables = tomllib.loads(source.text)
        except tomllib.TOMLDecodeError as error:
            match = _SYNTAX.fullmatch(str(error))
            line = match["line"] if match else source.text.count("\n") + 1
            self.problems.append(f"{source.name}:{line}: not TOML: {match['rule'] if match else error}")
            return
        except (ValueError, RecursionError):  # tomllib says neither where nor which
            self.problems.append(f"{source.name}: not TOML: a number is too long, or a value is nested too deeply")
            return
        numbers = lines(source.text)
        self._table(tables, (), lambda path: f"{source.name}:{line_of(path, numbers)}")

    def read_environment(self, environment: Mapping[str, str]) -> None:
        for variable in sorted(environment):
            if variable.startswith(PREFIX) and "__" in variable:
                path = tuple(variable.removeprefix(PREFIX).lower().split("__"))
                self._set(path, environment[variable], f"environment {variable}", is_text=True)

    def read_flags(self, flags: Mapping[str, Any]) -> None:
        for name, value in flags.items():
            if value is not None:
                path = tuple(name.split("."))
                self._set(path, list(value) if isinstance(value, tuple) else value, "command line")

    def finish(self) -> Settings:
        missing: list[Path] = []
        settings = build(Settings, self._values, self._sections, missing, self._providers)
        for path in missing:
            self._complain(path, "missing", self._place(path))
        for path, rule in broken_rules(settings):
            if path not in self._refused and path not in missing:
                self._complain(path, rule, self._place(path))
        return settings

    def _place(self, path: Path) -> str:
        places = self._places | self._sections
        while path not in places:
            path = path[:-1]
        return places[path]

    def _table(self, table: Mapping[str, Any], path: Path, place: Any) -> None:
        for name, value in table.items():
            below = (*path, name)
            if isinstance(value, dict) and self._has_keys_in(below):
                self._sections[below] = place(below)
                self._table(value, below, place)
            elif isinstance(value, list) and self._has_keys_in((*below, MEMBER)) and _all_tables(value):
                for number, member in enumerate(value):
                    at = (*below, str(number))
                    self._sections[at] = place(at)
                    self._table(member, at, place)
            else:
                self._set(below, value, place(below))

    def _has_keys_in(self, section: Path) -> bool:
        wanted = general(section)
        return any(known[: len(wanted)] == wanted for known in self._known)

    def _set(self, path: Path, value: Any, place: str, *, is_text: bool = False) -> None:
        key = self._known.get(general(path))
        if key is None:
            self._complain(path, f"unknown{nearest(path, self._known)}", place)
            return
        for depth in range(1, len(path)):
            self._sections.setdefault(path[:depth], place)
        try:
            self._values[path] = key.parse_text(value) if is_text else key.parse(value)
        except ValueError as error:
            self._complain(path, str(error), place)
            self._refused.add(path)  # so that one mistake is reported once
            self._values.setdefault(path, key.fallback)
        else:
            self._places[path] = place

    def _complain(self, path: Path, rule: str, place: str) -> None:
        self.problems.append(f"{place}: {'.'.join(path)}: {rule}")


def _all_tables(value: list[Any]) -> bool:
    return all(isinstance(member, dict) for member in value)
