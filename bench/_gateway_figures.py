"""What a run of bench/gateway.py says: medians of times, sums of faults, gorush's figures over ours."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Run = Mapping[str, Any]
"""What the rig found in one run, with what the gateway used."""
Runs = Mapping[str, Sequence[Run]]
"""The runs of each gateway, by its name."""

TIMES = ("answer_p50", "answer_p99", "arrival_p50", "arrival_p99")
SUMS = {  # cut_short: something still came when we stopped waiting, so that "lost" says too much
    "accepted": "pushes",
    "lost": "pushes",
    "listed": "pushes",
    "twice": "pushes",
    "swapped": "pushes",
    "refused": "requests",
    "broken": "requests",
    "cut_short": "runs",
}
MOST = {"connections": "connections", "jwts": "tokens"}


def tell(name: str, value: float, unit: str) -> None:
    """Print one line."""
    print(f"{name} {value:.3f} {unit}".replace(".000 ", " "), flush=True)


def middle(runs: Sequence[Run], what: str) -> float:
    """Return the median of a figure, 0 if no run has it."""
    values = [float(run[what]) for run in runs if what in run]
    return float(statistics.median(values)) if values else 0.0


def rate(run: Run) -> float:
    """Return the pushes a second that were accepted in the measured time."""
    return float(run["measured"] / max(run["seconds"], 0.001))


def tell_runs(part: str, found: Runs) -> None:
    """Tell everything about a part's runs, for each gateway."""
    for who, runs in found.items():
        name = f"{who}_{part}"
        tell(f"{name}_rate", statistics.median(rate(run) for run in runs), "pushes/s")
        tell(
            f"{name}_arrival_rate",
            statistics.median(run["landed"] / max(run["seconds"], 0.001) for run in runs),
            "pushes/s",
        )
        for what in TIMES:
            tell(f"{name}_{what}", middle(runs, what), "ms")
        tell(f"{name}_until_last", middle(runs, "until_last"), "s")
        tell(f"{name}_cpu_per_100k", middle(runs, "cpu_per_100k"), "s")
        tell(f"{name}_memory", middle(runs, "memory"), "MB")
        for what, unit in SUMS.items():
            tell(f"{name}_{what}", sum(run[what] for run in runs), unit)
        for what, unit in MOST.items():
            tell(f"{name}_{what}", max(run[what] for run in runs), unit)
        if "rig_busy" in runs[0]:
            tell(f"{name}_rig_busy", middle(runs, "rig_busy"), "cores")


def tell_ratio(name: str, found: Runs, what: str) -> None:
    """Tell gorush's figure over ours, if both were measured."""
    if len(found) == 2:
        tell(name, middle(found["gorush"], what) / max(middle(found["ours"], what), 1e-9), "x")


def tell_rates(name: str, found: Runs) -> None:
    """Tell our rate over gorush's, if both were measured."""
    if len(found) == 2:
        ours, theirs = (statistics.median(rate(run) for run in found[who]) for who in ("ours", "gorush"))
        tell(name, ours / max(theirs, 0.001), "x")
