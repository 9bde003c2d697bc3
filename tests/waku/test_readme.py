"""The README of the node: its program runs as printed."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_node_of_the_readme_runs_as_printed(tmp_path: Path) -> None:
    readme = (ROOT / "src/hushbell/waku/README.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )

    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
