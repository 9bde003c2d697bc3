"""Apps of the configuration, as serve and gateway open them."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from tests.cli.test_gateway import ENVIRONMENT

from hushbell.testing.child_processes import kill_with_parent
from hushbell.testing.mock.server import MockProviders

EXAMPLE = Path(__file__).parents[2] / "examples" / "provider"
PATIENCE = 60  # seconds; machines are busy


@pytest.fixture
async def mock() -> AsyncIterator[MockProviders]:
    async with MockProviders() as mock:
        yield mock


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The example of a provider beside hushbell, as pip leaves it."""
    site = tmp_path / "site"
    info = site / "hushbell_webhook-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hushbell-webhook\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hushbell.providers]\nwebhook = hushbell_webhook:WebhookProvider\n")
    (site / "hushbell_webhook.py").write_bytes((EXAMPLE / "hushbell_webhook.py").read_bytes())
    return {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join((ENVIRONMENT["PYTHONPATH"], str(site)))}


@pytest.fixture
def config(tmp_path: Path, mock: MockProviders) -> Path:
    (tmp_path / "key").write_text("sesame\n")
    (tmp_path / "webhook.toml").write_text(f"""
url = "https://localhost/hook"
key_file = "{tmp_path / "key"}"
connect = "{mock.address}"
ca_file = "{mock.ca_file}"
""")
    config = tmp_path / "hushbell.toml"
    config.write_text(f"""
[server]
app = "chat"
[[apps]]
name = "chat"
[[apps.other]]
provider = "webhook"
file = "{tmp_path / "webhook.toml"}"
""")
    return config


async def command(environment: dict[str, str], *arguments: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hushbell.cli", *arguments), env=environment, stdout=asyncio.subprocess.PIPE
    )
    kill_with_parent(process.pid)
    return process


@asynccontextmanager
async def running(environment: dict[str, str], *arguments: str) -> AsyncIterator[dict[str, Any]]:
    """Run a program; yield its ready line, and stop it."""
    process = await command(environment, *arguments)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            yield json.loads(await process.stdout.readline())
            process.terminate()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_gateway_delivers_through_a_provider_of_an_installed_package(
    config: Path, environment: dict[str, str], mock: MockProviders, tmp_path: Path
) -> None:
    note = {"provider": "webhook", "tokens": ["alice"], "payload": {"text": "hi"}}
    body = json.dumps({"app": "chat", "notifications": [note]}).encode()

    async with running(
        environment, "gateway", "--config", str(config), "--data", str(tmp_path / "data"), "--http", "127.0.0.1:0"
    ) as ready:
        request = Request(ready["http"] + "/v1/notifications", body, {"Content-Type": "application/json"})
        await asyncio.to_thread(urlopen, request, timeout=PATIENCE)
        await mock.wait_for(1, "webhook", patience=PATIENCE)

    (push,) = mock.requests
    assert push.request.headers["authorization"] == "Bearer sesame"
    assert (push.json["to"], push.json["message"]) == ("alice", {"text": "hi"})


@pytest.mark.slow
async def test_the_push_server_delivers_through_a_provider_of_an_installed_package(
    config: Path, environment: dict[str, str], mock: MockProviders, tmp_path: Path
) -> None:
    bus = ("--bus", str(tmp_path / "bus.sock"))

    async def device(name: str, *arguments: str) -> dict[str, Any]:
        process = await command(environment, "device", "--data", str(tmp_path / name), *bus, *arguments)
        out, _ = await process.communicate()
        assert process.returncode == 0
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found

    async with running(environment, "serve", "--config", str(config), "--data", str(tmp_path / "data"), *bus) as ready:
        await device("bob", "register", ready["identity"])
        bob = await device("bob", "status")
        rung = await device("alice", "ring", bob["identity"], "--text", "Hello")
        await mock.wait_for(1, "webhook", patience=PATIENCE)

    assert [one["result"] for one in rung["rings"]] == ["accepted"]
    (push,) = mock.requests
    assert push.json["to"]
    assert push.json["message"]
