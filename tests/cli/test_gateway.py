"""``hushbell gateway`` as an operator meets it: a process, real sockets, stand-ins for the providers."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.request import Request, urlopen

import pytest

import hushbell
from hushbell.cli import run
from hushbell.testing.child_processes import kill_with_parent
from hushbell.testing.mock.server import MockProviders

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(hushbell.__file__).parents[1])}


class Process:
    def __init__(self, process: asyncio.subprocess.Process, ready: dict[str, Any]) -> None:
        self.process = process
        self.url = ready["http"]
        self.ready = ready

    async def push(self, *tokens: str, platform: int = 1, text: str = "hello") -> dict[str, Any]:
        body = {"notifications": [{"platform": platform, "tokens": tokens, "message": text, "topic": "im.example"}]}
        if platform == 2:
            del body["notifications"][0]["topic"]
        return await asyncio.to_thread(self._post, json.dumps(body).encode())

    def _post(self, body: bytes) -> dict[str, Any]:
        with urlopen(Request(self.url + "/api/push", body, method="POST"), timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    async def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        async with asyncio.timeout(10):
            return await self.process.wait()


def configuration(folder: Path, mock: MockProviders) -> Path:
    told = mock.ready()
    path = folder / "hushbell.toml"
    path.write_text(f"""
[[apps]]
name = "chat"
[apps.apns]
key_file = "{told["apns"]["key_file"]}"
key_id = "{told["apns"]["key_id"]}"
team_id = "{told["apns"]["team_id"]}"
connect = "{told["connect"]}"
ca_file = "{told["ca_file"]}"
[apps.fcm]
credentials_file = "{told["fcm"]["credentials_file"]}"
connect = "{told["connect"]}"
ca_file = "{told["ca_file"]}"
""")
    return path


@asynccontextmanager
async def running(config: Path, data: Path, stderr: BinaryIO | None = None) -> AsyncIterator[Process]:
    command = [sys.executable, "-m", "hushbell.cli", "gateway", "--config", str(config), "--data", str(data)]
    process = await asyncio.create_subprocess_exec(
        *command, "--http", "127.0.0.1:0", env=ENVIRONMENT, stdout=asyncio.subprocess.PIPE, stderr=stderr
    )
    kill_with_parent(process.pid)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            yield Process(process, json.loads(await process.stdout.readline()))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def arrived(mock: MockProviders, count: int) -> list[Any]:
    async with asyncio.timeout(10):
        while len([one for one in mock.log if one["provider"] != "oauth"]) < count:  # noqa: ASYNC110  another process tells us nothing
            await asyncio.sleep(0.01)
    return list(mock.log)


async def test_pushes_reach_apple_and_google_and_a_stop_is_graceful(tmp_path: Path) -> None:
    async with MockProviders() as mock, running(configuration(tmp_path, mock), tmp_path / "data") as gateway:
        # gorush counts a topic, though Apple's is no target.
        assert await gateway.push("ab" * 32) == {"success": "ok", "counts": 2, "logs": []}
        assert (await gateway.push("android-1", "android-2", platform=2))["counts"] == 2
        log = await arrived(mock, 3)

        status = await gateway.stop()

    assert status == 0
    assert {one["token"] for one in log} >= {"ab" * 32, "android-1", "android-2"}


async def test_what_was_accepted_while_apple_was_down_goes_out_after_a_restart(tmp_path: Path) -> None:
    async with MockProviders() as mock:
        config, data = configuration(tmp_path, mock), tmp_path / "data"
        mock.rule({"reply": {"status": 503, "reason": "ServiceUnavailable"}})
        async with running(config, data) as gateway:
            for number in range(20):
                await gateway.push(f"{number:064x}")
            await gateway.stop(signal.SIGKILL)
        mock.clear()
        mock.rule()

        async with running(config, data):
            log = await arrived(mock, 20)

    assert {one["token"] for one in log} == {f"{number:064x}" for number in range(20)}


def test_a_gateway_open_to_others_needs_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "hushbell.toml"
    config.write_text("[[apps]]\nname = 'chat'\n")

    assert run(["gateway", "--config", str(config), "--data", str(tmp_path), "--http", "0.0.0.0:0"]) == 2
    assert "0.0.0.0:0 is open to others: add [[keys]]" in capsys.readouterr().err


def test_a_credential_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "hushbell.toml"
    config.write_text("[[apps]]\nname = 'chat'\n[apps.fcm]\ncredentials_file = 'missing.json'\n")

    assert run(["gateway", "--config", str(config), "--data", str(tmp_path)]) == 2
    assert "app chat: fcm.credentials_file" in capsys.readouterr().err
