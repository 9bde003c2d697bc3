"""The real server and the mock of Apple as processes of their own, and phones that give them work to do."""

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import hushbell
from hushbell.core.client import request
from hushbell.core.client.query import Info
from hushbell.core.delivery.job import JobResult
from hushbell.core.delivery.state import State
from hushbell.core.server.request import collapse_id
from hushbell.crypto import secp256k1
from hushbell.runtime.clock import system_random
from hushbell.simulator.phone import Phone
from hushbell.simulator.reconnecting_bus import ReconnectingBus
from hushbell.stores.sqlite.server import SqliteServerStore
from hushbell.testing.child_processes import kill_with_parent
from hushbell.types import DeviceToken, NotificationType, PublicKey
from hushbell.wire.messages import Report, ReportError

SOURCES = Path(hushbell.__file__).parents[1]
READY = 5.0  # seconds a start may take on a busy machine, also after a kill
STOPPED = 10.0  # seconds after SIGTERM, as promised
OPEN_PUSHES = """
SELECT coalesce(sum(pushes), 0) FROM jobs
WHERE NOT EXISTS (SELECT 1 FROM job_results AS ended WHERE jobs.number BETWEEN ended.number AND ended.last)
"""
DRAINED = 90.0  # seconds until everything that was promised must have arrived
PATIENCE = 90.0  # seconds of a phone; many kills long
RESEND = 0.15  # seconds; so that phones use the short lives of the server


def environment() -> dict[str, str]:
    """Return our own without settings of somebody's server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUSHBELL_")}
    return kept | {"PYTHONPATH": str(SOURCES)}


def say(line: str) -> None:
    """Write where pytest shows it for a red test, and for every test with -s."""
    sys.stdout.write(line + "\n")


class Apple:
    """The mock's process. What it accepted is in its log before it answers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "apns.log"
        self._read = 0
        self._process: asyncio.subprocess.Process
        self.ready: dict[str, Any] = {}
        self.received: list[tuple[str, str]] = []  # apns-id and collapse id, in order

    async def start(self) -> None:
        command = [sys.executable, "-m", "hushbell.cli", "mock-providers", "--dir", str(self._folder), "--keep", "0"]
        self._process = await asyncio.create_subprocess_exec(
            *command, "--log", str(self._log), stdout=asyncio.subprocess.PIPE, env=environment()
        )
        kill_with_parent(self._process.pid)
        assert self._process.stdout is not None
        ready = json.loads(await asyncio.wait_for(self._process.stdout.readline(), 20))
        self.ready = ready | ready["apns"]

    async def answer(self, reply: dict[str, Any] | None) -> None:
        """Answer every push so; as usual again with None."""
        await self._control("PUT", "rules", [] if reply is None else [{"reply": reply}])

    async def refuse(self) -> None:
        """Cut every connection and accept none until :meth:`listen`."""
        await self._control("POST", "down", {"seconds": 3600})

    async def listen(self) -> None:
        await self._control("POST", "up")

    async def attempts(self) -> int:
        """Return how many pushes arrived, accepted or not."""
        stats = json.loads(await self._control("GET", "stats"))
        return sum(stats["requests"].get("apns", {}).values())

    def look(self) -> set[tuple[str, str]]:
        """Read what arrived since the last look and return all of it."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                push = json.loads(line)
                if push["status"] == 200 or (push["status"] == 0 and push["act"] != "refuse"):
                    self.received.append((push["apns_id"], push["collapse"]))
        return set(self.received)

    async def stop(self) -> None:
        self._process.terminate()
        await self._process.wait()

    async def _control(self, method: str, path: str, body: Any = None) -> bytes:
        def send() -> bytes:
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(f"{self.ready['control']}/_mock/{path}", data, method=method)
            with urllib.request.urlopen(request, timeout=20) as response:
                text: bytes = response.read()
                return text

        return await asyncio.to_thread(send)


class Server:
    """``hushbell serve`` on one data folder, started as often as it takes."""

    def __init__(self, folder: Path, bus: Path, apple: Apple, limits: dict[str, int], patience: float) -> None:
        self.data = folder / "data"
        self.bus = bus
        self.log = folder / "server.log"
        self.slowest = 0.0  # seconds of a start
        self.identity = b""
        self._config = folder / "hushbell.toml"
        self._process: asyncio.subprocess.Process
        self._spawned = 0.0
        lines = ["[server]", "query_keys_per_second = 50", "[gateway.apns]", f"timeout = {patience}"]
        settings = {name: apple.ready[name] for name in ("key_file", "key_id", "team_id", "connect", "ca_file")}
        lines += [f'{name} = "{value}"' for name, value in settings.items()]
        lines += ['topic = "org.example.messenger"', "[limits]"]
        bounds = {"rings_per_minute": 1_000_000, "ring_burst": 1_000_000} | limits
        lines += [f"{name} = {value}" for name, value in bounds.items()]
        self._config.write_text("\n".join(lines) + "\n")

    async def spawn(self) -> None:
        """Start the process and do not wait for anything."""
        command = [sys.executable, "-m", "hushbell.cli", "serve", "--config", str(self._config)]
        command += ["--data", str(self.data), "--bus", str(self.bus)]
        self._spawned = time.monotonic()
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=log, env=environment()
            )
            kill_with_parent(self._process.pid)

    async def ready(self) -> None:
        """Wait for the ready line."""
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), 4 * READY)
        assert line, f"the server ended without a ready line: {self.log.read_text()[-2000:]}"
        self.slowest = max(self.slowest, time.monotonic() - self._spawned)
        identity = bytes.fromhex(json.loads(line)["identity"])
        assert self.identity in (b"", identity), "the server has another identity than before"
        self.identity = identity

    async def start(self) -> None:
        await self.spawn()
        await self.ready()

    async def kill(self) -> None:
        """Send SIGKILL: nothing of the process runs after this."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    def signal(self, number: int = signal.SIGTERM) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def exit_code(self, within: float = STOPPED) -> int:
        """Wait for the end; raises TimeoutError."""
        return await asyncio.wait_for(self._process.wait(), within)

    async def stop(self) -> float:
        """Stop as an operator does and return the seconds it took."""
        began = time.monotonic()
        self.signal()
        assert await self.exit_code() == 0
        return time.monotonic() - began

    def store(self) -> SqliteServerStore:
        """Open the data of a server that does not run."""
        return SqliteServerStore.open(self.data / "hushbell.db", self.data / "at-rest.key", random=system_random)

    def pending(self) -> int:
        """Return how many pushes are in jobs that have not ended, also while the server runs."""
        with closing(sqlite3.connect(f"file:{self.data}/hushbell.db?mode=ro", uri=True)) as reading:
            (counted,) = reading.execute(OPEN_PUSHES).fetchone()
        return int(counted)

    async def close(self) -> None:
        if hasattr(self, "_process"):
            await self.kill()


@dataclass
class Alice:
    """A phone that is rung, and what the server acknowledged last."""

    phone: Phone
    token: str = ""
    version: int = 0
    registered: bool = False


@dataclass
class Load:
    """Phones that register, change, leave, ask and ring until told to finish."""

    bus: Path
    server: PublicKey
    dice: random.Random
    pause: float = 0.02  # seconds between two requests of one sender
    acknowledged: int = 0  # requests to ring
    registrations: int = 0  # acknowledged ones, also those that end one
    queries: int = 0
    owed: set[str] = field(default_factory=set)  # collapse ids of everything reported as success
    alices: list[Alice] = field(default_factory=list)  # registered before anything is killed, and for good
    changing: list[Alice] = field(default_factory=list)
    killed: asyncio.Event = field(default_factory=asyncio.Event)
    _phones: list[Phone] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _ending: asyncio.Event = field(default_factory=asyncio.Event)
    _infos: list[Info] = field(default_factory=list)
    _tokens: dict[PublicKey, str] = field(default_factory=dict)
    _messages: int = 0

    @property
    def resent(self) -> int:
        return sum(phone.resent for phone in self._phones)

    @property
    def tokens(self) -> list[str]:
        return [alice.token for alice in self.alices]

    def phone(self) -> Phone:
        phone = Phone(
            ReconnectingBus(self.bus),
            identity=secp256k1.key_pair(system_random),
            resend=RESEND,
            patience=PATIENCE,
        )
        self._phones.append(phone)
        return phone

    async def start(self, *, alices: int = 4, bobs: int = 4, at_once: int = 6, changing: int = 3) -> None:
        """Register those who are rung, then begin to ring them."""
        for _ in range(alices):
            self.alices.append(alice := Alice(await self.phone().__aenter__()))
            await self._register(alice)
        carol = await self.phone().__aenter__()
        for alice in self.alices:
            self._infos += await self._find(carol, alice)
        for _ in range(bobs):
            bob = await self.phone().__aenter__()
            self._tasks += [asyncio.create_task(self._ring_on(bob)) for _ in range(at_once)]
        self._tasks += [asyncio.create_task(self._change(carol)) for _ in range(changing)]

    async def finish(self) -> None:
        """Begin nothing new and wait until everything was answered. Raises NoAnswer."""
        self._ending.set()
        await asyncio.gather(*self._tasks)

    async def check_registrations(self) -> None:
        """Hold everything that registered, changed or left to what was acknowledged."""
        carol = await self.phone().__aenter__()
        for alice in (*self.alices, *self.changing):
            if alice.registered:
                await self._find(carol, alice)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for phone in self._phones:
            await phone.close()

    async def ring(self, sender: Phone, infos: Sequence[Info]) -> Sequence[Report]:
        """Ask once, as often as it takes, and note what the answer promises."""
        self._messages += 1
        message_id = self._messages.to_bytes(32, "big")
        ringing = request.NotificationContent(message_id, "chat", NotificationType.MESSAGE, sender.identity.public)
        (asked,) = request.build_requests(infos, ringing, sender.identity)
        tokens = [self._tokens[info.target] for info in infos]
        reports = await sender.send(asked, sender.identity)
        self.acknowledged += 1
        for token, report in zip(tokens, reports, strict=True):
            if report.success:
                self.owed.add(collapse_id(token, message_id))
        return reports

    async def _ring_on(self, bob: Phone) -> None:
        while not self._ending.is_set():
            reports = await self.ring(bob, self.dice.sample(self._infos, self.dice.randint(1, len(self._infos))))
            assert all(report.success for report in reports)
            await asyncio.sleep(self.pause)

    async def _change(self, carol: Phone) -> None:
        """Register, register again, end it, begin anew, each time with a look at what the server believes."""
        alice: Alice | None = None
        while not self._ending.is_set():
            if alice is None:
                self.changing.append(alice := Alice(await self.phone().__aenter__()))
            await self._register(alice)
            await self._wait()
            infos = await self._find(carol, alice)
            reports = await self.ring(carol, infos)
            assert [report.success for report in reports] == [True]
            if self.dice.random() < 0.5:
                await self._unregister(alice)
                await self._wait()
                reports = await self.ring(carol, infos)
                assert [report.error for report in reports] == [ReportError.NOT_REGISTERED]
            if self.dice.random() < 0.3:
                await alice.phone.close()
                alice = None

    async def _wait(self) -> None:
        """Go on at once, or after the next kill."""
        if self.dice.random() < 0.5:
            self.killed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.killed.wait(), 2.0)
        else:
            await asyncio.sleep(self.dice.random() * 0.2)

    async def _register(self, alice: Alice) -> None:
        token = DeviceToken(system_random(32).hex())
        answer = await alice.phone.register(self.server, token)
        assert answer.success
        alice.token, alice.version, alice.registered = token, alice.version + 1, True
        self._tokens[alice.phone.identity.public] = token
        self.registrations += 1

    async def _unregister(self, alice: Alice) -> None:
        answer = await alice.phone.unregister(self.server)
        assert answer.success
        alice.version, alice.registered = alice.version + 1, False
        self.registrations += 1

    async def _find(self, carol: Phone, alice: Alice) -> tuple[Info, ...]:
        infos = await carol.query(alice.phone.identity.public)
        self.queries += 1
        assert [info.version for info in infos] == [alice.version], "an acknowledged registration was lost"
        return infos


class World:
    """One data folder, one mock, and the servers and phones of one test."""

    def __init__(self, folder: Path, bus: Path) -> None:
        self.folder = folder
        self._bus = bus
        self.apple = Apple(folder)
        self.server: Server
        self.load: Load
        seed = int(os.environ.get("HUSHBELL_SEED") or int.from_bytes(system_random(4)))
        self.dice = random.Random(seed)
        say(f"seed {seed}; again with HUSHBELL_SEED={seed}")

    async def begin(self, *, limits: dict[str, int] | None = None, patience: float = 20.0, **load: int) -> None:
        """Start the mock, the server and the load."""
        self.apple = Apple(self.folder)
        await self.apple.start()
        self.server = Server(self.folder, self._bus, self.apple, limits or {}, patience)
        await self.server.start()
        self.load = Load(self._bus, PublicKey(self.server.identity), self.dice)
        await self.load.start(**load)

    async def drained(self, within: float = DRAINED) -> float:
        """Wait until everything promised has arrived and the server knows it; return the seconds it took."""
        began = time.monotonic()
        while (missing := self.load.owed - {collapse for _, collapse in self.apple.look()}) or self.server.pending():
            late = f"{len(missing)} of {len(self.load.owed)} did not arrive, {self.server.pending()} are pending"
            assert time.monotonic() - began < within, late
            await asyncio.sleep(0.1)
        return time.monotonic() - began

    async def states(self) -> dict[str, int]:
        """Return how many pushes ended in which state, in the data of a stopped server."""
        store = self.server.store()
        counted: dict[str, int] = {}
        try:
            with closing(sqlite3.connect(self.server.data / "hushbell.db")) as reading:
                runs = reading.execute("SELECT number, last FROM job_results ORDER BY number").fetchall()
            for first, last in runs:
                number = first
                while number <= last:
                    result = await store.outbox.find(number)
                    assert isinstance(result, JobResult)
                    for code in result.states:
                        name = State(code).name
                        counted[name] = counted.get(name, 0) + 1
                    number = result.number + len(result.pushes)
        finally:
            await store.close()
        return counted

    def check_arrivals(self) -> None:
        """Hold what arrived to what was promised: all of it, nothing else, and twice only under the same id."""
        arrived = self.apple.look()
        collapse_ids = [collapse for _, collapse in arrived]
        assert not self.load.owed - set(collapse_ids), "a push that was promised did not arrive"
        assert not set(collapse_ids) - self.load.owed, "a push arrived that nobody was promised"
        assert len(collapse_ids) == len(self.load.owed), "a push arrived under two ids"

    def check_log(self) -> None:
        log = self.server.log.read_text()
        assert "Traceback" not in log, log[-4000:]

    def tell(self, **figures: object) -> None:
        """Print what was measured."""
        load, arrived = self.load, self.apple.received
        known = {
            "requests acknowledged": load.acknowledged,
            "pushes promised": len(load.owed),
            "pushes received": len(arrived),
            "duplicates": len(arrived) - len(set(arrived)),
            "registrations acknowledged": load.registrations,
            "queries answered": load.queries,
            "messages sent again": load.resent,
            "slowest start s": f"{self.server.slowest:.2f}",
        }
        for name, value in (figures | known).items():
            say(f"{name}: {value}")

    async def close(self) -> None:
        if hasattr(self, "load"):
            await self.load.close()
        if hasattr(self, "server"):
            await self.server.close()
        if self.apple.ready:
            await self.apple.stop()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    # The path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="hb") as short:
        made = World(tmp_path, Path(short) / "bus")
        yield made
        await made.close()
