"""The commands as their user meets them."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from hushbell.cli import COMMANDS, run

HERE = [name for name in COMMANDS if find_spec(f"hushbell.cli.{name.replace(chr(45), chr(95))}")]

ALICE = "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291"
ALICE_COMPRESSED = "03ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd3138"

Hushbell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def hushbell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hushbell:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_init_then_check_then_keys(hushbell: Hushbell, tmp_path: Path) -> None:
    code, out, _ = hushbell("init", "--data", "state")
    assert code == 0
    assert (tmp_path / "state/identity.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700

    code, checked, _ = hushbell("check")
    assert code == 0
    assert checked.startswith("hushbell.toml: ok")

    code, shown, _ = hushbell("keys", "show", "state/identity.key")
    assert code == 0
    compressed = next(line.split()[-1] for line in shown.splitlines() if line.startswith("compressed"))
    assert compressed in out


def test_no_command_prints_a_private_key(hushbell: Hushbell, tmp_path: Path) -> None:
    printed = "".join(hushbell("init")[1:]) + "".join(hushbell("keys", "new", "--file", "b.key")[1:])
    printed += "".join(hushbell("keys", "show", "b.key")[1:]) + "".join(hushbell("check")[1:])

    for path in (tmp_path / "b.key", tmp_path / "hushbell-data/identity.key"):
        assert path.read_text().strip() not in printed


def test_keys_show_what_is_public(hushbell: Hushbell, tmp_path: Path) -> None:
    key = tmp_path / "alice.key"
    key.write_text(ALICE + "\n")
    key.chmod(0o600)

    code, out, _ = hushbell("keys", "show", "alice.key")

    assert code == 0
    assert ALICE_COMPRESSED in out
    assert "/waku/1/0x" in out


def test_init_overwrites_neither_file(hushbell: Hushbell, tmp_path: Path) -> None:
    hushbell("init")
    before = [(tmp_path / name).read_bytes() for name in ("hushbell.toml", "hushbell-data/identity.key")]

    code, _, err = hushbell("init")
    other, _, _ = hushbell("init", "--config", "other.toml")

    assert (code, other) == (2, 2)
    assert "exists and is left as it is" in err
    assert [(tmp_path / name).read_bytes() for name in ("hushbell.toml", "hushbell-data/identity.key")] == before
    assert not (tmp_path / "other.toml").exists()


def test_a_data_folder_with_any_name_survives_init(hushbell: Hushbell) -> None:
    assert hushbell("init", "--data", 'a "b" \\ c')[0] == 0

    code, out, _ = hushbell("check")

    assert code == 0
    assert 'a "b" \\ c' in out


@pytest.mark.parametrize(
    "content,rule",
    [("beef", "must hold a private key"), ("00" * 32, "must hold a private key"), ("\xff", "must hold a private key")],
)
def test_a_bad_identity_is_named_without_its_content(
    hushbell: Hushbell, tmp_path: Path, content: str, rule: str
) -> None:
    path = tmp_path / "bad.key"
    path.write_text(content)
    path.chmod(0o600)

    code, _, err = hushbell("keys", "show", "bad.key")

    assert code == 2
    assert rule in err
    assert content not in err


def test_a_secret_that_others_may_read_is_refused(hushbell: Hushbell, tmp_path: Path) -> None:
    hushbell("init")
    (tmp_path / "hushbell-data/identity.key").chmod(0o644)

    code, _, err = hushbell("check")

    assert code == 2
    assert "chmod 600" in err


@pytest.mark.parametrize(
    "arguments,told",
    [
        (["check", "--config", "missing.toml"], "missing.toml: no such file"),
        (["check", "--config", "."], "Is a directory"),
        (["keys", "show", "missing.key"], "cannot read missing.key"),
        (["keys", "new", "--file", "no/such/folder"], "No such file"),
        (["chekc"], "No such command"),
        (["check", "--nonsense"], "No such option"),
        (["keys", "new"], "Missing option"),
    ],
)
def test_a_mistake_is_one_line_and_no_traceback(hushbell: Hushbell, arguments: list[str], told: str) -> None:
    code, out, err = hushbell(*arguments)

    assert code in (1, 2)
    assert told in err
    assert "Traceback" not in err + out


def test_check_names_file_line_and_rule(hushbell: Hushbell, tmp_path: Path) -> None:
    (tmp_path / "hushbell.toml").write_text("[server]\nworkers = 0\n")

    code, _, err = hushbell("check")

    assert (code, err) == (2, "hushbell.toml:2: server.workers: must be a whole number from 1\n")


@pytest.mark.parametrize(
    "command", [[], *([name] for name in HERE), ["keys", "new"], ["keys", "api"], ["gateway", "import"]]
)
def test_help_fits_a_screen_and_has_an_example(hushbell: Hushbell, command: list[str]) -> None:
    code, out, _ = hushbell(*command, "--help")

    assert code == 0
    assert len(out.splitlines()) <= 24
    assert "Example: " in out


def test_help_imports_no_command() -> None:
    program = (
        "import sys; from hushbell.cli import run; run(['--help']);"
        "print(*(n for n in ('cryptography', 'coincurve', 'asyncio', 'hushbell.crypto') if n in sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
    )

    assert done.stdout.splitlines()[-1] == ""
