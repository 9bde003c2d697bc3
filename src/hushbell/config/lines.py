"""Where a key stands in a TOML file: the parser of the standard library does not report it."""

import re
from collections.abc import Mapping

Path = tuple[str, ...]
"""The names from the section down to the key, such as ``("gateway", "apns", "key_file")``."""

_BARE = r"[A-Za-z0-9_-]+"
_NAME = rf"(?:{_BARE}|\"[^\"]*\"|'[^']*')"
_NAMES = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_NAMES})\s*\]")
_KEY = re.compile(rf"\s*({_NAMES})\s*=")


def lines(text: str) -> Mapping[Path, int]:
    """
    Return the line, from 1, of each section and key; the first one counts.

    The sections of an array have their place in it, from "0", behind its name.

    A line within a multi-line string can look like a key. Then a message points a few lines too high; the values
    come from the real parser, so nothing worse happens.
    """
    found: dict[Path, int] = {}
    section: Path = ()
    arrays: dict[Path, int] = {}  # places of the last members
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            section = _within(_split(header[2]), arrays, is_array=header[1] == "[[")
            found.setdefault(section, number)
        elif key := _KEY.match(line):
            found.setdefault(section + _split(key[1]), number)
    return found


def line_of(path: Path, known: Mapping[Path, int]) -> int:
    """Return the line of a key, or of the nearest section around it, or 1."""
    while path:
        if path in known:
            return known[path]
        path = path[:-1]
    return 1


def _within(names: Path, arrays: dict[Path, int], *, is_array: bool) -> Path:
    """Return the path of a section, whose names may lead through arrays."""
    path: Path = ()
    for name in names[:-1] if is_array else names:
        path = (*path, name)
        if path in arrays:
            path = (*path, str(arrays[path]))
    if is_array:
        path = (*path, names[-1])
        arrays[path] = arrays.get(path, -1) + 1
        path = (*path, str(arrays[path]))
    return path


def _split(names: str) -> Path:
    return tuple(name.strip("\"'") for name in re.findall(_NAME, names))
