"""
SIGKILL between every pair of steps of a push loses nothing that was accepted.

The steps are: accepted, sent, answered, recorded. The moment of a kill is chosen by what the publisher and the stand-in
for Apple see or withhold; the gateway knows nothing of it.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import hushbell
from hushbell.testing.child_processes import kill_with_parent
from hushbell.testing.mock.server import MockProviders

pytestmark = pytest.mark.chaos

KILLS = int(os.environ.get("HUSHBELL_KILLS", "40"))
SEED = int(os.environ.get("HUSHBELL_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
PUBLISHERS = 8
READY = 20.0  # seconds a start may take on a busy machine
DRAINED = 60.0  # seconds until everything that was accepted must have arrived
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(hushbell.__file__).parents[1])}


class Gateway:
    """One life after another on the same data."""

    def __init__(self, folder: Path, mock: MockProviders) -> None:
        told = mock.ready()
        self.folder = folder
        self.port = 0
        self.process: asyncio.subprocess.Process | None = None
        (folder / "hushbell.toml").write_text(f"""
[[apps]]
name = "chat"
[apps.apns]
key_file = "{told["apns"]["key_file"]}"
key_id = "{told["apns"]["key_id"]}"
team_id = "{told["apns"]["team_id"]}"
topic = "im.example"
connect = "{told["connect"]}"
ca_file = "{told["ca_file"]}"
""")

    async def start(self) -> None:
        command = [sys.executable, "-m", "hushbell.cli", "gateway", "--config", str(self.folder / "hushbell.toml")]
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command,
                *("--data", str(self.folder / "data"), "--http", f"127.0.0.1:{self.port}"),
                env=ENVIRONMENT,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
            kill_with_parent(self.process.pid)
        assert self.process.stdout is not None
        async with asyncio.timeout(READY):
            ready = json.loads(await self.process.stdout.readline())
        self.port = int(ready["http"].rpartition(":")[2])

    async def kill(self, number: int = signal.SIGKILL) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return await self.process.wait()


class Publishers:
    """Callers that push without end, and remember what they were promised."""

    def __init__(self, gateway: Gateway, dice: random.Random) -> None:
        self.accepted: set[str] = set()
        self.sent = 0
        self.responses = asyncio.Event()  # set at each answer
        self._gateway = gateway
        self._dice = dice
        self._tasks = [asyncio.create_task(self._publish(number)) for number in range(PUBLISHERS)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _publish(self, number: int) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._gateway.port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            try:
                while True:
                    await self._push(number, reader, writer)
            except (OSError, asyncio.IncompleteReadError, ValueError):
                writer.close()

    async def _push(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tokens = []
        for _ in range(self._dice.choice((1, 1, 1, 5, 50))):
            self.sent += 1
            tokens.append(f"{number:04x}{self.sent:060x}")
        body = json.dumps({"notifications": [{"platform": 1, "tokens": tokens, "message": "x"}]}).encode()
        head = f"POST /api/push HTTP/1.1\r\nHost: g\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        writer.write(head + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        if answer.startswith(b"HTTP/1.1 200"):
            self.accepted.update(tokens)
            self.responses.set()
        await asyncio.sleep(self._dice.random() * 0.01)


def seen(mock: MockProviders) -> int:
    return mock.count("apns")


async def until_seen(mock: MockProviders, count: int) -> None:
    """Return as soon as the mock has got so many requests, or nothing comes."""
    end = time.monotonic() + 2.0
    while seen(mock) < count and time.monotonic() < end:  # noqa: ASYNC110  the sooner the better
        await asyncio.sleep(0)


Moment = Callable[[MockProviders, Publishers, random.Random], Awaitable[None]]


async def before_it_is_accepted(mock: MockProviders, publishers: Publishers, dice: random.Random) -> None:
    """The request is on its way, or being written to the disk."""
    await asyncio.sleep(dice.random() * 0.01)


async def accepted(mock: MockProviders, publishers: Publishers, dice: random.Random) -> None:
    """The publisher has read the answer; nothing may have been sent."""
    mock.rule({"reply": {"delay_ms": 2000}})
    publishers.responses.clear()
    async with asyncio.timeout(5):
        await publishers.responses.wait()


async def sent(mock: MockProviders, publishers: Publishers, dice: random.Random) -> None:
    """The mock has the push and withholds its answer."""
    mock.rule({"reply": {"blackhole": True}})
    await until_seen(mock, seen(mock) + dice.randrange(1, 30))


async def responses(mock: MockProviders, publishers: Publishers, dice: random.Random) -> None:
    """The mock has answered just now; the outcome is not on the disk."""
    await until_seen(mock, seen(mock) + dice.randrange(1, 200))


async def recorded(mock: MockProviders, publishers: Publishers, dice: random.Random) -> None:
    """The outcome is on the disk, or nearly."""
    await until_seen(mock, seen(mock) + dice.randrange(1, 50))
    await asyncio.sleep(dice.random() * 0.12)


async def refused(mock: MockProviders, publishers: Publishers, dice: random.Random) -> None:
    """Attempts failed and wait."""
    mock.rule({"reply": {"status": 503, "reason": "ServiceUnavailable"}})
    await until_seen(mock, seen(mock) + 5)
    await asyncio.sleep(dice.random() * 0.2)


MOMENTS: tuple[Moment, ...] = (before_it_is_accepted, accepted, sent, responses, recorded, refused)


async def test_nothing_that_was_accepted_is_lost_by_kills_between_any_two_steps(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    sys.stdout.write(f"HUSHBELL_SEED={SEED}\n")
    async with MockProviders(keep=2_000_000) as mock:
        gateway = Gateway(tmp_path, mock)
        await gateway.start()
        publishers = Publishers(gateway, dice)
        for number in range(KILLS):
            mock.rule()
            await asyncio.sleep(dice.random() * 0.1)
            await MOMENTS[number % len(MOMENTS)](mock, publishers, dice)
            await gateway.kill()
            mock.rule()
            await gateway.start()
        await publishers.stop()

        missing = publishers.accepted
        end = time.monotonic() + DRAINED
        while missing and time.monotonic() < end:
            await asyncio.sleep(0.25)
            missing = missing - {one["token"] for one in mock.log if one["status"] == 200}
        assert not missing
        assert await gateway.kill(signal.SIGTERM) == 0
        log: list[dict[str, Any]] = [one for one in mock.log if one["provider"] == "apns"]

    arrivals = Counter(one["token"] for one in log)
    names = {(one["token"], one["apns_id"]) for one in log}
    assert publishers.accepted <= set(arrivals)
    assert len(names) == len(arrivals), "each attempt at a push carries the same identifier"
    assert len(publishers.accepted) > KILLS
    twice = sum(count > 1 for count in arrivals.values())
    figures = f"{KILLS} kills, {len(publishers.accepted)} accepted, {len(arrivals)} arrived, {twice} more than once"
    sys.stdout.write(figures + "\n")
