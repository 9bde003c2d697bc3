"""Two relays in processes of their own, ours or other people's, and what they used."""

import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))

from tests.interop.waku import peers  # noqa: E402 - found by the line above
from tests.interop.waku.peers import Missing, Peer, link, run_name  # noqa: E402

SIZE = 1024  # bytes of payload
WARM = 2_000  # messages before the clock starts
PACED = 500  # messages a second
PATIENCE = 20.0  # seconds without news before a run counts as lost


@dataclass(frozen=True, slots=True)
class Kind:
    """One implementation: how it is started at an address, and how many messages show its speed."""

    name: str
    title: str
    command: Callable[[str], list[str]]
    share: float = 1.0  # of the messages that the others get


@dataclass(frozen=True, slots=True)
class Speed:
    """Messages a second by the clock, and µs of CPU for each message, of the sender and of the receiver."""

    per_second: float
    sending: float
    receiving: float

    @property
    def processor(self) -> float:
        """Both sides together, µs."""
        return self.sending + self.receiving


@dataclass(frozen=True, slots=True)
class Latency:
    """From before publishing to the receiver's own code, ms."""

    p50: float
    p99: float


def ours(*options: str) -> Kind:
    """Return our own node, with every limit and validation in place."""
    program = str(peers.SOURCES / "ours.py")
    return Kind("", "hushbell", lambda ip: [sys.executable, program, "--ip", ip, "--count-only", *options])


def others() -> tuple[list[Kind], list[str]]:
    """Return the other implementations that this machine can build, and why the rest is left out."""
    found: list[Kind] = []
    missing: list[str] = []
    for make in (_go_waku, _go_libp2p, _py_libp2p):
        try:
            found.append(make())
        except Missing as why:
            missing.append(str(why))
    return found, missing


def _go(name: str, title: str, binary: Path) -> Kind:
    # Noise, as ours; queues long enough for bursts, without which it would lose most of them.
    flags = [*peers.RAISED, "--security", "noise"]
    return Kind(name, title, lambda ip: [str(binary), "--ip", ip, *flags])


def _go_waku() -> Kind:
    return _go("_go_waku", "go-waku v0.10.0", peers.go_waku())


def _go_libp2p() -> Kind:
    return _go("_go_libp2p", "go-libp2p", peers.go_libp2p())


def _py_libp2p() -> Kind:
    python, program = peers.python_libp2p(), peers.SOURCES / "py" / "driver.py"
    return Kind("_py_libp2p", "py-libp2p 0.8.1", lambda ip: [str(python), str(program), "--ip", ip], share=0.05)


@asynccontextmanager
async def started(kind: Kind, ip: str) -> AsyncIterator[Peer]:
    """One relay for as long as the block runs."""
    peer = await Peer.start(*kind.command(ip), env={"PYTHONPATH": str(REPOSITORY / "src")})
    try:
        yield peer
    finally:
        await peer.close()


@asynccontextmanager
async def pair(kind: Kind) -> AsyncIterator[tuple[Peer, Peer]]:
    """Two relays that know each other; the first one publishes."""
    async with started(kind, "127.0.0.2") as sender, started(kind, "127.0.0.3") as receiver:
        await link(sender, receiver)
        await transferred(sender, receiver, WARM)
        yield sender, receiver


async def transferred(sender: Peer, receiver: Peer, number: int, rate: float = 0) -> tuple[float, Latency]:
    """
    Publish a run and wait until the other end has told that all of it is there.

    Return messages a second. A message that ours loses ends the benchmark. On a busy machine go-waku loses some: that
    is told, and the others count.
    """
    run = run_name()
    before = time.time_ns()
    await sender.do("publish", run=run, n=number, rate=rate, size=SIZE, timeout=300)
    heard = await receiver.do("wait", run=run, n=number, timeout=PATIENCE)
    if heard["unique"] != number or heard["n"] != number:
        print(f"{sender.ready['impl']}: {heard['unique']} of {number} messages arrived", flush=True)
        if sender.ready["impl"] == "hushbell":
            raise SystemExit(1)
    return heard["unique"] * 1e9 / (heard["last_ns"] - before), Latency(heard["p50_ms"], heard["p99_ms"])


async def speed(sender: Peer, receiver: Peer, number: int) -> Speed:
    """Publish as fast as it goes."""
    used = [(await peer.do("usage"))["cpu"] for peer in (sender, receiver)]
    per_second, _ = await transferred(sender, receiver, number)
    sending, receiving = [
        ((await peer.do("usage"))["cpu"] - before) / number * 1e6
        for peer, before in zip((sender, receiver), used, strict=True)
    ]
    return Speed(per_second, sending, receiving)


async def latency(sender: Peer, receiver: Peer, seconds: float, *, realtime: bool) -> Latency:
    """Publish at the slower pace. ``realtime``: with a priority before which other work of the machine waits."""
    pids = [sender.pid, receiver.pid] if realtime else []
    try:
        for pid in pids:
            schedule(pid, os.SCHED_FIFO, 10)
        return (await transferred(sender, receiver, round(PACED * seconds), PACED))[1]
    finally:
        # At full speed the threads of a Go program, with that priority, can keep each other from running for ever.
        for pid in pids:
            schedule(pid, os.SCHED_OTHER, 0)


def schedule(pid: int, policy: int, priority: int) -> None:
    """Have all threads of a process scheduled in this way. Needs the right to."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setscheduler(int(task.name), policy, os.sched_param(priority))


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
