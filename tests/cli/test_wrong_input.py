"""Mistakes of whoever types: one line that says what to do, never a traceback."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from hushbell.cli import run

Told = Callable[..., tuple[int, str]]

APP = """
[[apps]]
name = "chat"
[apps.apns]
key_file = "apple.p8"
key_id = "ABCDEFGHIJ"
team_id = "ABCDEFGHIJ"
"""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    """Run a command in an empty folder; return its exit code and what it says on standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str]:
        code = run(arguments)
        return code, capsys.readouterr().err

    return call


@pytest.fixture
def taken() -> Iterator[str]:
    """Return an address of this machine where somebody listens already."""
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        yield f"127.0.0.1:{somebody.getsockname()[1]}"


@pytest.mark.parametrize("flag", ["--http", "--grpc"])
def test_a_gateway_says_that_its_address_is_taken(tmp_path: Path, taken: str, flag: str) -> None:
    addresses = {"--http": "127.0.0.1:0", flag: taken}
    arguments = [part for pair in addresses.items() for part in pair]

    done = subprocess.run(
        [sys.executable, "-m", "hushbell.cli", "gateway", "--data", "d", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
    )

    assert done.returncode == 75
    assert done.stderr.splitlines()[-1].startswith(f"cannot listen on {taken}: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_mock_providers_say_that_their_address_is_taken(told: Told, taken: str) -> None:
    code, said = told("mock-providers", "--listen", taken, "--dir", "d")

    assert (code, said) == (75, f"cannot listen on {taken}, or for --control: Address already in use\n")


@pytest.mark.parametrize("flag", ["--http", "--grpc"])
def test_a_port_has_sixteen_bits(told: Told, flag: str) -> None:
    code, said = told("gateway", flag, "127.0.0.1:65536")

    assert code == 2
    assert said.endswith("must look like HOST:PORT\n")


@pytest.mark.parametrize("command", [["init"], ["serve"], ["node"], ["gateway"]])
def test_a_data_folder_that_is_a_file_is_named(told: Told, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "file").write_text("")

    code, said = told(*command, "--data", "file")

    assert (code, said) == (1, "file: Not a directory\n")


def test_a_file_that_cannot_be_made_is_called_by_the_name_that_was_given(told: Told) -> None:
    assert told("keys", "new", "--file", "none/b.key") == (1, "none/b.key: No such file or directory\n")


def test_check_tries_the_credentials_of_apps(told: Told, tmp_path: Path) -> None:
    (tmp_path / "hushbell.toml").write_text(APP)

    missing = told("check")
    (tmp_path / "apple.p8").write_text("no key")
    wrong = told("check")

    assert missing == (2, "app chat: apns.key_file: cannot read apple.p8: No such file or directory\n")
    assert wrong[0] == 2
    assert wrong[1].startswith("app chat: apns.key_file: not a private key in PEM")


def test_an_import_says_which_file_is_wrong_before_it_says_anything_else(told: Told, tmp_path: Path) -> None:
    (tmp_path / "five.yml").write_text("5\n")
    (tmp_path / "empty.yml").write_text("")

    wrong = told("gateway", "import", "five.yml")
    exists = told("gateway", "import", "empty.yml", "--output", "five.yml")

    assert wrong == (2, "five.yml: not a configuration of gorush: it has no sections\n")
    assert exists == (2, "five.yml exists and is left as it is\n")


def test_an_unknown_key_is_answered_with_those_beside_it(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUSHBELL_SERVER__NOTHING_LIKE_IT", "1")

    code, said = told("check")

    assert code == 2
    assert "server.nothing_like_it: unknown; known in server are data, identity_file, " in said


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()
        self.wfile.write(b"<html>\n" + b"<p>a page</p>\n" * 100)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its base calls it so
        """Say nothing."""


def test_the_page_of_a_server_that_is_no_gateway_is_cut(told: Told) -> None:
    with HTTPServer(("127.0.0.1", 0), _Page) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()

        code, said = told("push", "--ping", "--url", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        serving.join()

    assert (code, said) == (1, "the gateway refuses (404): <html>…\n")
