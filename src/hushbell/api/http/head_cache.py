"""
Heads of requests. Those of one client are the same byte for byte, so that most need no parsing.

A head is remembered only if it was parsed as a whole request of the usual kind, so that the same bytes mean the same
again: what follows them is a body of exactly the length they say.
"""

from collections.abc import Callable
from typing import Any

from hushbell.api.http.types import APP_HEADER, Headers, Respond

MAX_HEADS = 1024
MAX_HEAD_BYTES = 1024  # of one that is remembered
_END = b"\r\n\r\n"
# Headers that change how a body arrives, or what becomes of the connection.
_UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"connection", b"trailer"})


class RequestHead:
    """Everything of a request but its body."""

    __slots__ = ("caller", "context", "headers", "keeps_alive", "method", "url")

    def __init__(self, method: bytes, url: bytes, headers: Headers, *, keeps_alive: bool) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.keeps_alive = keeps_alive
        self.caller = _caller_id(headers)
        self.context: Any = None  # what a handler made of the headers, for the next request with the same head


class HeadCache:
    """Parsed heads by their bytes, at most MAX_HEADS."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[RequestHead, int]] = {}

    def find(self, data: bytes) -> tuple[RequestHead, bytes] | None:
        """Return head and body if the data is one whole request whose head is known."""
        end = data.find(_END)
        known = self._known.get(data[:end])
        if known is None or end < 0 or end + len(_END) + known[1] != len(data):
            return None
        return known[0], data[end + len(_END) :]

    def remember(self, data: bytes, head: RequestHead, body: bytes) -> None:
        """Remember the head of data that was parsed from its first byte on and held, it seems, one request."""
        end = data.find(_END)
        if end > MAX_HEAD_BYTES or end + len(_END) + len(body) != len(data) or not head.keeps_alive:
            return
        lengths = [value for name, value in head.headers if name == b"content-length"]
        if lengths != [b"%d" % len(body)] or any(name in _UNUSUAL for name, _ in head.headers):
            return
        if len(self._known) >= MAX_HEADS:
            self._known.clear()
        self._known[data[:end]] = head, len(body)


def _caller_id(headers: Headers) -> bytes:
    """Return bytes that differ between callers, before keys are checked."""
    found = b""
    for name, value in headers:
        if name in (b"authorization", APP_HEADER):
            found += value
    return found


DirectHandler = Callable[[RequestHead, bytes, Respond], None]
"""Handles a request of the hot route: head, body, and how to answer, now or later."""
