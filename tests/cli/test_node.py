"""``hushbell node``, and the node within ``hushbell serve``, as an operator meets them."""

import json
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hushbell import cli

PATIENCE = 20
Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that runs a command in this process and returns what it complains about."""

    def complaint(*arguments: str, environment: dict[str, str]) -> str:
        monkeypatch.chdir(tmp_path)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert cli.run(arguments) == 2
        output, errors = capsys.readouterr()
        assert output == ""
        return errors

    return complaint


def ready(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    value: dict[str, Any] = json.loads(line)
    return value


def test_a_node_needs_no_file_and_names_where_it_listens(run: Run, tmp_path: Path) -> None:
    process = run("node", "--data", "d", "--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/tcp/0/ws")

    line = ready(process)

    plain, websocket = line["addresses"]
    assert set(line) == {"ready", "addresses"}
    assert plain.startswith("/ip4/127.0.0.1/tcp/")
    assert "/ws/p2p/16Uiu2" in websocket
    assert "/tcp/0/" not in plain + websocket
    assert (tmp_path / "d" / "node.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "d").iterdir() if path.stat().st_mode & 0o077] == []
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


def test_a_node_keeps_its_name_over_restarts(run: Run) -> None:
    names = []
    for _ in range(2):
        process = run("node", "--data", "d")
        names.append(ready(process)["addresses"][0].rsplit("/", 1)[1])
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0

    assert names[0] == names[1]


def test_a_server_contains_a_node(run: Run, tmp_path: Path) -> None:
    node = run("node", "--data", "n")
    address = ready(node)["addresses"][0]

    server = run("serve", "--data", "s", "--peer", address, "--listen", "/ip4/127.0.0.1/tcp/0")

    line = ready(server)
    assert len(line["identity"]) == 130
    assert len(line["addresses"]) == 1
    assert "bus" not in line
    assert [path.name for path in (tmp_path / "s").iterdir() if path.stat().st_mode & 0o077] == []
    server.send_signal(signal.SIGTERM)
    assert server.wait(PATIENCE) == 0


def test_two_nodes_on_the_same_data_are_refused(run: Run) -> None:
    ready(run("node", "--data", "d"))

    second = run("node", "--data", "d")

    _, errors = second.communicate(timeout=PATIENCE)
    assert second.returncode == 2
    assert "another hushbell is using" in errors


@pytest.mark.parametrize("command", ["node", "serve"])
def test_a_port_that_is_taken_is_reported_in_one_line_and_may_be_free_later(run: Run, command: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        address = f"/ip4/127.0.0.1/tcp/{taken.getsockname()[1]}"
        process = run(command, "--data", "d", "--listen", address)

        output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 75
    assert output == ""
    assert "Traceback" not in errors
    assert address in errors


@pytest.mark.parametrize(
    "arguments, environment, says",
    [
        pytest.param(["--listen", "/ip4/1.2.3.4/udp/1"], {}, "node.listen", id="not TCP"),
        pytest.param(["--peer", "/ip4/1.2.3.4.5/tcp/1"], {}, "node.peers", id="no address"),
        pytest.param(["--peer", "/ip4/1.2.3.4/tcp/1/p2p/1"], {}, "node.peers", id="no peer"),
        pytest.param([], {"HUSHBELL_NODE__SHARDS": "[]"}, "node.shards", id="no shard"),
        pytest.param([], {"HUSHBELL_NODE__DNS_LISTS": '["example.org"]'}, "node.dns_lists", id="no list"),
        pytest.param([], {"HUSHBELL_NODE__REST": "http://127.0.0.1:8645"}, "node.rest", id="another's node"),
        pytest.param([], {"HUSHBELL_NODE__LISTEN": '["/ip4/127.0.0.1/tcp/0/wss"]'}, "certificate", id="no certificate"),
        pytest.param([], {"HUSHBELL_NODE__IDENTITY_FILE": "none.key"}, "node.identity_file", id="no key"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    refused: Callable[..., str], arguments: list[str], environment: dict[str, str], says: str
) -> None:
    assert says in refused("node", "--data", "d", *arguments, environment=environment)


def test_a_server_of_another_cluster_than_its_node_is_refused(refused: Callable[..., str]) -> None:
    assert "server.pubsub_topics" in refused("serve", "--data", "d", environment={"HUSHBELL_NODE__CLUSTER": "99"})


def test_check_says_what_the_node_would_do(run: Run) -> None:
    process = run("check", "--data", "d", environment={"HUSHBELL_NODE__STORE": "false"})

    output, errors = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, errors
    assert "cluster 16, serving relay, filter, lightpush\n" in output
    assert "listens at" in output
