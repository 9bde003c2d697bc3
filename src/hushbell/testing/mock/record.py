"""What the stand-in remembers of the requests it saw, and what it tells about them."""

from collections import deque
from typing import Any

import orjson

from hushbell.testing.mock.http import Request
from hushbell.testing.mock.rules import RecordedPush

FIELDS = (
    *("t", "provider", "conn", "stream", "host", "token", "apns_id", "collapse", "topic", "push_type", "priority"),
    *("bytes", "jwt_iat", "status"),
)
IDENTS = 2_000_000  # pushes among which one that comes twice is noticed


class Record:
    """Counts everything, keeps the newest requests, and notices what came twice or in the wrong order."""

    def __init__(self, keep: int) -> None:
        """Keep that many requests; 0 counts only."""
        self._keep = keep
        self.lines: deque[tuple[Any, ...]] = deque(maxlen=keep or 1)
        self._first = 0  # number of the oldest line
        self.counts: dict[str, dict[int, int]] = {}  # provider → status → requests
        self._idents: set[str] = set()
        self._numbers: dict[str, int] = {}  # token → the last number it got
        self.duplicates = 0
        self.reordered = 0
        self.most_streams = 0

    def note(self, at: int, request: Request, seen: RecordedPush, status: int) -> None:
        """Remember a request and what was answered; status 0 means nothing was."""
        counts = self.counts.get(seen.provider)
        if counts is None:
            counts = self.counts[seen.provider] = {}
        counts[status] = counts.get(status, 0) + 1
        if status == 200:
            self._order(request, seen)
        if self._keep:
            if len(self.lines) == self._keep:
                self._first += 1
            self.lines.append(
                (
                    *(at, seen.provider, request.connection, request.stream, request.headers.get("host", "")),
                    *(seen.token, seen.ident, seen.collapse, seen.topic, seen.push_type, seen.priority),
                    *(seen.bytes, seen.jwt_iat, status),
                )
            )

    def log(self, since: int) -> tuple[int, bytes]:
        """Return the number of the next line, and the lines from number ``since`` on as JSON, one a line."""
        skip = max(0, since - self._first)
        lines = [
            orjson.dumps(dict(zip(FIELDS, line, strict=True)))
            for number, line in enumerate(self.lines)
            if number >= skip
        ]
        kept = len(self.lines) if self._keep else 0
        return self._first + kept, b"".join(line + b"\n" for line in lines) if self._keep else b""

    def clear(self) -> None:
        """Forget everything, as at the start."""
        most = self.most_streams
        self.__init__(self._keep)  # type: ignore[misc]
        self.most_streams = most

    def _order(self, request: Request, seen: RecordedPush) -> None:
        if seen.ident and len(self._idents) < IDENTS:
            before = len(self._idents)
            self._idents.add(seen.ident)
            self.duplicates += len(self._idents) == before
        # Whoever wants order to be watched numbers its pushes: a key "seq" anywhere in the JSON.
        at = request.body.find(b'"seq":')
        if at >= 0:
            digits = request.body[at + 6 : at + 24].lstrip(b' "')
            end = next((index for index, byte in enumerate(digits) if not 48 <= byte <= 57), len(digits))
            number = int(digits[:end] or 0)
            self.reordered += number < self._numbers.get(seen.token, -1)
            self._numbers[seen.token] = max(number, self._numbers.get(seen.token, -1))
