"""
A stand-in for Apple's push service: HTTP/2 over TLS, Apple's checks, answers as scripted.

In a test: ``async with MockApns() as apns:`` and then ``apns.port``, ``apns.ca_file``, ``apns.key_file``,
``apns.received``. As a process: ``python -m hushbell.testing.apns --port 0 --dir D --log FILE``, which prints one
JSON line when it listens and takes one JSON object a line on standard input, see :meth:`MockApns.control`.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, BinaryIO, Self

from hushbell.testing.apns_connection import Connection
from hushbell.testing.apns_rules import FINE, Act, Answer, Judge, Received
from hushbell.testing.certificates import new_key, server_context

__all__ = ["Act", "Answer", "MockApns", "Received"]

KEY_ID = "TESTKEY123"
TEAM_ID = "TESTTEAM12"
KEPT = 1_000_000  # pushes remembered; a longer run should read the log file


class MockApns:
    """Apple's push service as tests need it. Scripted answers are used up in order before rules are looked at."""

    def __init__(
        self,
        *,
        port: int = 0,
        directory: Path | None = None,
        topics: Iterable[str] = (),
        max_concurrent_streams: int = 1000,
        log: BinaryIO | None = None,
        keep: bool = True,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """
        Prepare the stand-in; nothing listens yet.

        Args:
            port: 0 picks a free one.
            directory: where the key and the certificates are written; a temporary one if None.
            topics: the apps whose pushes are taken; any if empty.
            max_concurrent_streams: what the client is told.
            log: an unbuffered file that gets every accepted push before it is answered.
            keep: whether accepted pushes stay in ``received``.
            now: Unix time in milliseconds, for the age of provider tokens.
        """
        self.port = port
        self.received: list[Received] = []  # accepted ones, in order
        self.refused: list[tuple[Received, Answer]] = []  # the others
        self.pushes = 0  # all that arrived
        self.connections_made = 0
        self.script: deque[Answer] = deque()
        self.rules: dict[str, Answer] = {}  # by device token
        self.decide: Callable[[Received], Answer | None] | None = None
        self._temporary = tempfile.TemporaryDirectory() if directory is None else None
        self.directory = directory or Path(self._temporary.name if self._temporary else ".")
        self.key_id, self.team_id = KEY_ID, TEAM_ID
        key, self.key = new_key()
        self.key_file = self.directory / f"AuthKey_{KEY_ID}.p8"
        self.key_file.touch(mode=0o600)
        self.key_file.write_bytes(self.key)
        self._context, self.ca_file = server_context(self.directory)
        self.judge = Judge(key.public_key(), key_id=KEY_ID, team_id=TEAM_ID, topics=frozenset(topics))
        self._streams = max_concurrent_streams
        self._log = log
        self._keep = keep
        self._now = now
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """HOST:PORT, as the setting ``connect`` of a provider takes it."""
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.refuse()
        if self._temporary is not None:
            self._temporary.cleanup()

    async def listen(self) -> None:
        """Take connections, always on the same port."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._connection, "127.0.0.1", self.port, ssl=self._context)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Cut every connection and take no more until :meth:`listen`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)

    def go_away(self) -> None:
        """Take no more streams on the connections there are."""
        for connection in list(self._connections):
            connection.go_away()

    async def control(self, command: dict[str, Any]) -> None:
        """
        Obey one line of the control language.

        ``{"script": [ANSWER, …]}`` answers the next pushes; ``{"rule": TOKEN, "answer": ANSWER}`` all pushes of a
        device token, without ``answer`` it ends the rule; ``{"do": "refuse" | "listen" | "goaway"}``. An ANSWER has
        the fields of :class:`Answer`, such as ``{"status": 410, "reason": "Unregistered", "timestamp": 1}``.

        Raises:
            ValueError: the command is none of these.
        """
        match command:
            case {"script": list(answers)}:
                self.script.extend(parse_answer(answer) for answer in answers)
            case {"rule": str(token), "answer": answer}:
                self.rules[token] = parse_answer(answer)
            case {"rule": str(token)}:
                self.rules.pop(token, None)
            case {"do": "refuse"}:
                await self.refuse()
            case {"do": "listen"}:
                await self.listen()
            case {"do": "goaway"}:
                self.go_away()
            case _:
                raise ValueError("unknown command")

    def _connection(self) -> Connection:
        self.connections_made += 1
        return Connection(self._judge, self._connections, self._streams)

    def _judge(self, path: str, headers: dict[str, str], payload: bytes) -> Answer:
        """Return what is to be said to a push; accepted ones are on record before that."""
        now = self._now()
        self.pushes += 1
        answer = self.judge.refusal(path, headers, payload, now)
        headers.pop("authorization", None)
        push = Received(path.rpartition("/")[2], headers.get("apns-id", ""), headers, payload, now)
        if answer is None:
            answer = self._scripted(push)
        if answer.status == 200 and answer.act is not Act.REFUSE_STREAM:
            if self._log is not None:
                self._log.write(push.line())
            if self._keep and len(self.received) < KEPT:
                self.received.append(push)
        elif len(self.refused) < KEPT:
            self.refused.append((push, answer))
        return answer

    def _scripted(self, push: Received) -> Answer:
        if self.script:
            return self.script.popleft()
        decided = self.decide(push) if self.decide is not None else None
        if decided is not None:
            return decided
        return self.rules.get(push.token, FINE) if self.rules else FINE


def parse_answer(fields: Any) -> Answer:
    """Return the answer that a JSON object describes. Raises ValueError for unknown fields."""
    try:
        return Answer(**fields | {"act": Act(fields.get("act", Act.ANSWER))})
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not an answer: {error}") from error


async def _serve(mock: MockApns) -> None:
    async with mock:
        ready = {
            "ready": True,
            "port": mock.port,
            "connect": mock.address,
            "ca_file": str(mock.ca_file),
            "key_file": str(mock.key_file),
            "key_id": mock.key_id,
            "team_id": mock.team_id,
        }
        _say(ready)
        await _obey(mock)


async def _obey(mock: MockApns) -> None:
    """Obey standard input until it ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        try:
            command = json.loads(line)
            if command == {"do": "stats"}:
                _say({"pushes": mock.pushes, "connections": mock.connections_made, "tokens": len(mock.judge.bearers)})
                continue
            await mock.control(command)
        except ValueError as error:
            _say({"error": str(error)})
        else:
            _say({"done": True})


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run the stand-in until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m hushbell.testing.apns", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dir", required=True, help="where the key and the certificates are written")
    parser.add_argument("--log", default="", help="file that gets a JSON line for every accepted push")
    parser.add_argument("--topic", action="append", default=[], help="an app whose pushes are taken; all if none")
    parser.add_argument("--streams", type=int, default=1000, help="side by side on one connection")
    options = parser.parse_args()
    directory = Path(options.dir)
    directory.mkdir(parents=True, exist_ok=True)
    with Path(options.log or os.devnull).open("ab", buffering=0) as log:
        mock = MockApns(
            port=options.port,
            directory=directory,
            topics=options.topic,
            max_concurrent_streams=options.streams,
            log=log if options.log else None,
            keep=False,
        )
        _run(_serve(mock))


def _run(serving: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop  # noqa: PLC0415 - faster, never required
    except ImportError:
        asyncio.run(serving)
    else:
        uvloop.run(serving)


if __name__ == "__main__":
    main()
