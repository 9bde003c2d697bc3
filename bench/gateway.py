"""
The gateway beside the real gorush: throughput, latency, processor time, and what either loses.

    python bench/gateway.py [--rounds 3] [--seconds 10] [--only PART] [--gorush BINARY]

Scenarios are those of reference/gateway.md, section 7. Both programs take turns in each round, each a new process each
time; times are medians, faults are summed. gorush has no setting for its providers' addresses, so that both run in a
network of their own; where the system refuses that, or without Go, ours is measured alone and ratios are left out.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import _gateway_peers as peers
from _gateway_figures import Run, Runs, middle, tell, tell_rates, tell_ratio, tell_runs

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
QUEUE = 8192  # what gorush's holds by default
ALONE = 5.0  # seconds that the neighbour is measured without the flood, at most
STOPPED = 2.0  # seconds of sending before a stop, after the warm-up
HOOK = "127.0.0.1:8299"
Start = Callable[..., AbstractAsyncContextManager[peers.Peer]]
During = Callable[[], Awaitable[None]]


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

    def folder(self) -> Path:
        """Return a folder that no other gateway of ours has used."""
        self._folders += 1
        return self.files.folder / f"data{self._folders}"

    @asynccontextmanager
    async def ours(self, *, data: Path | None = None, **options: Any) -> AsyncIterator[peers.Peer]:
        """Start our gateway, on a queue of its own if none is given."""
        async with peers.ours(self.files, data or self.folder(), tls=self.tls, **options) as peer:
            yield peer

    @asynccontextmanager
    async def theirs(self, *, data: Path | None = None, apps: int = 1, **options: Any) -> AsyncIterator[peers.Peer]:
        """Start gorush. It has one app and no disk."""
        del data, apps
        assert self.gorush is not None
        async with peers.gorush(self.gorush, self.files, **options) as peer:
            yield peer

    async def turns(self, one: Callable[[str, Start], Awaitable[Run]]) -> Runs:
        """Have each gateway take its turn in each round."""
        starts: dict[str, Start] = {"ours": self.ours} | ({"gorush": self.theirs} if self.gorush else {})
        runs: dict[str, list[Run]] = {who: [] for who in starts}
        for _ in range(self.rounds):
            for who, start in starts.items():
                runs[who].append(await one(who, start))
        return runs

    async def under(self, load: dict[str, Any], **start_options: Any) -> Runs:
        """Measure each gateway in turn under the same load."""

        async def one(_who: str, start: Start) -> Run:
            async with start(**start_options) as peer:
                await self.first(peer, platform=load.get("platform", 1))
                return await self.load(peer, **load)

        return await self.turns(one)

    def plan(self, peer: peers.Peer, **options: Any) -> dict[str, Any]:
        """Return what the rig is to send."""
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
            "still": 6.0,
            "count": True,
        }
        return plan | options

    async def load(self, peer: peers.Peer, during: During | None = None, **options: Any) -> dict[str, Any]:
        """Send, wait until everything accepted was taken, and return what came of it and what it cost, unwarmed."""
        plan = self.plan(peer, **options)
        await self.rig.do("begin", **plan)
        await asyncio.sleep(plan["warm_up"])
        cpu, busy, at = peer.cpu, self.rig.cpu, time.perf_counter()
        before = (await self.rig.do("stats"))["requests"]
        if during is not None:
            await during()
        await asyncio.sleep(max(0.0, plan["seconds"] - (time.perf_counter() - at)))
        busy, lasted = self.rig.cpu - busy, time.perf_counter() - at
        result = await self.rig.do("end")
        result["cpu"] = peer.cpu - cpu
        result["cpu_per_100k"] = result["cpu"] / max(1, result["requests"] - before) * 100_000
        result["rig_busy"] = busy / lasted
        result["memory"] = peer.memory / 1e6
        return result

    async def first(self, peer: peers.Peer, **options: Any) -> None:
        """Have connections and tokens made before anything is measured."""
        few = {"connections": 1, "seconds": 0.2, "warm_up": 0.0, "most": 50}
        await self.rig.do("load", **self.plan(peer, **(few | options)))


async def shapes(bench: Bench) -> None:
    """(a) The provider answers at once: one or a hundred notifications a request, or a hundred tokens."""
    for name, (notes, tokens, platform, connections) in SHAPES.items():
        load = {"notes": notes, "tokens": tokens, "platform": platform, "connections": connections}
        found = await bench.under(load)
        tell_runs(name, found)
        tell_ratio(f"ratio_cpu_{name}", found, "cpu_per_100k")


async def open_loop(bench: Bench) -> None:
    """1,000 requests a second, whether answers come or not."""
    found = await bench.under({"rate": OPEN_LOOP, "connections": 64})
    tell_runs("open_loop", found)
    tell_ratio("ratio_cpu_open_loop", found, "cpu_per_100k")


async def slow_provider(bench: Bench) -> None:
    """(b) The provider takes 50 ms; nobody tunes anything."""
    await bench.rig.do("set", delay_ms=50)
    found = await bench.under({"connections": 128})
    tell_runs("50ms", found)
    tell_rates("ratio_rate_50ms", found)


async def errors(bench: Bench) -> None:
    """(c) 5 % dead tokens, 2 % too many requests, 1 % unavailable, each on the first attempt."""
    await bench.rig.do("set", errors=True)
    tell_runs("errors", await bench.under({"most": 200_000}))


async def goaway(bench: Bench) -> None:
    """(d) A GOAWAY after each thousand answers; a thousand devices, so that their order can be seen."""
    await bench.rig.do("set", goaway=1000)
    tell_runs("goaway", await bench.under({"few": 1000}))


async def down(bench: Bench) -> None:
    """(e) The provider is away for five seconds, then back."""
    seconds = max(bench.seconds, DOWN + 3.0)

    async def away() -> None:
        await asyncio.sleep((seconds - DOWN) / 2)
        await bench.rig.do("down")
        await asyncio.sleep(DOWN)
        await bench.rig.do("up")

    async def one(_who: str, start: Start) -> Run:
        async with start(sync=False) as peer:
            await bench.first(peer)
            return await bench.load(
                peer, away, connections=32, rate=OPEN_LOOP, seconds=seconds, patience=40.0, still=12.0
            )

    tell_runs("down", await bench.turns(one))


async def stopped(bench: Bench) -> None:
    """(f) SIGTERM and (g) kill -9 under load, with a provider that takes 20 ms, then a start."""
    await bench.rig.do("set", delay_ms=20)  # at which gorush cannot empty its queue in the 30 s it gives itself
    for name, number in (("sigterm", signal.SIGTERM), ("kill", signal.SIGKILL)):

        async def one(_who: str, start: Start, number: int = number) -> Run:
            return await ended(bench, start, number)

        found = await bench.turns(one)
        tell_runs(name, found)
        for who, runs in found.items():
            tell(f"{who}_{name}_exit_status", middle(runs, "status"), "status")


async def ended(bench: Bench, start: Start, number: int) -> Run:
    """End a gateway under load, which ends the load too, and start it again on what it has."""
    data = bench.folder()
    async with start(sync=False, data=data) as peer:
        await bench.first(peer)
        plan = bench.plan(peer, connections=32, patience=50.0, still=8.0)
        await bench.rig.do("begin", **plan)
        await asyncio.sleep(bench.warm_up + min(STOPPED, bench.seconds / 2))
        cpu = peer.cpu
        status = await peer.end(number)
    async with start(sync=False, data=data) as peer:
        result = await bench.rig.do("end")
        result["cpu"] = cpu + peer.cpu
        result["memory"] = peer.memory / 1e6
    result["cpu_per_100k"] = result["cpu"] / max(1, result["requests"]) * 100_000  # both starts included
    return result | {"status": status}


async def overflow(bench: Bench) -> None:
    """(h) Twenty times what the queue holds, towards a provider that takes 5 ms."""
    await bench.rig.do("set", delay_ms=5)
    seconds = min(bench.seconds, 8.0)
    load = {"notes": 100, "most": 20 * QUEUE, "seconds": seconds, "warm_up": 0.0, "patience": 45.0}
    tell_runs("overflow", await bench.under(load, sync=False, queue=QUEUE))


async def neighbours(bench: Bench) -> None:
    """(i) One app sends a hundred a second, first alone, then while another floods. gorush has one app for both."""
    flooding: dict[str, list[Run]] = {}
    alone: dict[str, list[Run]] = {}

    async def one(who: str, start: Start) -> Run:
        app, other = ("app1", "app0") if who == "ours" else ("", "")
        quiet = {"app": app, "rate": 100.0, "connections": 64, "most": 100_000, "patience": 25.0}
        async with start(sync=False, apps=2) as peer:
            await bench.first(peer)
            await bench.first(peer, app=app)
            calm = await bench.load(peer, **quiet | {"seconds": min(ALONE, bench.seconds), "warm_up": 0.5})
            alone.setdefault(who, []).append(calm)
            flood = bench.plan(
                peer, app=other, connections=32, notes=100, seconds=bench.seconds + 0.5, count=False, name="flood"
            )
            await bench.rig.do("begin", **flood)
            found = await bench.load(peer, **quiet)
            flooded = await bench.rig.do("end", name="flood")
        flooding.setdefault(who, []).append(flooded | {"arrived": found["strangers"]})
        return found

    flooded = await bench.turns(one)
    tell_runs("neighbour_alone", alone)
    tell_runs("neighbour", flooded)
    for who, runs in flooding.items():
        tell(f"{who}_flood_accepted", middle(runs, "accepted"), "pushes")
        tell(f"{who}_flood_arrived", middle(runs, "arrived"), "pushes")
        for what in ("answer_p50", "answer_p99"):
            tell(f"{who}_flood_{what}", middle(runs, what), "ms")
        for what in ("refused", "broken"):
            tell(f"{who}_flood_{what}", sum(run[what] for run in runs), "requests")


async def slow_hook(bench: Bench) -> None:
    """(j) Each failed push is told to a hook that takes 100 ms; 500 pushes a second, of which 8 % fail at first."""
    await bench.rig.do("hook", hook=HOOK, delay_ms=100)
    await bench.rig.do("set", errors=True)

    async def one(_who: str, start: Start) -> Run:
        before = (await bench.rig.do("stats"))["told"]
        async with start(sync=False, hook=f"http://{HOOK}/") as peer:
            await bench.first(peer)
            found = await bench.load(peer, rate=500.0, connections=32, patience=40.0)
            return found | {"told": (await bench.rig.do("stats"))["told"] - before}

    found = await bench.turns(one)
    tell_runs("hook", found)
    for who, runs in found.items():
        tell(f"{who}_hook_told", sum(run["told"] for run in runs), "requests")


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
                    await rig.do("set")  # as at the start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="measured, after a warm-up")
    parser.add_argument("--only", default="", help="parts, separated by commas: " + ", ".join(PARTS))
    parser.add_argument("--gorush", default="", help="a binary that was built already")
    asyncio.run(main(parser.parse_args(), inside=peers.enter_namespace()))
