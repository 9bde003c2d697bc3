"""Credentials that are read again while pushes are under way."""

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from hushbell.errors import ConfigError

log = logging.getLogger(__name__)
T = TypeVar("T")


class ReloadableCredential(Generic[T]):
    """What was last read well from the files of one provider of one app."""

    def __init__(self, load: Callable[[], T]) -> None:
        """
        Read for the first time.

        Raises:
            ConfigError: the files are not good; names setting and file.
        """
        self._load = load
        self.now = load()

    def reload(self) -> bool:
        """Read again. Bad files are told in the log and change nothing; returns whether they were good."""
        try:
            self.now = self._load()
        except ConfigError as error:
            log.error("%s; the credential that was read before stays in use", error)  # noqa: TRY400 - no traceback
            return False
        return True
