"""Files with credentials: read whole, small, and blamed by their setting."""

import tomllib
from pathlib import Path
from typing import Any

from hushbell.errors import ConfigError

LONGEST = 256 * 1024  # bytes; a credential is far smaller


def read(path: str, setting: str) -> bytes:
    """
    Return the content of a file.

    Raises:
        ConfigError: it cannot be read or is too long; names the setting and the file, never the content.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(LONGEST + 1)
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigError(f"{setting}: cannot read {path}: {problem}") from None
    if len(content) > LONGEST:
        raise ConfigError(f"{setting}: {path} is longer than {LONGEST} bytes")
    return content


def read_line(path: str, setting: str) -> str:
    """
    Return the one line of a file, such as an API key.

    Raises:
        ConfigError: it cannot be read, or holds anything but one line of visible ASCII.
    """
    try:
        line = read(path, setting).decode("ascii").strip()
    except UnicodeDecodeError:
        line = ""
    if not line or not line.isprintable() or " " in line:
        raise ConfigError(f"{setting}: {path} must hold one line without spaces")
    return line


def read_table(path: str, setting: str) -> dict[str, Any]:
    """
    Return what a TOML file holds, or nothing if there is none.

    Raises:
        ConfigError: it cannot be read, or is not TOML.
    """
    if not path:
        return {}
    try:
        return tomllib.loads(read(path, setting).decode())
    except (ValueError, RecursionError):
        # Not `from error`: its text may quote the file.
        raise ConfigError(f"{setting}: {path} is not TOML") from None
