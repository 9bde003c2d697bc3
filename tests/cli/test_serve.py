"""``hushbell serve`` as an operator meets it: a real process, a real socket, real signals."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 20
Serve = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def serve(run: Callable[..., "subprocess.Popen[str]"]) -> Serve:
    """Return a function that starts a server in the temporary folder."""
    return partial(run, "serve")


def ready(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    value: dict[str, Any] = json.loads(process.stdout.readline())
    return value


def refused(process: "subprocess.Popen[str]") -> str:
    """Return what a server that does not start says."""
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert output == ""
    assert "Traceback" not in errors
    return errors


def test_a_server_says_when_it_is_ready_and_stops_on_sigterm(serve: Serve, tmp_path: Path) -> None:
    process = serve("--data", "d", "--bus", "bus.sock", "--gateway", "http://127.0.0.1:9")

    line = ready(process)

    assert line["ready"] is True
    assert len(line["identity"]) == 130
    assert line["bus"] == "bus.sock"
    assert (tmp_path / "bus.sock").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "d").iterdir() if path.stat().st_mode & 0o077] == []
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


def test_a_server_keeps_its_identity_over_restarts(serve: Serve) -> None:
    identities = []
    for _ in range(2):
        process = serve("--data", "d", "--bus", "bus.sock")
        identities.append(ready(process)["identity"])
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0

    assert identities[0] == identities[1]


def test_a_server_with_workers_answers_signals_too(serve: Serve) -> None:
    process = serve("--data", "d", "--bus", "bus.sock", environment={"HUSHBELL_SERVER__WORKERS": "2"})
    ready(process)

    os.kill(process.pid, signal.SIGTERM)

    assert process.wait(PATIENCE) == 0


def test_a_second_server_on_the_same_data_is_refused(serve: Serve) -> None:
    first = serve("--data", "d", "--bus", "a.sock")
    ready(first)

    errors = refused(serve("--data", "d", "--bus", "b.sock"))

    assert "another hushbell is using" in errors


def test_data_of_another_identity_is_refused_with_a_reason(serve: Serve, tmp_path: Path) -> None:
    process = serve("--data", "d", "--bus", "bus.sock")
    ready(process)
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE)
    other = tmp_path / "other.key"
    other.write_text("11" * 32)
    other.chmod(0o600)

    stranger = serve("--data", "d", "--bus", "bus.sock", "--identity", "other.key")

    _, errors = stranger.communicate(timeout=PATIENCE)
    assert stranger.returncode == 1
    assert "identity" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    "arguments, says",
    [
        pytest.param(["--bus", "b.sock", "--listen", "/ip4/127.0.0.1/tcp/0"], "node.listen", id="bus and node"),
        pytest.param(["--bus", "b.sock", "--peer", "/ip4/127.0.0.1/tcp/1"], "node.peers", id="bus and peers"),
        pytest.param(["--listen", "127.0.0.1:60000"], "node.listen", id="no multiaddr"),
        pytest.param(["--config", "no.toml"], "no.toml", id="no such configuration"),
        pytest.param(["--bus", "b.sock", "--identity", "none.key"], "server.identity_file", id="no such identity"),
        pytest.param(["--bus", "b.sock", "--gateway", "ftp://x"], "gateway.gorush.url", id="no such scheme"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(serve: Serve, arguments: list[str], says: str) -> None:
    assert says in refused(serve("--data", "d", *arguments))


def test_systemd_is_told_when_the_server_is_ready(serve: Serve, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE)

        process = serve("--data", "d", "--bus", "bus.sock", environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        ready(process)

        assert systemd.recv(100) == b"READY=1"
