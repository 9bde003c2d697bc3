"""What SQLite's errors mean for the caller."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from hushbell.errors import StoreCorrupt, StoreError, StoreUnavailable

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def meaning(error: sqlite3.Error) -> StoreError:
    """Return our own error: a damaged file needs the operator, everything else may pass."""
    code = getattr(error, "sqlite_errorcode", None)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    # The low byte is the primary code; the rest says more about the same thing.
    if code is not None and code & 0xFF in _DAMAGED:
        return StoreCorrupt(f"the database file is damaged ({name})")
    return StoreUnavailable(f"the database does not answer ({name})")


@contextmanager
def mapped() -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise meaning(error) from error
