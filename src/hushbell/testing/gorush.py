"""A stand-in for gorush's ``POST /api/push``: keeps every body byte for byte and answers as scripted."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Self

from hushbell.testing.plain_http import PlainHttp, RecordedRequest

FINE = b'{"counts":1,"logs":[],"success":"ok"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One scripted answer."""

    status: int = 200
    body: bytes = FINE
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0  # seconds
    hang: bool = False  # never answers
    close: bool = False  # cuts the connection instead of answering
    raw: bytes | None = None  # these bytes in place of HTTP


@dataclass(frozen=True, slots=True)
class Posted:
    """One request that arrived."""

    path: str
    headers: dict[str, str] = field(repr=False)  # names in lower case
    body: bytes = field(repr=False)

    @property
    def notifications(self) -> list[dict[str, Any]]:
        """The notifications in the body."""
        found: list[dict[str, Any]] = json.loads(self.body)["notifications"]
        return found


class MockGorush:
    """Scripted replies are used up in order; after them ``reply`` answers everything."""

    def __init__(self, *, port: int = 0) -> None:
        self.posted: list[Posted] = []
        self.script: deque[Reply] = deque()
        self.reply = Reply()
        self._http = PlainHttp(self._answer, port=port)
        self._arrived = asyncio.Condition()

    @property
    def url(self) -> str:
        """What a client is configured with."""
        return self._http.url

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._http.port

    @property
    def bodies(self) -> list[bytes]:
        """Every body, in order of arrival."""
        return [posted.body for posted in self.posted]

    async def wait_for(self, number: int, *, patience: float = 10.0) -> list[bytes]:
        """Return the bodies once there are that many; TimeoutError after ``patience`` seconds."""
        async with asyncio.timeout(patience), self._arrived:
            await self._arrived.wait_for(lambda: len(self.posted) >= number)
        return self.bodies

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.refuse()

    async def listen(self) -> None:
        """Take connections, always on the same port."""
        await self._http.listen()

    async def refuse(self) -> None:
        """Cut every connection and take no more until :meth:`listen`."""
        await self._http.refuse()

    async def _answer(self, asked: RecordedRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        self.posted.append(Posted(asked.target, asked.headers, asked.body))
        async with self._arrived:
            self._arrived.notify_all()
        reply = self.script.popleft() if self.script else self.reply
        if reply.hang:
            await reader.read()
            return False
        await asyncio.sleep(reply.delay)
        if reply.close:
            return False
        writer.write(reply.raw if reply.raw is not None else _http(reply))
        await writer.drain()
        if reply.raw is not None:
            writer.close()
            await writer.wait_closed()
            return False
        return True


def _http(reply: Reply) -> bytes:
    extra = "".join(f"{name}: {value}\r\n" for name, value in reply.headers)
    head = f"HTTP/1.1 {reply.status} Status\r\nContent-Type: application/json\r\nContent-Length: {len(reply.body)}\r\n"
    return (head + extra + "\r\n").encode() + reply.body
