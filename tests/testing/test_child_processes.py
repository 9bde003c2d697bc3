"""What a test or a benchmark has started ends with it, also by SIGKILL."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hushbell.testing.child_processes import kill_with_parent

REPOSITORY = Path(__file__).parents[2]
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
PATIENCE = 20.0  # seconds

PYTEST = """
import subprocess
from hushbell.testing.child_processes import kill_with_parent

def test_that_never_ends():
    with subprocess.Popen({command}) as child:
        kill_with_parent(child.pid)
        with open({file!r}, "w") as file:
            file.write(str(child.pid) + "\\n")
        child.wait()
"""
BENCH = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {bench!r})
import _rig

async def main():
    async with _rig.mock_apple(Path({folder!r})) as apple:
        Path({file!r}).write_text(str(apple.pid) + "\\n")
        await asyncio.sleep(600)

asyncio.run(main())
"""


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A killed process whose new parent does not care stays as a zombie in some containers.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until_ended(pid: int) -> bool:
    ends = time.monotonic() + PATIENCE
    while is_running(pid) and time.monotonic() < ends:
        time.sleep(0.02)
    return not is_running(pid)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pytest", "bench"])
def test_a_session_that_is_killed_leaves_no_child(tmp_path: Path, kind: str) -> None:
    file, script = tmp_path / "pid", tmp_path / "test_session.py"
    if kind == "pytest":
        script.write_text(PYTEST.format(command=SLEEP, file=str(file)))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", str(script)]
    else:
        script.write_text(BENCH.format(bench=str(REPOSITORY / "bench"), folder=str(tmp_path), file=str(file)))
        command = [sys.executable, str(script)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src")}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL) as session:
        kill_with_parent(session.pid)
        try:
            ends = time.monotonic() + PATIENCE
            while not (file.exists() and file.read_text().endswith("\n")) and time.monotonic() < ends:
                time.sleep(0.02)
            child = int(file.read_text())
            assert is_running(child)
        finally:  # also of a session that is late: leaving the block waits for its end
            session.send_signal(signal.SIGKILL)

    assert wait_until_ended(child)


def test_what_still_runs_after_a_quiet_end_is_killed_too(tmp_path: Path) -> None:
    script = (
        "import subprocess; from hushbell.testing.child_processes import kill_with_parent\n"
        f"child = subprocess.Popen({SLEEP}, stdout=subprocess.DEVNULL); kill_with_parent(child.pid); print(child.pid)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert wait_until_ended(int(done.stdout))
