"""``hushbell device`` as its user meets it: real processes, a real server, a bus or libp2p between them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hushbell.crypto import hashes
from hushbell.testing.child_processes import kill_with_parent

SRC = Path(__file__).parents[2] / "src"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SRC), "HUSHBELL_SERVER__QUERY_KEYS_PER_SECOND": "1000"}
PATIENCE = 60


@dataclass
class Shell:
    """Runs commands in a folder of its own."""

    folder: Path

    def run(self, *arguments: str, code: int = 0, typed: str = "") -> list[dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, "-m", "hushbell.cli", *arguments],
            cwd=self.folder,
            env=ENVIRONMENT,
            input=typed,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        self.errors = done.stderr
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def started(tmp_path: Path, *arguments: str) -> "tuple[subprocess.Popen[str], dict[str, Any]]":
    process = subprocess.Popen(
        [sys.executable, "-m", "hushbell.cli", *arguments],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    kill_with_parent(process.pid)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def stopped(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


@pytest.fixture(params=["bus", "libp2p"])
def network(request: Any, tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """Return a server's public key, and the options that lead a phone to it."""
    how = ["--bus", "bus.sock"] if request.param == "bus" else ["--listen", "/ip4/127.0.0.1/tcp/0"]
    process, facts = started(tmp_path, "serve", "--data", "server", "--gateway", "http://127.0.0.1:9", *how)
    there = ["--bus", "bus.sock"] if request.param == "bus" else ["--peer", facts["addresses"][0]]
    yield facts["identity"], there
    stopped(process)


def test_a_phone_registers_and_another_rings_it(shell: Shell, network: tuple[str, list[str]]) -> None:
    server, there = network
    bob = ["device", "--data", "bob", *there]

    (registered,) = shell.run(*bob, "register", server)
    (status,) = shell.run(*bob, "status")
    (rung,) = shell.run("device", "--data", "alice", *there, "ring", status["identity"], "--text", "Hello")

    assert registered["servers"] == {server: "registered"} == status["servers"]
    assert [one["result"] for one in rung["rings"]] == ["accepted"]


@pytest.mark.slow
def test_options_change_who_may_ring(shell: Shell, tmp_path: Path) -> None:
    process, facts = started(tmp_path, "serve", "--data", "s", "--bus", "bus.sock", "--gateway", "http://127.0.0.1:9")
    there = ["--bus", "bus.sock", "--patience", "20"]
    shell.run("device", "--data", "bob", *there, "register", facts["identity"])
    (alice,) = shell.run("device", "--data", "alice", "status")
    (bob,) = shell.run("device", "--data", "bob", "status")

    shell.run("device", "--data", "bob", *there, "options", "--contacts-only", "--contact", alice["identity"])
    (rung,) = shell.run("device", "--data", "alice", *there, "ring", bob["identity"])
    impatient = ["--bus", "bus.sock", "--patience", "2"]
    (refused,) = shell.run("device", "--data", "mallory", *impatient, "ring", bob["identity"], code=1)
    (left,) = shell.run("device", "--data", "bob", *there, "unregister")

    assert [one["result"] for one in rung["rings"]] == ["accepted"]
    assert refused["rings"] == []
    assert left["servers"] == {facts["identity"]: "gone"}
    stopped(process)


def test_pushes_are_shown_counted_and_remembered(shell: Shell) -> None:
    (bob,) = shell.run("device", "status")
    owner = hashes.hash_public_key(bytes.fromhex(bob["identity"]))  # type: ignore[arg-type]
    data = {"publicKey": "0x" + owner.hex(), "chatId": "0x" + "11" * 64, "encryptedMessage": "0x"}

    shown, fetch, unread = shell.run("device", "receive", typed=json.dumps(data) + "\n[]\n")

    assert (shown["event"], fetch["event"], unread) == ("show", "fetch", {"unread": 1})
    assert shell.run("device", "status")[0]["unread"] == 1


def test_many_phones_register_and_ring_with_progress(shell: Shell, tmp_path: Path) -> None:
    process, facts = started(tmp_path, "serve", "--data", "s", "--bus", "bus.sock", "--gateway", "http://127.0.0.1:9")

    shell.run("device", "--bus", "bus.sock", "--count", "20", "--server", facts["identity"])

    assert "20 of 20 registered" in shell.errors
    assert "20 of 20 rung" in shell.errors
    stopped(process)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["register", "04"], "public key"),
        (["register", "04" + "11" * 64], "public key"),
        (["--bus", "b", "--peer", "/ip4/127.0.0.1/tcp/1", "status"], "give one"),
        (["--count", "5"], "--server"),
        (["ring", "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"], "public key"),
        (["ring", "02" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"], "--peer"),
        (["ring", "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", "--message-id", "5"], "64 hex"),
    ],
)
def test_a_mistake_is_reported_in_one_line(shell: Shell, arguments: list[str], words: str) -> None:
    shell.run("device", *arguments, code=2)

    assert words in shell.errors
    assert len(shell.errors.splitlines()) == 1


def test_without_a_subcommand_it_says_what_it_can_do() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hushbell.cli", "device"], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )

    assert "register" in done.stdout
    assert len(done.stdout.splitlines()) <= 40
