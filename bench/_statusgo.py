"""The real status-go server under the same load, by its own harness: see tests/interop/statusgo/bench.go."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SOURCES = REPOSITORY / "tests" / "interop" / "statusgo"


@dataclass(frozen=True, slots=True)
class Phase:
    """Messages a second, for each second of CPU and by the clock."""

    per_core: float
    per_second: float


def build() -> Path | str:
    """Return the program, or why there is none."""
    if shutil.which("go") is None or shutil.which("gcc") is None:
        return "status-go is left out: it needs Go 1.21 or later and gcc; install the packages golang and gcc"
    binary = REPOSITORY / "build" / "statusgo-peer"
    binary.parent.mkdir(exist_ok=True)
    command = ["go", "build", "-mod=readonly", "-tags", "gowaku_no_rln", "-o", str(binary), "."]
    built = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False, timeout=1200)
    return binary if built.returncode == 0 else f"status-go is left out: it does not build\n{built.stderr}"


def measure(binary: Path, folder: Path, *, registrations: int, requests: int, in_flight: int) -> dict[str, Phase]:
    """Run it once on a new database file, on one core, and return what its two phases did."""
    folder.mkdir(parents=True)
    command = [
        str(binary), "bench", "-db", str(folder / "statusgo.db"), "-procs", "1",
        "-registrations", str(registrations), "-requests", str(requests),
        "-wreg", str(in_flight), "-wreq", str(in_flight),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=1200)
    result = json.loads(done.stdout)
    phases = {}
    for name in ("registrations", "requests"):
        phase = result[name]
        if "error" in phase or phase["replies_bad"]:
            raise SystemExit(f"status-go did not answer everything with success: {phase}")
        phases[name] = Phase(1000 / phase["cpu_s_per_1000"], phase["per_second"])
    return phases
