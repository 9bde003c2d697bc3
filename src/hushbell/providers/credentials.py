"""Credentials that can be read again while pushes are under way."""

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from hushbell.errors import ConfigError

log = logging.getLogger(__name__)
T = TypeVar("T")


class ReloadableCredential(Generic[T]):
    """The credential of one provider of one app, as it was last read without an error."""

    def __init__(self, load: Callable[[], T]) -> None:
        """
        Read for the first time.

        Raises:
            ConfigError: the files are bad; names setting and file.
        """
        self._load = load
        self.current = load()

    def reload(self) -> bool:
        """Read again and return whether the files are good. Bad ones are logged and change nothing."""
        try:
            self.current = self._load()
        except ConfigError as error:
            log.error("%s; the credential that was read before stays in use", error)  # noqa: TRY400 - no traceback
            return False
        return True
