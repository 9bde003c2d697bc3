"""
Other people's Waku programs as peers: built once for a checkout, driven by JSON lines, ended by their process.

A request is one line ``{"id": 1, "op": "publish", ...}``, an answer one line with the same id and ``ok``. Every peer
speaks the same operations as far as it can; go/driver.go lists them all. What a peer publishes in a run has
payloads of 8 bytes that name the run, 8 that count, and filling. ``wait`` tells how many different ones of a run came
(``unique``) and the XOR of the first 8 bytes of their RFC 14 hashes (``digest``), which the publisher tells too.
"""

import asyncio
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hushbell.testing.child_processes import kill_with_parent

SOURCES = Path(__file__).parent
REPOSITORY = Path(__file__).parents[3]
BUILDS = REPOSITORY / "build" / "waku"
PATIENCE = 60.0  # seconds for one answer on a busy machine, beside what the request itself may take
LINE = 64 * 1024 * 1024
NODE = 20  # the oldest Node.js that the packages run on
OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH", "dial tcp", "NewConnectionError")

RAISED = ("--vq", "200000", "--outq", "200000", "--subq", "200000")
"""Arguments that raise the queues of the Go peers: with its own, go-waku loses of a burst of 5,000 even to itself."""


class Missing(Exception):
    """Something that a peer needs is not on this machine; the text says what and how to get it."""


def go_waku() -> Path:
    """Build go-waku under its driver."""
    return _built_by_go("gopeer", (1, 23), "-tags", "gowaku_no_rln")


def go_libp2p() -> Path:
    """Build go-libp2p with gossipsub, and no go-waku, under the same driver."""
    return _built_by_go("goplain", (1, 26))


def javascript() -> list[str]:
    """Return what runs a driver of the folder js, with that folder last: js-waku and js-libp2p as the lock says."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Missing(f"js-waku needs Node.js {NODE} or later with npm: install the packages nodejs and npm")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < NODE:
        raise Missing(f"js-waku needs Node.js {NODE} or later; here is {version}")
    folder = BUILDS / "js"
    folder.mkdir(parents=True, exist_ok=True)
    for source in (SOURCES / "js").iterdir():
        if source.is_file():
            shutil.copyfile(source, folder / source.name)
    _once(folder, [SOURCES / "js" / "package-lock.json"], [_npm(folder)], version)
    return ["node", "--import", str(folder / "polyfill.mjs"), str(folder)]


def python_libp2p() -> Path:
    """Return the Python of an environment with py-libp2p, installed as the hashes say."""
    if shutil.which("gcc") is None or not list(Path("/usr").glob("include/**/gmp.h")):
        raise Missing("py-libp2p needs gcc and the headers of GMP: install the packages gcc and libgmp-dev")
    folder = BUILDS / "py"
    folder.mkdir(parents=True, exist_ok=True)
    requirements = SOURCES / "py" / "requirements.txt"
    python = folder / "bin" / "python"
    steps = [
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [
            str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--require-hashes",
            "--no-deps", "-r", str(requirements),
        ],
    ]  # fmt: skip
    _once(folder, [requirements], steps, sys.version)
    return python


def _npm(folder: Path) -> list[str]:
    return ["npm", "--prefix", str(folder), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]


def _built_by_go(name: str, oldest: tuple[int, int], *flags: str) -> Path:
    needed = ".".join(map(str, oldest))
    if shutil.which("go") is None or shutil.which("gcc") is None:
        raise Missing(f"{name} needs Go {needed} or later and gcc: install the packages golang and gcc")
    told = subprocess.run(["go", "env", "GOVERSION", "GOTOOLCHAIN"], capture_output=True, text=True, check=True).stdout
    version, toolchain = told.split()
    if toolchain == "local" and tuple(int(part) for part in version.removeprefix("go").split(".")[:2]) < oldest:
        raise Missing(f"{name} needs Go {needed} or later; here is {version} and GOTOOLCHAIN forbids another")
    BUILDS.mkdir(parents=True, exist_ok=True)
    binary = BUILDS / name
    # What both peers share lies in one place; each module builds it as its own.
    shared = {str(SOURCES / name / source.name): str(source) for source in (SOURCES / "go").glob("*.go")}
    overlay = BUILDS / f"{name}.json"
    overlay.write_text(json.dumps({"Replace": shared}))
    _run(["go", "build", "-mod=readonly", "-overlay", str(overlay), *flags, "-o", str(binary), "."], SOURCES / name)
    return binary


def _once(folder: Path, inputs: Sequence[Path], steps: Sequence[Sequence[str]], state: str) -> None:
    """Run the steps unless they were run here with these inputs."""
    digest = hashlib.sha256(state.encode())
    for path in inputs:
        digest.update(path.read_bytes())
    mark = folder / ".made-from"
    if mark.exists() and mark.read_text() == digest.hexdigest():
        return
    for step in steps:
        _run(step, folder)
    mark.write_text(digest.hexdigest())


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=1200)
    if done.returncode == 0:
        return
    if any(word in done.stderr for word in OFFLINE):
        raise Missing(f"{command[0]} cannot reach what it would fetch: {done.stderr.strip().splitlines()[-1]}")
    raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")


def run_name() -> str:
    """Return a name for a run of messages, 16 hex digits."""
    return secrets.token_hex(8)


class Peer:
    """One peer in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, ready: dict[str, Any]) -> None:
        self._process = process
        self.ready = ready
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._asked = 0
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, *command: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> "Peer":
        """Start the program and wait for its first line, which tells addresses and identity."""
        process = await asyncio.create_subprocess_exec(
            *map(str, command), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE,
            env=None if env is None else {**os.environ, **env}, cwd=cwd,
        )  # fmt: skip
        kill_with_parent(process.pid)
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
            return cls(process, json.loads(line))
        except BaseException:
            if process.returncode is None:
                process.kill()
            await process.wait()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def id(self) -> str:
        """The peer's identity as libp2p writes it."""
        return str(self.ready["peer"])

    def address(self, *, websocket: bool = False) -> str:
        """Return an address that others dial, with the identity at its end."""
        addresses: list[str] = self.ready["addrs"]
        return next(a for a in addresses if "/tcp/" in a and ("/ws" in a) is websocket)

    async def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer to a request, ``ok`` or not."""
        assert self._process.stdin is not None
        self._asked += 1
        number = self._asked
        reply = self._replies[number] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"id": number, "op": op, **arguments}).encode() + b"\n")
        return await asyncio.wait_for(reply, arguments.get("timeout", 0) + PATIENCE)

    async def do(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer to a request; a refusal is a failure of the test."""
        reply = await self.ask(op, **arguments)
        assert reply["ok"], f"{self.ready['impl']}: {op}: {reply.get('error')}"
        return reply

    async def until(self, op: str, wanted: Any, **arguments: Any) -> dict[str, Any]:
        """Ask again and again until ``wanted(answer)`` holds."""
        async with asyncio.timeout(PATIENCE / 2):
            while not wanted(reply := await self.do(op, **arguments)):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
            return reply

    async def close(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            value = json.loads(line)
            reply = self._replies.pop(value.get("id"), None)
            if reply is not None and not reply.done():
                reply.set_result(value)
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(ConnectionError(f"{self.ready['impl']} ended"))


class Hushbell:
    """`hushbell node` or `hushbell serve` in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, ready: dict[str, Any]) -> None:
        self._process = process
        self.ready = ready

    @classmethod
    async def start(cls, folder: Path, *arguments: str) -> "Hushbell":
        """Start the command, with its data in the folder, on TCP and on WebSocket, and wait until it is ready."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hushbell.cli", *arguments, "--data", str(folder / "data"),
            "--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/tcp/0/ws",
            stdout=asyncio.subprocess.PIPE, cwd=folder, env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
        )  # fmt: skip
        kill_with_parent(process.pid)
        assert process.stdout is not None
        try:
            return cls(process, json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE)))
        except BaseException:
            process.kill()
            await process.wait()
            raise

    def address(self, *, websocket: bool = False) -> str:
        """Return an address that others dial, with the identity at its end."""
        addresses: list[str] = self.ready["addresses"]
        return next(a for a in addresses if ("/ws" in a) is websocket)

    @property
    def id(self) -> str:
        """The node's identity as libp2p writes it."""
        return self.address().rpartition("/")[2]

    async def close(self) -> None:
        """End it as an operator does."""
        self._process.terminate()
        try:
            assert await asyncio.wait_for(self._process.wait(), PATIENCE) == 0
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            raise


async def link(dialler: Peer, listener: Peer, *, websocket: bool = False) -> dict[str, Any]:
    """Connect two relays and wait until each knows what the other wants to hear. Return what the dialler says of it."""
    connected = await dialler.do("connect", addr=listener.address(websocket=websocket))
    for one, other in ((dialler, listener), (listener, dialler)):
        await one.until("peers", lambda reply, other=other: knows(reply, other, "subscribed"))
    return connected


async def meshed(one: Peer, *others: Peer) -> None:
    """Wait until a relay hands on to these others what it hears."""
    await one.until("peers", lambda reply: all(knows(reply, other, "mesh") for other in others))


def knows(reply: dict[str, Any], other: Peer, what: str) -> bool:
    return any(peer["peer"] == other.id and peer[what] for peer in reply["peers"])


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a run, beside what was published."""

    n: int
    unique: int
    digest: str
    sent: str  # the digest of what was published
    p99_ms: float

    @property
    def whole(self) -> bool:
        """Whether exactly what was published came, each message once."""
        return self.n == self.unique and self.digest == self.sent


async def transfer(
    sender: Peer, *receivers: Peer, n: int, rate: float = 0, size: int = 1024, patience: float = 10
) -> list[Heard]:
    """Have one end publish a run; return what the others heard when all is there or for ``patience`` s nothing came."""
    run = run_name()
    waiting = [asyncio.create_task(peer.do("wait", run=run, n=n, timeout=patience)) for peer in receivers]
    sent = await sender.do("publish", run=run, n=n, rate=rate, size=size, timeout=120)
    return [
        Heard(reply["n"], reply["unique"], reply.get("digest", ""), sent["digest"], reply.get("p99_ms", 0))
        for reply in await asyncio.gather(*waiting)
    ]
