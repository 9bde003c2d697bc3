"""The requests that the mock got: counts, the newest ones whole, and what came twice or in the wrong order."""

from collections import deque
from typing import Any, BinaryIO, NamedTuple

import orjson

from hushbell.testing.mock.http import Fault, Request
from hushbell.testing.mock.rules import RecordedPush

MAX_APNS_IDS = 2_000_000  # among which one that comes twice is noticed


class RecordedRequest(NamedTuple):
    """One request, what it asked for, and how it was answered."""

    at: int  # ms, Unix time
    request: Request
    push: RecordedPush
    status: int  # 0: no response was sent
    fault: Fault = Fault.ANSWER

    @property
    def json(self) -> Any:
        """The body. Raises ValueError if it is no JSON."""
        return orjson.loads(self.request.body)

    def line(self) -> dict[str, Any]:
        """Return the request as ``GET /_mock/log`` shows it."""
        at, request, push, status, fault = self
        return {
            "t": at,
            "provider": push.provider,
            "conn": request.connection,
            "stream": request.stream,
            "host": request.headers.get("host", ""),
            "token": push.token,
            "apns_id": push.apns_id,
            "collapse": push.collapse,
            "topic": push.topic,
            "push_type": push.push_type,
            "priority": push.priority,
            "bytes": push.bytes,
            "jwt_iat": push.jwt_iat,
            "status": status,
            "act": fault.value,
        }


class RequestLog:
    """Counts every request and keeps the newest ones."""

    def __init__(self, keep: int, *, keep_bodies: bool = True, file: BinaryIO | None = None) -> None:
        """
        Start empty.

        Args:
            keep: requests that are kept; 0: none.
            keep_bodies: whether bodies and headers are kept too.
            file: gets the line of each request before the response is sent; must be unbuffered.
        """
        self._keep_bodies = keep_bodies
        self._file = file
        self.requests: deque[RecordedRequest] = deque(maxlen=keep)
        self.clear()

    def clear(self) -> None:
        """Forget every request."""
        self.requests.clear()
        self._first = 0  # number of the oldest request that is kept
        self.counts: dict[str, dict[int, int]] = {}  # provider → status → requests
        self._apns_ids: set[str] = set()
        self._numbers: dict[str, int] = {}  # token → the highest number it got
        self.duplicates = 0
        self.reordered = 0

    def add(self, at: int, request: Request, push: RecordedPush, status: int, fault: Fault = Fault.ANSWER) -> None:
        """Record a request with the status of its response, 0 if none is sent, before that is sent."""
        counts = self.counts.get(push.provider)
        if counts is None:
            counts = self.counts[push.provider] = {}
        counts[status] = counts.get(status, 0) + 1
        if status == 200:
            self._check_order(request, push)
        if self._file is not None:
            self._file.write(orjson.dumps(RecordedRequest(at, request, push, status, fault).line()) + b"\n")
        requests = self.requests
        if requests.maxlen:
            self._first += len(requests) == requests.maxlen
            if not self._keep_bodies:
                host = {"host": request.headers.get("host", "")}
                request = Request(request.method, request.path, host, b"", request.connection, request.stream)
            requests.append(RecordedRequest(at, request, push, status, fault))

    def lines(self, since: int) -> tuple[int, bytes]:
        """Return the number of the next request, and the requests from number ``since`` on, a JSON line each."""
        skip = max(0, since - self._first)
        kept = [orjson.dumps(one.line()) + b"\n" for number, one in enumerate(self.requests) if number >= skip]
        return self._first + len(self.requests), b"".join(kept)

    def _check_order(self, request: Request, push: RecordedPush) -> None:
        if push.apns_id and len(self._apns_ids) < MAX_APNS_IDS:
            before = len(self._apns_ids)
            self._apns_ids.add(push.apns_id)
            self.duplicates += len(self._apns_ids) == before
        # A sender that wants its order checked numbers its pushes: a key "seq" anywhere in the JSON.
        at = request.body.find(b'"seq":')
        if at >= 0:
            digits = request.body[at + 6 : at + 24].lstrip(b' "')
            end = next((index for index, byte in enumerate(digits) if not 48 <= byte <= 57), len(digits))
            number = int(digits[:end] or 0)
            self.reordered += number < self._numbers.get(push.token, -1)
            self._numbers[push.token] = max(number, self._numbers.get(push.token, -1))
