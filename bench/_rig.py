"""The processes of a benchmark, the server and the mock of Apple, and the resources that they used."""

import asyncio
import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hushbell.testing.child_processes import kill_with_parent
from hushbell.types import KeyPair

REPOSITORY = Path(__file__).parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 120.0  # seconds for a start, a stop, or the last push

CONFIG = """
[server]
data = "{data}"
identity_file = "{identity}"
workers = {workers}

[transport]
bus = "{bus}"

[gateway.apns]
key_file = "{key_file}"
key_id = "{key_id}"
team_id = "{team_id}"
connect = "{connect}"
ca_file = "{ca_file}"
"""


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, of the system's calls too, that a process and its children have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    used = (int(fields[11]) + int(fields[12])) / TICKS
    return used + sum(cpu_seconds(child) for child in children(pid))


def children(pid: int) -> list[int]:
    """Return the processes that a process started and that still run."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def rss_bytes(pid: int) -> int:
    """Return the memory that a process holds in RAM, shared pages included."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def environment() -> dict[str, str]:
    """Return the environment of a process that runs the code of this checkout."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}


class MockApple:
    """``hushbell mock-providers``."""

    def __init__(self, pid: int, ready: dict[str, Any]) -> None:
        self.pid = pid
        self._control = ready["control"]
        self.ready: dict[str, Any] = ready | ready["apns"]

    async def pushes(self) -> int:
        """Return how many pushes were accepted so far."""
        text = await asyncio.to_thread(_fetch, f"{self._control}/_mock/stats")
        return int(json.loads(text)["requests"].get("apns", {}).get("200", 0))

    async def reaches(self, pushes: int) -> None:
        """Wait until so many pushes were accepted."""
        async with asyncio.timeout(PATIENCE):
            while await self.pushes() < pushes:  # noqa: ASYNC110 - another process cannot set an event
                await asyncio.sleep(0.01)


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=PATIENCE) as response:
        text: bytes = response.read()
        return text


@asynccontextmanager
async def mock_apple(folder: Path) -> AsyncIterator[MockApple]:
    """Run the mock of Apple, on another core if there is one."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hushbell.cli", "mock-providers", "--dir", str(folder), "--keep", "0",
        stdout=asyncio.subprocess.PIPE, env=environment(),
    )  # fmt: skip
    kill_with_parent(process.pid)
    assert process.stdout is not None
    try:
        yield MockApple(process.pid, json.loads(await process.stdout.readline()))
    finally:
        process.terminate()
        await process.wait()


@dataclass(frozen=True, slots=True)
class Server:
    """A running ``hushbell serve``."""

    pid: int
    bus: Path
    start_seconds: float  # from the start of the process to the line that says that it accepts work

    def cpu(self) -> float:
        """Return the CPU seconds used so far, those of workers included."""
        return cpu_seconds(self.pid)


def _configure(folder: Path, identity: KeyPair, apple: dict[str, Any], workers: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key, config = folder / "identity.key", folder / "hushbell.toml"
    key.write_text(identity.private.hex() + "\n")
    key.chmod(0o600)
    bus = folder / "bus.sock"
    config.write_text(CONFIG.format(data=folder / "data", identity=key, workers=workers, bus=bus, **apple))
    return config


@asynccontextmanager
async def server(
    folder: Path, identity: KeyPair, apple: dict[str, Any], *, workers: int = 1, wrapper: tuple[str, ...] = ()
) -> AsyncIterator[Server]:
    """Run the server on a data folder, SQLite on disk. ``wrapper`` goes between the interpreter and ``-m``."""
    config, bus = _configure(folder, identity, apple, workers), folder / "bus.sock"
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *wrapper, "-m", "hushbell.cli", "serve", "--config", str(config),
        stdout=asyncio.subprocess.PIPE, env=environment(),
    )  # fmt: skip
    kill_with_parent(process.pid)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            line = await process.stdout.readline()
        if not line:
            raise SystemExit("the server did not start")
        yield Server(process.pid, bus, time.perf_counter() - started)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), PATIENCE)
