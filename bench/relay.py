"""
The relay beside go-waku, bare go-libp2p and py-libp2p: messages of 1 KB from one process to another.

Usage: ``relay.py [--messages N] [--rounds N] [--million] [--realtime]``. Ends with lines ``name value unit``.
All implementations take turns in each round. Every message's arrival is checked; a lost one ends the run.
"""

import argparse
import asyncio

from _relay_memory import idle_connection, interests
from _relay_rig import Kind, Latency, Speed, latency, median, others, ours, pair, speed, transferred

MILLION = 1_000_000
PACED_SECONDS = 6.0
STEP = 100_000  # messages told of at a time


async def measured(kind: Kind, messages: int, *, realtime: bool) -> tuple[Speed, Latency]:
    async with pair(kind) as (sender, receiver):
        paced = await latency(sender, receiver, PACED_SECONDS, realtime=realtime)
        return await speed(sender, receiver, max(1, round(messages * kind.share))), paced


async def after_a_million(*, realtime: bool) -> Latency:
    """Return the latency of two relays of ours that have just carried a million messages at full speed."""
    async with pair(ours()) as (sender, receiver):
        for _ in range(MILLION // STEP):
            await transferred(sender, receiver, STEP)
        return await latency(sender, receiver, PACED_SECONDS, realtime=realtime)


def tell(name: str, value: float, unit: str) -> None:
    print(f"{name} {value:.4g} {unit}" if value < 1000 else f"{name} {value:.0f} {unit}", flush=True)


async def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--messages", type=int, default=100_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--connections", type=int, default=100)
    options.add_argument("--million", action="store_true", help="latency after a million messages too")
    options.add_argument("--realtime", action="store_true", help="latency as on a quiet machine; needs root")
    options.add_argument("--only-ours", action="store_true")
    given = options.parse_args()
    found, missing = ([], []) if given.only_ours else others()
    for why in missing:
        print(f"left out: {why}")
    kinds = [ours(), *found]
    speeds: dict[str, list[Speed]] = {kind.name: [] for kind in kinds}
    latencies: dict[str, list[Latency]] = {kind.name: [] for kind in kinds}
    for turn in range(given.rounds):
        for kind in kinds:
            fast, paced = await measured(kind, given.messages, realtime=given.realtime)
            speeds[kind.name].append(fast)
            latencies[kind.name].append(paced)
            print(
                f"{turn + 1}: {kind.title}: {fast.per_second:.0f}/s; CPU {fast.sending:.1f} µs a message sending, "
                f"{fast.receiving:.1f} receiving; p50 {paced.p50:.2f} ms, p99 {paced.p99:.2f} ms",
                flush=True,
            )
    for kind in kinds:
        tell(f"relay{kind.name}_per_second", median([one.per_second for one in speeds[kind.name]]), "messages/s")
        tell(f"relay{kind.name}_cpu_sending", median([one.sending for one in speeds[kind.name]]), "µs")
        tell(f"relay{kind.name}_cpu_receiving", median([one.receiving for one in speeds[kind.name]]), "µs")
        tell(f"relay{kind.name}_p50", median([one.p50 for one in latencies[kind.name]]), "ms")
        tell(f"relay{kind.name}_p99", median([one.p99 for one in latencies[kind.name]]), "ms")
    for kind in found:
        pairs = zip(speeds[""], speeds[kind.name], strict=True)
        faster, cheaper = zip(
            *((we.per_second / they.per_second, they.processor / we.processor) for we, they in pairs), strict=True
        )
        tell(f"ratio_to{kind.name}", median(faster), "x")
        tell(f"ratio_to{kind.name}_by_cpu", median(cheaper), "x")
    if given.million:
        late = await after_a_million(realtime=given.realtime)
        tell("relay_after_million_p50", late.p50, "ms")
        tell("relay_after_million_p99", late.p99, "ms")
    tell("relay_idle_connection", await idle_connection(given.connections), "KiB")
    tell("relay_million_interests", await interests(MILLION), "MiB")


asyncio.run(main())
