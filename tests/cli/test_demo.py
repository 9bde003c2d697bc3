"""``hushbell demo`` as a person in front of a terminal meets it."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., "subprocess.Popen[str]"]
PATIENCE = 20  # seconds


def test_the_demo_goes_on_until_it_is_interrupted_and_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    process = run("demo", environment={"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"})
    assert process.stdout is not None
    while line := process.stdout.readline():
        if "run 1 is complete" in line:
            break

    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE)

    assert (process.returncode, output, errors) == (0, "\nstopped\n", "")
    assert list(tmp_path.iterdir()) == []


def test_the_demo_ends_after_one_complete_run_if_asked_to(run: Run, tmp_path: Path) -> None:
    process = run("demo", "--once", environment={"TMPDIR": str(tmp_path)})

    output, errors = process.communicate(timeout=PATIENCE)

    assert (process.returncode, errors) == (0, "")
    assert output.endswith("\nOne complete run: every step went as it must.\n")
    assert list(tmp_path.iterdir()) == []
