"""``hushbell store damaged`` as an operator meets it, with the gateway whose rows were damaged."""

import asyncio
import json
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_gateway import ENVIRONMENT, arrived, configuration, running

from hushbell.cli import run
from hushbell.testing.child_processes import kill_with_parent
from hushbell.testing.mock.server import MockProviders

PUSHES = 100


async def damaged(data: Path, *options: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hushbell.cli", "store", "damaged", "--data", str(data), *options),
        env=ENVIRONMENT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    kill_with_parent(process.pid)
    out, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


def cpu_ticks(process: int) -> int:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.slow
async def test_with_one_of_100_rows_zeroed_99_pushes_leave_and_one_is_listed(tmp_path: Path) -> None:
    data, log = tmp_path / "data", tmp_path / "log"
    async with MockProviders() as mock:
        config = configuration(tmp_path, mock)
        mock.rule({"reply": {"status": 503, "reason": "ServiceUnavailable"}})
        async with running(config, data) as gateway:
            for number in range(PUSHES):
                await gateway.push(f"{number:064x}")
            await gateway.stop(signal.SIGKILL)
        database = sqlite3.connect(data / "gateway" / "gateway.db")
        rows = database.execute("SELECT number FROM jobs ORDER BY number").fetchall()
        assert len(rows) == PUSHES
        (number,) = rows[41]
        database.execute("UPDATE jobs SET sealed = zeroblob(length(sealed)) WHERE number = ?", (number,))
        database.commit()
        database.close()
        mock.clear()
        mock.rule()

        with log.open("wb") as errors:
            async with running(config, data, stderr=errors) as gateway:
                await arrived(mock, PUSHES - 1)
                await asyncio.sleep(0.3)
                status, _, refusal = await damaged(data)
                assert status == 2
                assert "stop it first" in refusal
                before = cpu_ticks(gateway.process.pid)
                await asyncio.sleep(1)
                assert cpu_ticks(gateway.process.pid) - before <= 5, "idle, not in a loop"
                assert await gateway.stop() == 0

    tokens = {one["token"] for one in mock.log if one["provider"] != "oauth"}
    assert tokens == {f"{number:064x}" for number in range(PUSHES) if number != 41}
    lines = [line for line in log.read_text().splitlines() if "damaged" in line]
    assert len(lines) == 1
    assert str(number) in lines[0]
    assert "chat" in lines[0]

    status, out, _ = await damaged(data, "--json")
    (row,) = json.loads(out)
    assert status == 0
    assert (row["id"], row["table"], row["number"], row["app"]) == ("gateway-1", "jobs", number, "chat")
    status, out, _ = await damaged(data)
    assert out.splitlines()[1].split()[:4] == ["gateway-1", "jobs", str(number), "chat"]
    assert (await damaged(data, "--release", "gateway-1"))[:2] == (0, "released gateway-1\n")
    assert (await damaged(data))[1] == "no damaged rows\n"
    assert (await damaged(data, "--discard", "gateway-1"))[0] == 1


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        (["--release", "nothing"], 2, "no damaged row has this id"),
        (["--discard", "serve-1"], 2, "no damaged row has this id"),
        (["--release", "gateway-1", "--discard", "gateway-1"], 2, "exclude each other"),
    ],
)
def test_a_wrong_id_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[Any], arguments: list[str], status: int, words: str
) -> None:
    assert run(["store", "damaged", "--data", str(tmp_path), *arguments]) == status
    assert words in capsys.readouterr().err


def test_a_store_in_memory_has_no_damaged_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUSHBELL_STORE__URL", "memory")

    assert run(["store", "damaged", "--data", str(tmp_path)]) == 2

    assert "store.url" in capsys.readouterr().err
