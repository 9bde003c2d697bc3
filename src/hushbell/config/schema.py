"""The settings classes read as a table of keys: what each takes, and how near a wrong name came."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from hushbell.config.gateway import HttpSettings
from hushbell.config.lines import Path

T = TypeVar("T")

FLAT = (HttpSettings,)
"""Classes whose keys stand in the section around them: ``connect`` belongs to the provider."""

MAY_BE_ZERO = frozenset(
    {"log.blur", "gateway.gorush.gather", "limits.tombstones", "node.cluster", "node.shards"}
    | {"apps.*.attempts", "keys.*.per_minute"}
)
"""Numbers for which zero means something. All others are one or more, or above zero for fractions."""

MAY_BE_EMPTY = frozenset({"node.peers", "node.dns_lists", "ssrf.allow", "apps.*.feedback_headers", "keys.*.apps"})
"""Lists that need no member."""


MEMBER = "*"
"""Stands for the place of a section in an array, such as ``[[apps]]``."""


@dataclass(frozen=True, slots=True)
class Key:
    """One setting."""

    path: Path
    type: Any
    default: Any  # MISSING if it must be given

    @property
    def fallback(self) -> Any:
        """Return something for a value that was refused; it is never used."""
        return None if self.default is MISSING else self.default

    def parse_text(self, text: str) -> Any:
        """Return the value of an environment variable; raises ValueError with the rule."""
        if self.type is str or get_origin(self.type) is Literal or _is_enum(self.type):
            return self.parse(text)
        try:
            value = tomllib.loads(f"value = {text}")
        except (ValueError, RecursionError):  # not TOML, a number of thousands of digits, or nested too deeply
            raise ValueError(f"must be {self.wanted()}, as a TOML value") from None
        return self.parse(value["value"])

    def parse(self, value: Any) -> Any:
        """Return the value in the type of the setting; raises ValueError with the rule."""
        if self._fits(value, self.type):
            return _converted(value, self.type)
        raise ValueError(f"must be {self.wanted()}")

    def wanted(self) -> str:
        """Say what the setting takes."""
        if options := _options(self.type):
            return "one of " + ", ".join(f'"{option}"' for option in options)
        zero = "0" if ".".join(self.path) in MAY_BE_ZERO else "1"
        texts = "texts" if ".".join(self.path) in MAY_BE_EMPTY else "at least one text"
        return {
            bool: "true or false",
            int: f"a whole number from {zero}",
            float: "a number of 0 or more" if zero == "0" else "a number above 0",
            str: "a text in quotes",
            tuple[str, ...]: f"a list of {texts}",
            tuple[int, ...]: f"a list of whole numbers from {zero}, in rising order",
        }[self.type]

    def _fits(self, value: Any, wanted: Any) -> bool:
        if options := _options(wanted):
            return value in options
        name = ".".join(self.path)
        zero = name in MAY_BE_ZERO
        if wanted == tuple[str, ...]:
            some = bool(value) or name in MAY_BE_EMPTY
            return isinstance(value, list) and some and all(isinstance(item, str) for item in value)
        if wanted == tuple[int, ...]:
            return (
                isinstance(value, list)
                and all(type(item) is int and item >= (0 if zero else 1) for item in value)
                and (value == sorted(set(value)))
            )
        if wanted in (int, float):
            is_number = type(value) is int or (wanted is float and type(value) is float)
            return is_number and (value >= 0 if zero else value > 0) and value < 2**53
        return type(value) is wanted


def general(path: Path) -> Path:
    """Return the path with MEMBER in place of every number."""
    return tuple(MEMBER if name.isdigit() else name for name in path)


def keys(settings: type, providers: Mapping[str, type]) -> Mapping[Path, Key]:
    """Return every key below a settings class; ``providers`` as for :func:`build`."""
    found: dict[Path, Key] = {}
    for path, kind, part in _parts(settings, (), providers):
        if part is not None:
            default = part.default if part.default_factory is MISSING else part.default_factory()
            found[path] = Key(path, kind, default)
    return found


def nearest(path: Path, known: Mapping[Path, Key]) -> str:
    """Return ``"; did you mean …?"`` with the nearest known key, or what is known there."""
    wanted = general(path)
    names = {".".join(key[:depth]) for key in known for depth in range(1, len(key) + 1)}
    # The section that the key stands in was spelt right: it is no answer.
    close = difflib.get_close_matches(".".join(wanted), names - {".".join(wanted[:-1])}, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]}?"
    beside = dict.fromkeys(key[len(wanted) - 1] for key in known if key[: len(wanted) - 1] == wanted[:-1])
    if len(wanted) > 1 and beside:
        return f"; known in {'.'.join(wanted[:-1])} are {', '.join(beside)}"
    return f"; known sections are {', '.join(dict.fromkeys(key[0] for key in known))}"


def build(
    settings: type[T],
    values: Mapping[Path, Any],
    sections: Mapping[Path, str],
    missing: list[Path],
    providers: Mapping[str, type],
    *,
    path: Path = (),
) -> T:
    """
    Return an instance from the values found. A missing key without a default is None, and the result is not for use.

    Args:
        settings: the class.
        values: parsed values by path.
        sections: where each section that was mentioned stands. An optional one that was not is None.
        missing: gets the path of each such key.
        providers: the classes of the sections that a field of type ``Mapping`` holds, by their names. They stand
            beside the field's neighbours: ``[apps.apns]``, not ``[apps.providers.apns]``.
        path: of the section.
    """
    arguments: dict[str, Any] = {}
    hints = get_type_hints(settings)
    for part in fields(settings):  # type: ignore[arg-type]
        section, optional = _section(hints[part.name])
        below = (*path, part.name)
        if (member := _member(hints[part.name])) is not None:
            places = sorted({int(at[len(below)]) for at in sections if _is_within(at, below)})
            arguments[part.name] = tuple(
                build(member, values, sections, missing, providers, path=(*below, str(place))) for place in places
            )
        elif get_origin(hints[part.name]) is Mapping:
            arguments[part.name] = {
                name: build(one, values, sections, missing, providers, path=(*path, name))
                for name, one in providers.items()
                if (*path, name) in sections
            }
        elif section in FLAT:
            flat = {name: values[*path, name] for name in _names(section) if (*path, name) in values}
            base = part.default_factory() if part.default_factory is not MISSING else section()
            arguments[part.name] = section(**{name: getattr(base, name) for name in _names(section)} | flat)
        elif section is not None:
            if not optional or below in sections:
                arguments[part.name] = build(section, values, sections, missing, providers, path=below)
        elif below in values:
            arguments[part.name] = values[below]
        elif part.default is MISSING and part.default_factory is MISSING:
            missing.append(below)
            arguments[part.name] = None
    return settings(**arguments)


def _parts(settings: type, path: Path, providers: Mapping[str, type]) -> list[tuple[Path, Any, Field[Any] | None]]:
    hints = get_type_hints(settings)
    found: list[tuple[Path, Any, Field[Any] | None]] = []
    for part in fields(settings):
        section, _ = _section(hints[part.name])
        if (member := _member(hints[part.name])) is not None:
            found += _parts(member, (*path, part.name, MEMBER), providers)
        elif get_origin(hints[part.name]) is Mapping:
            for name, one in providers.items():
                found += _parts(one, (*path, name), providers)
        elif section is None:
            found.append(((*path, part.name), hints[part.name], part))
        else:
            found += _parts(section, path if section in FLAT else (*path, part.name), providers)
    return found


def _section(kind: Any) -> tuple[Any, bool]:
    """Return the settings class of a field and whether it may be left out, or None for a plain value."""
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    for option in options:
        if is_dataclass(option):
            return option, len(options) > 1
    return None, False


def _member(kind: Any) -> Any:
    """Return the settings class of an array's members, or None."""
    if get_origin(kind) is not tuple:
        return None
    member = get_args(kind)[0]
    return member if is_dataclass(member) else None


def _is_within(path: Path, array: Path) -> bool:
    return len(path) > len(array) and path[: len(array)] == array and path[len(array)].isdigit()


def _names(section: Any) -> list[str]:
    return [part.name for part in fields(section)]


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _options(kind: Any) -> tuple[str, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(str(member.value) for member in kind) if _is_enum(kind) else ()


def _converted(value: Any, wanted: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if _is_enum(wanted):
        return wanted(value)
    return float(value) if wanted is float else value
