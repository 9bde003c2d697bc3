"""
The gateway beside the real gorush: throughput, latency, processor time, and what either loses.

    python bench/gateway.py [--rounds 3] [--seconds 10] [--only PART] [--gorush BINARY]

Scenarios are those of reference/gateway.md, section 7. Both programs take turns in each round; figures are medians.
gorush has no setting for its providers' addresses, so that both run in a network of their own; where the system
refuses that, or without Go, ours is measured alone and the ratios are left out.
"""

import argparse
import asyncio
import signal
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import _gateway_peers as peers

SHAPES = {  # notifications in a request, tokens in each, platform, connections
    "one_per_request": (1, 1, 1, 16),
    "100_per_request": (100, 1, 1, 16),
    "100_tokens": (1, 100, 1, 16),
    "fcm_one_per_request": (1, 1, 2, 16),
    "fcm_100_per_request": (100, 1, 2, 16),
    "fcm_100_tokens": (1, 100, 2, 16),
}
MOST = 4_000_000  # pushes of one run
OPEN_LOOP = 1000.0  # requests a second
DOWN = 5.0  # seconds the provider is away
Start = Callable[..., AbstractAsyncContextManager[peers.Peer]]


class Bench:
    """One run of everything."""

    def __init__(
        self, options: argparse.Namespace, rig: peers.Rig, files: peers.Files, tls: str, gorush: Path | None
    ) -> None:
        self.rounds: int = options.rounds
        self.seconds: float = options.seconds
        self.warm_up: float = min(2.0, options.seconds / 5)
        self.rig = rig
        self.files = files
        self.tls = tls
        self.gorush = gorush
        self._folders = 0

    @asynccontextmanager
    async def ours(self, **options: Any) -> AsyncIterator[peers.Peer]:
        """Start our gateway on a queue of its own."""
        self._folders += 1
        options.pop("workers", None)
        async with peers.ours(self.files, self.files.folder / f"data{self._folders}", tls=self.tls, **options) as peer:
            yield peer

    @asynccontextmanager
    async def theirs(self, **options: Any) -> AsyncIterator[peers.Peer]:
        """Start gorush."""
        assert self.gorush is not None
        options.pop("apps", None)
        async with peers.gorush(self.gorush, self.files, **options) as peer:
            yield peer

    def both(self) -> dict[str, Start]:
        """Return what there is to measure, by name."""
        return {"ours": self.ours} | ({"gorush": self.theirs} if self.gorush else {})

    async def load(self, peer: peers.Peer, **options: Any) -> dict[str, Any]:
        """Send, wait until everything accepted has arrived, and return what came of it with the time it cost."""
        plan = {
            "address": peer.address,
            "key": peer.key,
            "connections": 16,
            "notes": 1,
            "tokens": 1,
            "platform": 1,
            "topic": "org.example.app",
            "seconds": self.seconds,
            "warm_up": self.warm_up,
            "most": MOST,
            "patience": 30.0,
            "count": True,
        }
        before = peer.cpu
        result = await self.rig.do("load", **plan | options)
        result["cpu"] = peer.cpu - before
        result["cpu_per_100k"] = result["cpu"] / max(1, result["arrived"]) * 100_000
        result["memory"] = peer.memory / 1e6
        return result

    async def first(self, peer: peers.Peer, **options: Any) -> None:
        """Have connections and tokens made before anything is measured."""
        await self.load(peer, connections=1, seconds=0.2, warm_up=0.0, most=50, **options)


async def shapes(bench: Bench) -> None:
    """(a) The provider answers at once: one or a hundred notifications a request, or a hundred tokens."""
    for name, (notes, tokens, platform, connections) in SHAPES.items():
        found = await alternating(bench, notes=notes, tokens=tokens, platform=platform, connections=connections)
        for who, runs in found.items():
            tell_run(f"{who}_{name}", runs)
        tell_ratio(f"ratio_cpu_{name}", found, "cpu_per_100k")


async def open_loop(bench: Bench) -> None:
    """1,000 requests a second, whether answers come or not."""
    found = await alternating(bench, rate=OPEN_LOOP, connections=64)
    for who, runs in found.items():
        tell_run(f"{who}_open_loop", runs)
    tell_ratio("ratio_cpu_open_loop", found, "cpu_per_100k")


async def slow_provider(bench: Bench) -> None:
    """(b) The provider takes 50 ms; nobody tunes anything."""
    await bench.rig.do("set", delay_ms=50)
    found = await alternating(bench, connections=128)
    await bench.rig.do("set")
    for who, runs in found.items():
        tell_run(f"{who}_50ms", runs)
    if len(found) == 2:
        rates = {who: middle([rate(run) for run in runs]) for who, runs in found.items()}
        tell("ratio_rate_50ms", rates["ours"] / max(rates["gorush"], 0.001), "x")


async def errors(bench: Bench) -> None:
    """(c) 5 % dead tokens, 2 % too many requests, 1 % unavailable, each on the first attempt."""
    await bench.rig.do("set", errors=True)
    for who, runs in (await alternating(bench, most=100_000, patience=60.0)).items():
        tell_faults(f"{who}_errors", runs)
    await bench.rig.do("set")


async def goaway(bench: Bench) -> None:
    """(d) A GOAWAY after each thousand answers."""
    await bench.rig.do("set", goaway=1000)
    for who, runs in (await alternating(bench, few=1000)).items():
        tell_faults(f"{who}_goaway", runs)
    await bench.rig.do("set")


async def down(bench: Bench) -> None:
    """(e) The provider is away for five seconds, then back."""
    for who, start in bench.both().items():
        async with start(sync=False) as peer:
            await bench.first(peer)
            await bench.rig.do(
                "begin", address=peer.address, key=peer.key, connections=32, notes=1, tokens=1, platform=1,
                topic="org.example.app", rate=1000.0, seconds=DOWN + 5.0, warm_up=0.0, most=MOST, patience=40.0,
                count=True,
            )  # fmt: skip
            await asyncio.sleep(2.0)
            await bench.rig.do("down")
            await asyncio.sleep(DOWN)
            await bench.rig.do("up")
            tell_faults(f"{who}_down", [await bench.rig.do("end")])


async def stopped(bench: Bench) -> None:
    """(f) SIGTERM and (g) kill -9 under load, with a provider that takes 50 ms, then a start."""
    for name, number in (("sigterm", signal.SIGTERM), ("kill", signal.SIGKILL)):
        for who in bench.both():
            await ended(bench, who, f"{who}_{name}", number)


async def ended(bench: Bench, who: str, name: str, number: int) -> None:
    """End a gateway under load and start it again on what it has."""
    folder = bench.files.folder / f"{name}"
    await bench.rig.do("set", delay_ms=20)

    def start() -> AbstractAsyncContextManager[peers.Peer]:
        if who == "ours":
            return peers.ours(bench.files, folder, tls=bench.tls, sync=False)
        assert bench.gorush is not None
        return peers.gorush(bench.gorush, bench.files, sync=False)

    async with start() as peer:
        await bench.first(peer)
        await bench.rig.do(
            "begin", address=peer.address, key=peer.key, connections=32, notes=1, tokens=1, platform=1,
            topic="org.example.app", seconds=4.0, warm_up=0.0, most=MOST, patience=40.0, count=True, reconnect=True,
        )  # fmt: skip
        await asyncio.sleep(1.5)
        status = await peer.end(number)
    async with start():
        result = await bench.rig.do("end")
    await bench.rig.do("set")
    tell(f"{name}_exit_status", status, "status")
    tell(f"{name}_accepted", result["accepted"], "pushes")
    tell(f"{name}_lost", result["lost"], "pushes")
    tell(f"{name}_twice", result["twice"], "pushes")


async def overflow(bench: Bench) -> None:
    """(h) Twenty times what the queue holds, towards a provider that is slow."""
    await bench.rig.do("set", delay_ms=50)
    for who, start in bench.both().items():
        async with start(sync=False, queue=8192) as peer:
            result = await bench.load(peer, notes=100, most=20 * 8192, seconds=8.0, warm_up=0.0, patience=240.0)
            tell(f"{who}_overflow_accepted", result["accepted"], "pushes")
            tell(f"{who}_overflow_refused", result["refused"], "requests")
            tell(f"{who}_overflow_broken", result["broken"], "requests")
            tell(f"{who}_overflow_lost", result["lost"], "pushes")
            tell(f"{who}_overflow_memory", result["memory"], "MB")
    await bench.rig.do("set")


async def neighbours(bench: Bench) -> None:
    """(i) One app floods; another sends a hundred a second. gorush has one app, and both share it."""
    for who, start in bench.both().items():
        async with start(sync=False, apps=2) as peer:
            await bench.first(peer)
            ours = who == "ours"
            await bench.rig.do(
                "begin", address=peer.address, key=peer.key, app="app0" if ours else "", connections=32, notes=100,
                tokens=1, platform=1, topic="org.example.app", seconds=bench.seconds + 1, warm_up=0.0, most=MOST,
            )  # fmt: skip
            quiet = await bench.load(
                peer, app="app1" if ours else "", rate=100.0, connections=8, warm_up=1.0, most=100_000
            )
            flood = await bench.rig.do("end")
            tell(f"{who}_neighbour_flood", flood["measured"] / flood["seconds"], "pushes/s")
            tell(f"{who}_neighbour_answer_p99", quiet["answer_p99"], "ms")
            tell(f"{who}_neighbour_arrival_p99", quiet["arrival_p99"], "ms")
            tell(f"{who}_neighbour_lost", quiet["lost"], "pushes")


async def slow_hook(bench: Bench) -> None:
    """(j) Each failed push is told to a hook that takes 100 ms."""
    hook = "127.0.0.1:8299"
    await bench.rig.do("hook", hook=hook, delay_ms=100)
    await bench.rig.do("set", errors=True)
    for who, start in bench.both().items():
        async with start(sync=False, hook=f"http://{hook}/") as peer:
            await bench.first(peer)
            result = await bench.load(peer, most=20_000, patience=60.0, warm_up=0.0)
            tell(f"{who}_hook_rate", rate(result), "pushes/s")
            tell(f"{who}_hook_arrival_p99", result["arrival_p99"], "ms")
    await bench.rig.do("set")


PARTS = {
    "shapes": shapes,
    "open_loop": open_loop,
    "slow_provider": slow_provider,
    "errors": errors,
    "goaway": goaway,
    "down": down,
    "stopped": stopped,
    "overflow": overflow,
    "neighbours": neighbours,
    "slow_hook": slow_hook,
}


async def alternating(bench: Bench, **options: Any) -> dict[str, list[dict[str, Any]]]:
    """Measure each gateway in turn, a fresh process each time, and return the runs of each."""
    runs: dict[str, list[dict[str, Any]]] = {who: [] for who in bench.both()}
    for _ in range(bench.rounds):
        for who, start in bench.both().items():
            async with start() as peer:
                await bench.first(peer, platform=options.get("platform", 1))
                runs[who].append(await bench.load(peer, **options))
    return runs


def rate(run: dict[str, Any]) -> float:
    """Return accepted pushes a second."""
    return float(run["measured"] / max(run["seconds"], 0.001))


def middle(values: list[float]) -> float:
    """Return the median."""
    return float(statistics.median(values))


def tell(name: str, value: float, unit: str) -> None:
    print(f"{name} {value:.3f} {unit}".replace(".000 ", " "), flush=True)


def tell_run(name: str, runs: list[dict[str, Any]]) -> None:
    """Tell the medians of several runs."""
    tell(f"{name}_rate", middle([rate(run) for run in runs]), "pushes/s")
    tell(f"{name}_cpu_per_100k", middle([run["cpu_per_100k"] for run in runs]), "s")
    for what in ("answer_p50", "answer_p99", "arrival_p50", "arrival_p99"):
        tell(f"{name}_{what}", middle([run[what] for run in runs]), "ms")
    tell(f"{name}_memory", middle([run["memory"] for run in runs]), "MB")
    tell_faults(name, runs)


def tell_faults(name: str, runs: list[dict[str, Any]]) -> None:
    """Tell what went wrong in all runs together."""
    for what, unit in (("accepted", "pushes"), ("lost", "pushes"), ("twice", "pushes"), ("swapped", "pushes")):
        tell(f"{name}_{what}", sum(run[what] for run in runs), unit)
    tell(f"{name}_connections", max(run["connections"] for run in runs), "connections")
    tell(f"{name}_jwts", max(run["jwts"] for run in runs), "tokens")


def tell_ratio(name: str, found: dict[str, list[dict[str, Any]]], what: str) -> None:
    """Tell gorush's figure over ours."""
    if len(found) == 2:
        ours, theirs = (middle([run[what] for run in found[who]]) for who in ("ours", "gorush"))
        tell(name, theirs / max(ours, 1e-9), "x")


async def main(options: argparse.Namespace, *, inside: bool) -> None:
    """Build what is needed and run the parts."""
    rig_binary = peers.build("gateway-rig", peers.RIG)
    if rig_binary is None:
        print("bench/gateway.py: needs Go 1.25 or later", file=sys.stderr)
        return
    gorush = Path(options.gorush) if options.gorush else None
    if inside and gorush is None:
        gorush = peers.build("gorush", peers.GORUSH, "github.com/appleboy/gorush")
    if not inside or gorush is None:
        print("bench/gateway.py: gorush is left out (no network namespace, or no Go)", file=sys.stderr)
        gorush = None
    tls = peers.TLS if inside else "127.0.0.1:8443"
    with tempfile.TemporaryDirectory(prefix="hushbell-bench-") as folder:
        files = peers.Files(Path(folder)).make()
        async with peers.open_rig(rig_binary, files, tls) as rig:
            bench = Bench(options, rig, files, tls, gorush)
            for name, part in PARTS.items():
                if not options.only or name in options.only.split(","):
                    await part(bench)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="measured, after a warm-up")
    parser.add_argument("--only", default="", help="parts, separated by commas: " + ", ".join(PARTS))
    parser.add_argument("--gorush", default="", help="a binary that was built already")
    asyncio.run(main(parser.parse_args(), inside=peers.enter_namespace()))
