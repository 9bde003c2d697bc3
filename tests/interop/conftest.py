"""The real status-go as a peer: built from its pinned Go module, joined to the bus like any other process."""

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hushbell.core.client.events import Notified, Target
from hushbell.core.client.preview import Preview
from hushbell.crypto import secp256k1
from hushbell.runtime.client.account import Account
from hushbell.runtime.client.client import Client
from hushbell.testing.child_processes import kill_with_parent
from hushbell.testing.mock.server import MockProviders
from hushbell.transports.socket import SocketBusTransport
from hushbell.types import InstallationId, KeyPair, PublicKey

SOURCES = Path(__file__).parent / "statusgo"
REPOSITORY = Path(__file__).parents[2]
PATIENCE = 30.0  # seconds for one answer of a peer on a busy machine
LINE = 8 * 1024 * 1024


@pytest.fixture(scope="session")
def statusgo_binary() -> Path:
    """Build the peer once for a checkout; about three minutes cold, seconds warm."""
    if shutil.which("go") is None or shutil.which("gcc") is None:
        pytest.skip("status-go as a peer needs Go 1.21 or later and gcc: install the packages golang and gcc")
    binary = REPOSITORY / "build" / "statusgo-peer"
    binary.parent.mkdir(exist_ok=True)
    command = ["go", "build", "-mod=readonly", "-tags", "gowaku_no_rln", "-o", str(binary), "."]
    built = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False, timeout=1200)
    assert built.returncode == 0, built.stderr
    return binary


class StatusGo:
    """One status-go process, server or client, with what it printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._events: list[dict[str, Any]] = []
        self._news = asyncio.Condition()
        self._bus: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._asked = 0

    @classmethod
    async def start(cls, binary: Path, mode: str, key: KeyPair, bus: Path, *arguments: str) -> "StatusGo":
        process = await asyncio.create_subprocess_exec(
            str(binary), mode, "-key", key.private.hex(), *arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE,
        )  # fmt: skip
        kill_with_parent(process.pid)
        peer = cls(process)
        reader, writer = await asyncio.open_unix_connection(str(bus), limit=LINE)
        peer._bus = writer
        peer._tasks = [asyncio.create_task(peer._hear(reader)), asyncio.create_task(peer._read())]
        await peer.event("ready")
        return peer

    async def do(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Give status-go a command and return its answer; an error of its own is a failure of the test."""
        reply = await self.ask(command, **arguments)
        assert reply["ok"], reply
        result: dict[str, Any] = reply.get("result") or {}
        return result

    async def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        self._asked += 1
        number = self._asked
        self._replies[number] = asyncio.get_running_loop().create_future()
        self._write({"cmd": command, "id": number, **arguments})
        return await asyncio.wait_for(self._replies[number], PATIENCE)

    async def event(self, name: str, number: int = 1, **wanted: Any) -> dict[str, Any]:
        """Wait for the event with that name, the ``number``-th that has the wanted values."""

        def found() -> list[dict[str, Any]]:
            return [
                event
                for event in self._events
                if event.get("event") == name and all(event.get(key) == value for key, value in wanted.items())
            ]

        async with self._news:
            await asyncio.wait_for(self._news.wait_for(lambda: len(found()) >= number), PATIENCE)
        return found()[number - 1]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._bus is not None:
            self._bus.close()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    def _write(self, line: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")

    async def _hear(self, bus: asyncio.StreamReader) -> None:
        """What the bus carries goes to status-go as it is: both speak the same lines."""
        assert self._process.stdin is not None
        while line := await bus.readline():
            self._process.stdin.write(line)
            await self._process.stdin.drain()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            value = json.loads(line)
            if "waku_message" in value:
                assert self._bus is not None
                self._bus.write(line)
            elif "reply" in value:
                self._replies[value["reply"]].set_result(value)
            else:
                async with self._news:
                    self._events.append(value)
                    self._news.notify_all()


StartPeer = Callable[..., Awaitable[StatusGo]]


@pytest.fixture
async def start_peer(statusgo_binary: Path) -> AsyncIterator[StartPeer]:
    """Return a function that starts status-go with a fresh random key, or a given one."""
    peers: list[StatusGo] = []

    async def start(mode: str, bus: Path, *arguments: str, key: KeyPair | None = None) -> StatusGo:
        peer = await StatusGo.start(statusgo_binary, mode, key or random_key(), bus, *arguments)
        peers.append(peer)
        return peer

    yield start
    for peer in peers:
        await peer.close()


def random_key() -> KeyPair:
    return secp256k1.key_pair(secrets.token_bytes)


@pytest.fixture
def new_key() -> Callable[[], KeyPair]:
    """Return a maker of random keys, so that nothing can be tuned to recorded ones."""
    return random_key


@pytest.fixture
async def gorush() -> AsyncIterator[MockProviders]:
    async with MockProviders() as mock:
        yield mock


class OurServer:
    """``hushbell serve --bus`` in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, ready: dict[str, Any], bus: Path) -> None:
        self._process = process
        self.identity: str = ready["identity"]
        self.bus = bus

    @classmethod
    async def start(cls, folder: Path, gateway: str) -> "OurServer":
        bus = folder / "bus.sock"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hushbell.cli", "serve", "--data", str(folder / "data"), "--bus", str(bus),
            "--gateway", gateway,
            stdout=asyncio.subprocess.PIPE, cwd=folder, env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
        )  # fmt: skip
        kill_with_parent(process.pid)
        assert process.stdout is not None
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE))
        return cls(process, ready, bus)

    async def close(self) -> None:
        self._process.terminate()
        assert await asyncio.wait_for(self._process.wait(), PATIENCE) == 0


StartServer = Callable[[], Awaitable[OurServer]]


@pytest.fixture
async def start_our_server(tmp_path: Path, gorush: MockProviders) -> AsyncIterator[StartServer]:
    """Return a function that starts our server."""
    async with AsyncExitStack() as stack:

        async def start() -> OurServer:
            server = await OurServer.start(tmp_path, gorush.plain_url)
            stack.push_async_callback(server.close)
            return server

        yield start


@pytest.fixture
async def our_server(start_our_server: StartServer) -> OurServer:
    return await start_our_server()


@dataclass(frozen=True)
class Device:
    """Our client with one account."""

    client: Client
    account: Account

    @property
    def identity(self) -> KeyPair:
        return self.account.identity

    @property
    def key(self) -> PublicKey:
        return self.account.identity.public

    async def ring(self, other: "Device", chat: str, *, text: str = "", **how: Any) -> Sequence[Notified]:
        """Ring somebody about a new message; with a text, it is sealed as the preview."""
        return await self.ring_key(other.key, chat, text=text, **how)

    async def ring_key(self, key: PublicKey, chat: str, *, text: str = "", **how: Any) -> Sequence[Notified]:
        """Ring whoever has this key."""
        message_id = secrets.token_bytes(32)
        target = Target(key)
        if text:
            shown = Preview(message_id=message_id, chat_id=chat, author=self.key, text=text)
            target = self.client.sealed_for(self.identity, key, shown)
        return await self.account.ring(message_id, chat, [target], **{"patience": PATIENCE, **how})


NewDevice = Callable[..., Awaitable[Device]]


@pytest.fixture
async def new_device() -> AsyncIterator[NewDevice]:
    """Return a maker of devices of ours on a bus, with random keys or a given one."""
    async with AsyncExitStack() as stack:

        async def make(bus: Path, key: KeyPair | None = None, installation_id: InstallationId | None = None) -> Device:
            client = Client(await SocketBusTransport.connect(bus), installation_id=installation_id)
            await stack.enter_async_context(client)
            return Device(client, await client.account(key or random_key()))

        yield make
