"""Each extra names enough packages for its program, and none that the bare name does not install."""

import json
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hushbell.testing.child_processes import kill_with_parent

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULES = {"dnspython": "dns", "grpcio": "grpc", "protobuf": "google", "pyyaml": "yaml", "safe-pysha3": "sha3"}
RUN = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from hushbell.cli import main
main({arguments})
"""


def module(requirement: str) -> str:
    name = re.split(r"[<>=; ]", requirement, maxsplit=1)[0]
    return MODULES.get(name, name)


def program(extras: list[str], *arguments: str) -> list[str]:
    needed = {module(one) for extra in extras for one in PROJECT["optional-dependencies"][extra]}
    absent = {module(one) for one in PROJECT["dependencies"]} - needed
    return [sys.executable, "-c", RUN.format(absent=sorted(absent), arguments=list(arguments))]


@pytest.mark.parametrize("extra", PROJECT["optional-dependencies"])
def test_an_extra_names_nothing_that_the_bare_name_does_not_install(extra: str) -> None:
    assert set(PROJECT["optional-dependencies"][extra]) <= set(PROJECT["dependencies"])


@pytest.mark.parametrize(
    "extras, arguments",
    [
        (["node"], ["node", "--listen", "/ip4/127.0.0.1/tcp/0/ws"]),
        (["gateway"], ["gateway", "--http", "127.0.0.1:0"]),
        (["gateway", "grpc"], ["gateway", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]),
    ],
)
def test_a_program_runs_with_the_packages_of_its_extra(extras: list[str], arguments: list[str], tmp_path: Path) -> None:
    command = [*program(extras, *arguments, "--data", str(tmp_path / "data"))]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as running:
        kill_with_parent(running.pid)
        assert running.stdout is not None
        ready = running.stdout.readline()
        running.send_signal(signal.SIGTERM)
        _, errors = running.communicate(timeout=20)

    assert ready, errors
    assert json.loads(ready)["ready"]
    assert running.returncode == 0, errors
