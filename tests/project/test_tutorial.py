"""The tutorial, exactly as it is printed."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from hushbell.testing.child_processes import kill_with_parent

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
PATIENCE = 60


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TUTORIAL, re.DOTALL)


def test_the_program_of_the_tutorial_prints_what_the_tutorial_says(tmp_path: Path) -> None:
    serve = blocks("sh")[0].split()[1:]
    (tmp_path / "ring.py").write_text(blocks("python")[0])
    server = subprocess.Popen(
        [sys.executable, "-m", "hushbell.cli", *serve],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    kill_with_parent(server.pid)
    try:
        assert server.stdout is not None
        identity = json.loads(server.stdout.readline())["identity"]
        said = subprocess.run(
            [sys.executable, "ring.py", identity],
            cwd=tmp_path,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=PATIENCE)

    assert said.stdout == blocks("text")[0]


def test_the_program_has_at_most_twenty_lines_of_its_own() -> None:
    lines = [line for line in blocks("python")[0].splitlines() if line.strip() and not line.startswith("import ")]

    assert len(lines) <= 20
