"""What a flood costs in memory: a bound, whoever floods and with what."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ENVELOPE = 1024 * 1024
MOST = 192  # MiB: six batches are in flight, of what a mailbox of 32 MiB hands over; measured 50 to 100


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("envelopes", id="envelopes of 1 MiB"),
        pytest.param("items", id="requests of half a million nothings"),
        pytest.param("keys", id="queries of a quarter of a million keys"),
        pytest.param("queries", id="queries for 32 installations of 512 KiB"),
    ],
)
def test_a_flood_does_not_fill_the_memory(kind: str) -> None:
    command = [sys.executable, str(HERE / "flood.py"), kind]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[2] / "src")}

    told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout

    grown, largest, failed, answers = map(int, told.split())
    assert grown <= MOST
    assert largest <= ENVELOPE
    assert failed == 0
    assert (answers > 32) == (kind == "queries")
