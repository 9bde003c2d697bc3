"""
Log lines on standard error: one JSON object each, coarse times, and no secrets, even where one is passed to the logger.

The first rule is not to log secrets. What is here is the net below that rule: anything long enough to be a key, a
token or a payload is replaced before a line is written, in messages, arguments, extras and tracebacks alike.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO, Any

from hushbell.config.settings import LogSettings

ROOT = "hushbell"
REDACTED = "[redacted]"
MAX_LENGTH = 4096  # characters of a message or a traceback; the rest is cut

_UUID = r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
_SECRETS = (
    re.compile(_UUID),  # access tokens and installation ids
    re.compile(r"(?:\\x[0-9a-fA-F]{2}|\\[ntr\\'\"]){2,}"),  # bytes as Python shows them
    re.compile(r"\b(?:0x)?[0-9A-Fa-f]{16,}\b"),  # keys, hashes, ids and Apple's device tokens
    re.compile(r"b'[^']*'|b\"[^\"]*\""),
    # Base64 and Google's device tokens: long, without a space, and with a digit, which words and paths rarely have.
    re.compile(r"(?=[A-Za-z0-9_:+-]*\d)[A-Za-z0-9_:+-]{24,}={0,2}"),
)
# Attributes of every LogRecord; others were passed as ``extra``.
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def redacted(text: str) -> str:
    """Return the text with everything replaced that could be a key, a token, an identifier or a payload."""
    for secret in _SECRETS:
        text = secret.sub(REDACTED, text)
    return text if len(text) <= MAX_LENGTH else text[:MAX_LENGTH] + "…"


def blurred(seconds: float, blur: int) -> str:
    """Return a Unix time in ISO 8601, rounded down to ``blur`` seconds; 0 and 1 keep whole seconds."""
    whole = int(seconds)
    return datetime.fromtimestamp(whole - whole % max(blur, 1), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object: ``time``, ``level``, ``from``, ``message``, extras, ``error``."""

    def __init__(self, blur: int) -> None:
        super().__init__()
        self._blur = blur

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. Never raises for a wrong argument: a log line must not stop a server."""
        line: dict[str, Any] = {
            "time": blurred(record.created, self._blur),
            "level": record.levelname.lower(),
            "from": record.name,
            "message": redacted(_message(record)),
        }
        for name, value in vars(record).items():
            if name not in _PLAIN:
                line[name] = _plain(value)
        if record.exc_info:
            line["error"] = redacted(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def start_logs(settings: LogSettings, stream: IO[str] | None = None) -> None:
    """Send every record of the program to standard error, or to ``stream``. Calling again replaces the first call."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(settings.blur))
    logger = logging.getLogger()
    logger.handlers[:] = [handler]
    logger.setLevel(logging.WARNING)  # libraries
    logging.getLogger(ROOT).setLevel(settings.level.upper())


def logger(name: str) -> logging.Logger:
    """Return the logger of a part of the program, such as ``runtime``."""
    return logging.getLogger(f"{ROOT}.{name}")


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return f"{record.msg} (its arguments do not fit)"


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {redacted(str(name)): _plain(item) for name, item in value.items()}
    if isinstance(value, bytes | bytearray | memoryview):
        return REDACTED
    return redacted(str(value))
