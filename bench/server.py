"""
The whole way of an envelope, for each second of CPU: decrypt, decide, commit durably, push, reply encrypted.

The server is a process of its own with SQLite on disk; the load and the mock of Apple are others. Beside it, in
the same run and in turns, what the curve alone would allow, and the real status-go where Go is installed. Every figure
is a median over the rounds. Usage: ``server.py [ROUNDS]``.
"""

import asyncio
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from _curve_cpu import curve_limit_cpu
from _load import Message, feed, registrations, requests
from _rig import MockApple, Server, mock_apple, server
from _statusgo import build, measure
from curve import curve_limit

from hushbell.crypto import secp256k1
from hushbell.types import KeyPair

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
IN_FLIGHT = {1: "_c1", 16: "_c16", 128: ""}
REGISTRATIONS = {1: 400, 16: 600, 128: 1500}
REQUESTS = {1: 500, 16: 1500, 128: 4000}
WARM = 64  # requests that connect to the gateway and fill the caches, not counted
SETTLE = 0.3  # seconds after the last push until its outcome is on disk
STATUS_GO = {16: (60, 1000), 128: (150, 2000)}  # registrations and requests: enough for a second of CPU each


@dataclass(frozen=True, slots=True)
class Work:
    """Everything that is sent, sealed once and used by every round against new data."""

    registrations: dict[int, list[Message]]
    requests: dict[int, list[Message]]
    warm: list[Message]


class Figures:
    """Values by name over the rounds."""

    def __init__(self) -> None:
        self._values: defaultdict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, name: str, value: float, unit: str) -> None:
        """Add the value of one round."""
        self._values[name, unit].append(value)

    def median(self, name: str, unit: str = "1/s") -> float:
        """Return the median over the rounds."""
        return statistics.median(self._values[name, unit])

    def tell(self) -> None:
        """Print each figure once."""
        for name, unit in self._values:
            print(f"{name} {self.median(name, unit):.4g} {unit}")


def seal(identity: KeyPair) -> Work:
    work = Work({}, {}, [])
    infos = []
    for in_flight, count in REGISTRATIONS.items():
        work.registrations[in_flight], some = registrations(identity.public, count)
        infos += some
    for in_flight, count in REQUESTS.items():
        work.requests[in_flight] = requests(identity.public, infos, count)
    work.warm.extend(requests(identity.public, infos, WARM))
    return work


@dataclass(frozen=True, slots=True)
class Bench:
    """What every phase needs."""

    figures: Figures
    work: Work
    apple: MockApple
    identity: KeyPair

    async def phase(self, ours: Server, name: str, in_flight: int, suffix: str) -> None:
        """Send messages and note what each cost; requests are done when their pushes are accepted, too."""
        messages = (self.work.requests if name == "requests" else self.work.registrations)[in_flight]
        pushed = await self.apple.pushes()
        before = ours.cpu()
        answered = await feed(ours.bus, messages, in_flight)
        if name == "requests":
            await self.apple.reaches(pushed + len(messages))
            await asyncio.sleep(SETTLE)
        used = ours.cpu() - before
        if answered.good < answered.opened:
            raise SystemExit(f"{name}{suffix}: only {answered.good} of {answered.opened} answers say success")
        add, latencies = self.figures.add, sorted(answered.latencies)
        add(f"{name}_per_second{suffix}", len(messages) / used, "1/s")
        add(f"{name}_per_second{suffix}_wall", len(messages) / answered.seconds, "1/s")
        add(f"{name}_cpu{suffix}", used / len(messages) * 1e6, "us")
        add(f"{name}_p50{suffix}", latencies[len(latencies) // 2] * 1e3, "ms")
        add(f"{name}_p99{suffix}", latencies[len(latencies) * 99 // 100] * 1e3, "ms")

    async def one_process(self, folder: Path) -> None:
        """Serve as by default."""
        async with server(folder, self.identity, self.apple.ready) as ours:
            for in_flight, suffix in IN_FLIGHT.items():
                await self.phase(ours, "registrations", in_flight, suffix)
            await self.warm_up(ours)
            for in_flight, suffix in IN_FLIGHT.items():
                await self.phase(ours, "requests", in_flight, suffix)

    async def two_workers(self, folder: Path) -> None:
        """Serve with two processes for the curve; by the clock they share the cores with load and mock."""
        async with server(folder, self.identity, self.apple.ready, workers=2) as ours:
            for in_flight in (1, 16):
                await feed(ours.bus, self.work.registrations[in_flight], 128)
            await self.phase(ours, "registrations", 128, "_w2")
            await self.warm_up(ours)
            await self.phase(ours, "requests", 128, "_w2")

    async def warm_up(self, ours: Server) -> None:
        """Let the server connect to the mock."""
        pushed = await self.apple.pushes()
        await feed(ours.bus, self.work.warm, 16)
        await self.apple.reaches(pushed + len(self.work.warm))


def status_go(figures: Figures, folder: Path, binary: Path) -> None:
    for in_flight, (some_registrations, some_requests) in STATUS_GO.items():
        phases = measure(
            binary, folder / str(in_flight), registrations=some_registrations, requests=some_requests,
            in_flight=in_flight,
        )  # fmt: skip
        for name, done in phases.items():
            figures.add(f"status_go_{name}_per_second{IN_FLIGHT[in_flight]}", done.per_core, "1/s")
            figures.add(f"status_go_{name}_per_second{IN_FLIGHT[in_flight]}_wall", done.per_second, "1/s")


def add_curve(figures: Figures) -> None:
    figures.add("curve_limit", curve_limit_cpu(), "1/s")
    figures.add("curve_limit_wall", curve_limit(), "1/s")


async def main() -> None:
    figures = Figures()
    peer = build()
    if isinstance(peer, str):
        print(peer)
    identity = secp256k1.key_pair(os.urandom)
    work = seal(identity)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        async with mock_apple(folder / "apple") as apple:
            bench = Bench(figures, work, apple, identity)
            for number in range(ROUNDS):
                add_curve(figures)
                await bench.one_process(folder / f"one{number}")
                if isinstance(peer, Path):
                    status_go(figures, folder / f"statusgo{number}", peer)
                await bench.two_workers(folder / f"two{number}")
                add_curve(figures)
    tell_ratios(figures, with_status_go=isinstance(peer, Path))


def tell_ratios(figures: Figures, *, with_status_go: bool) -> None:
    requests_done, registrations_done = (figures.median(f"{name}_per_second") for name in ("requests", "registrations"))
    ratios = {"ratio_to_curve_limit": requests_done / figures.median("curve_limit")}
    if with_status_go:
        ratios["ratio_to_status_go_requests"] = requests_done / figures.median("status_go_requests_per_second")
        ratios["ratio_to_status_go_registrations"] = registrations_done / figures.median(
            "status_go_registrations_per_second"
        )
    figures.tell()
    for name, value in ratios.items():
        print(f"{name} {value:.3g} x")


if __name__ == "__main__":
    asyncio.run(main())
