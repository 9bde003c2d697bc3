"""
The tutorial's program, checked outside the repository against hushbell as it is installed: by mypy and by Pyright.

A checker that finds no types lets everything pass, so a second program with mistakes must fail in each of its lines.
"""

import json
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.types

Check = Callable[[Path], set[tuple[str, int]]]
ROOT = Path(__file__).parents[2]
WRONG = """\
import hushbell


async def main(account: hushbell.Account, server: hushbell.PublicKey) -> None:
    await account.enable(b"token", servers=[server])  # wrong
    await account.enable("token", servers=["04"])  # wrong
    await account.notify_and_wait(b"id", "chat", [], most="all")  # wrong
    await account.notify_and_wait(b"id", "chat", [server])  # wrong
    (await account.registered(server)).bit_count("x")  # wrong
    hushbell.import_module("os")  # wrong
    hushbell.Preview(message_id=b"")  # wrong
    async for event in account.events():
        event.nothing  # wrong
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with both programs and an environment in which hushbell is installed from its wheel."""
    folder = tmp_path_factory.mktemp("programs")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    venv.create(folder / "env", with_pip=False)
    (packages,) = (folder / "env" / "lib").glob("python*/site-packages")
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(packages)
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    tutorial = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "tutorial.md").read_text(), re.DOTALL)[0]
    (folder / "ring.py").write_text(tutorial)
    (folder / "wrong.py").write_text(WRONG)
    return folder


def _mypy(folder: Path) -> set[tuple[str, int]]:
    """Return file and line of each error."""
    said = _run(folder, "mypy", "--strict", "--python-executable", folder / "env" / "bin" / "python")
    return {(file, int(line)) for file, line in re.findall(r"^(\w+\.py):(\d+): error:", said, re.MULTILINE)}


def _pyright(folder: Path) -> set[tuple[str, int]]:
    """Return file and line of each error."""
    settings = {"typeCheckingMode": "strict", "include": ["*.py"], "venvPath": str(folder), "venv": "env"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    said = json.loads(_run(folder, "basedpyright", "--outputjson"))
    return {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1)
        for one in said["generalDiagnostics"]
        if one["severity"] == "error"
    }


def _run(folder: Path, module: str, *arguments: object) -> str:
    files = [] if module == "basedpyright" else ["ring.py", "wrong.py"]
    command = [sys.executable, "-m", module, *map(str, arguments), *files]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120).stdout


@pytest.mark.parametrize("check", [_mypy, _pyright])
def test_the_tutorial_passes_and_a_wrong_call_does_not(programs: Path, check: Check) -> None:
    wrong = {("wrong.py", number) for number, line in enumerate(WRONG.splitlines(), 1) if line.endswith("# wrong")}

    assert check(programs) == wrong
