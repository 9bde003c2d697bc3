"""Databases as their operator meets them: damaged rows and earlier versions, with the real programs and commands."""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_gateway import ENVIRONMENT, configuration
from tests.cli.test_gateway import running as running_gateway
from tests.stores.fixtures import Made
from tests.stores.test_dumps import KEY, restore

from hushbell.cli import run
from hushbell.core.delivery.changes import Changes
from hushbell.core.delivery.job import Job
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.server.facts import SaveRegistration
from hushbell.core.server.push_body import FORM, PushBody, encode_push_body
from hushbell.ports.outbox import committed
from hushbell.runtime.clock import SystemClock
from hushbell.stores.at_rest import AtRest
from hushbell.stores.sqlite.outbox_rows import pack_job, row_name, unpack_job
from hushbell.stores.sqlite.server import SqliteServerStore
from hushbell.testing.child_processes import kill_with_parent
from hushbell.testing.mock.server import MockProviders
from hushbell.types import DeviceKey, InstallationId, KeyHash, Millis, NotificationType, SymmetricKey

PUSHES = 100
ZEROED = 41
PATIENCE = 60  # seconds; machines are busy
SLEEP = 2.0  # seconds over which a program is watched
MAX_TICKS = 6  # of CPU meanwhile, of 10 ms each: 3 %
DAY = 86_400_000


@dataclass
class Program:
    """``serve`` or ``gateway``, where its database lies, and a configuration whose providers are mocks."""

    name: str
    config: Path
    data: Path
    bus: Path

    @property
    def database(self) -> Path:
        return self.data / ("hushbell.db" if self.name == "serve" else "gateway/gateway.db")

    @property
    def key_file(self) -> Path:
        return self.database.with_name("at-rest.key")

    def execute(self, sql: str, *values: object) -> int:
        """Change the database as an operator's shell would; return the number of changed rows."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            return connection.execute(sql, values).rowcount

    def rows(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(sql).fetchall()

    @asynccontextmanager
    async def running(self, *options: str, log: Path | None = None) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run the program; a clean end stops it, and it must stop cleanly."""
        where = ("--bus", str(self.bus)) if self.name == "serve" else ("--http", "127.0.0.1:0")
        process = await self.start(self.name, "--config", str(self.config), *where, *options, log=log)
        try:
            assert process.stdout is not None
            async with asyncio.timeout(PATIENCE):
                line = await process.stdout.readline()
            assert json.loads(line or b"{}").get("ready"), "it did not start"
            yield process
            process.terminate()
            async with asyncio.timeout(PATIENCE):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def damaged(self, *options: str) -> tuple[int, str, str]:
        """Return status, output and errors of ``hushbell store damaged``."""
        process = await self.start("store", "damaged", *options)
        out, errors = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), errors.decode()

    async def start(self, *arguments: str, log: Path | None = None) -> asyncio.subprocess.Process:
        with open(log or os.devnull, "ab") as file:  # noqa: ASYNC230, PTH123  a file that is there
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "hushbell.cli", *arguments, "--data", str(self.data)),
                env=ENVIRONMENT,
                stdout=asyncio.subprocess.PIPE,
                stderr=file if log else asyncio.subprocess.PIPE,
            )
        kill_with_parent(process.pid)
        return process

    async def store_pushes(self, mock: MockProviders, pushes: Sequence[tuple[str, str]]) -> None:
        """Leave pushes, each a token and a text, that were accepted and are still owed."""
        if self.name == "gateway":
            mock.rule({"reply": {"status": 503, "reason": "ServiceUnavailable"}})
            async with running_gateway(self.config, self.data) as gateway:
                for token, text in pushes:
                    await gateway.push(token, text=text)
                await gateway.stop(signal.SIGKILL)
            mock.clear()
            mock.rule()
            return
        self.data.mkdir(mode=0o700)
        store = SqliteServerStore.open(self.database, self.key_file, random=os.urandom)
        now = SystemClock().now()
        device = DeviceKey(KeyHash(bytes(64)), InstallationId("phone"))
        jobs = []
        for token, text in pushes:
            number, (ident,) = store.outbox.reserve(1)
            body = PushBody(device, 1, "", NotificationType.MESSAGE, b"chat", text.encode(), now)
            message = Message("apns", encode_push_body(body), form=FORM)
            note = Notification(ident, "server", "token", (token,), message, Millis(now + DAY))
            jobs.append(Job(number, "server", now, (note,)))
        await committed(store.outbox, Changes(jobs=jobs))
        await store.close()


@pytest.fixture(params=["serve", "gateway"])
async def program(tmp_path: Path, mock: MockProviders, request: pytest.FixtureRequest) -> Program:
    config = configuration(tmp_path, mock)
    gorush = f'\n[gateway.gorush]\nurl = "{mock.plain_url}"\n'
    config.write_text(config.read_text() + gorush)
    return Program(request.param, config, tmp_path / "data", tmp_path / "bus.sock")


@pytest.fixture
async def mock() -> AsyncIterator[MockProviders]:
    async with MockProviders() as mock:
        yield mock


async def delivered(mock: MockProviders, count: int) -> list[str]:
    """Wait for that many pushes; return the tokens of all requests in their order."""
    async with asyncio.timeout(PATIENCE):
        while len(found := tokens_of(mock)) < count:  # noqa: ASYNC110  another process sends them
            await asyncio.sleep(0.01)
    return found


def tokens_of(mock: MockProviders) -> list[str]:
    pushes = [one.push for one in mock.requests if one.push.provider != "oauth"]
    return [token for push in pushes for token in (push.tokens or (push.token,))]


def cpu_ticks(process: asyncio.subprocess.Process) -> int:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def lines_with(word: str, log: Path) -> Sequence[str]:
    return [line for line in log.read_text().splitlines() if word in line]


@pytest.mark.slow
async def test_with_one_of_100_rows_zeroed_99_pushes_leave_and_one_is_listed(
    program: Program, mock: MockProviders, tmp_path: Path
) -> None:
    tokens = [f"{number:064x}" for number in range(PUSHES)]
    await program.store_pushes(mock, [(token, "hello") for token in tokens])
    numbers = [number for (number,) in program.rows("SELECT number FROM jobs ORDER BY number")]
    assert len(numbers) == PUSHES
    damage = "UPDATE jobs SET sealed = zeroblob(length(sealed)) WHERE number = ?"
    assert program.execute(damage, numbers[ZEROED]) == 1

    async with program.running(log=tmp_path / "log") as process:
        await delivered(mock, PUSHES - 1)
        await asyncio.sleep(0.3)
        assert "stop it first" in (await program.damaged())[2]
        before = cpu_ticks(process)
        await asyncio.sleep(SLEEP)
        assert cpu_ticks(process) - before <= MAX_TICKS, "idle, not in a loop"

    assert sorted(tokens_of(mock)) == [token for token in tokens if token != tokens[ZEROED]]
    (line,) = lines_with("damaged", tmp_path / "log")
    app = "server" if program.name == "serve" else "chat"
    assert str(numbers[ZEROED]) in line
    assert app in line

    row = f"{program.name}-1"
    (listed,) = json.loads((await program.damaged("--json"))[1])
    assert (listed["id"], listed["table"], listed["number"], listed["app"]) == (row, "jobs", numbers[ZEROED], app)
    assert (await program.damaged())[1].splitlines()[1].split()[:4] == [row, "jobs", str(numbers[ZEROED]), app]

    # A released row that fails again returns.
    assert (await program.damaged("--release", row))[:2] == (0, f"released {row}\n")
    assert (await program.damaged())[1] == "no damaged rows\n"
    async with program.running(log=tmp_path / "second"):
        async with asyncio.timeout(PATIENCE):
            while not lines_with("damaged", tmp_path / "second"):  # noqa: ASYNC110  another process writes them
                await asyncio.sleep(0.05)
    assert len(lines_with("damaged", tmp_path / "second")) == 1
    (listed,) = json.loads((await program.damaged("--json"))[1])
    assert listed["number"] == numbers[ZEROED]

    # What is discarded, or was kept for long enough, is gone.
    assert (await program.damaged("--discard", listed["id"]))[:2] == (0, f"discarded {listed['id']}\n")
    assert (await program.damaged("--discard", listed["id"]))[0] == 1
    program.execute("INSERT INTO quarantined (source, at, why, packed) VALUES ('jobs', 0, '', X'80')")
    async with program.running():
        await asyncio.sleep(0.3)
    assert (await program.damaged())[1] == "no damaged rows\n"
    assert len(tokens_of(mock)) == PUSHES - 1


@pytest.mark.slow
async def test_pushes_to_one_token_keep_their_order_across_a_retry(program: Program, mock: MockProviders) -> None:
    token = "ab" * 32
    await program.store_pushes(mock, [(token, "first"), (token, "second")])
    mock.rule({"reply": {"status": 503, "reason": "ServiceUnavailable"}, "times": 1})

    async with program.running():
        await delivered(mock, 3)

    assert tokens_of(mock) == [token] * 3
    texts = [text.hex() if program.name == "serve" else text.decode() for text in (b"first", b"first", b"second")]
    pushes = [one.request.body.decode() for one in mock.requests if one.push.provider != "oauth"]
    assert [text in push for text, push in zip(texts, pushes, strict=True)] == [True] * 3


def in_version_1(program: Program) -> None:
    """Restore a database of version 1 as it would be if its pushes were accepted today."""
    program.database.parent.mkdir(mode=0o700, parents=True)
    program.data.chmod(0o700)
    restore("server-v1.sql" if program.name == "serve" else "outbox-v1.sql", program.database, program.key_file)
    now = SystemClock().now()
    if program.name == "serve":
        program.execute("UPDATE outbox SET expires_at = ?", now + DAY)
        program.execute("UPDATE settled SET day = ?", now // DAY)
        return
    at_rest = AtRest(SymmetricKey(KEY), random=os.urandom)
    for number, sealed in program.rows("SELECT number, sealed FROM jobs"):
        job = unpack_job(number, at_rest.open("jobs", row_name(number), sealed), [bytes(16)] * 9)
        notes = tuple(note._replace(expires_at=Millis(now + DAY)) for note in job.notifications)
        packed = pack_job(Job(number, job.app, now, notes))
        program.execute(
            "UPDATE jobs SET sealed = ? WHERE number = ?", at_rest.seal("jobs", row_name(number), packed), number
        )
    program.execute("UPDATE ended SET day = ?", now // DAY)


@pytest.mark.slow
async def test_a_database_of_version_1_is_migrated_and_its_pushes_leave(
    program: Program, mock: MockProviders, tmp_path: Path
) -> None:
    in_version_1(program)
    identity = tmp_path / "identity.key"
    identity.touch(0o600)
    identity.write_text((b"i" * 32).hex())

    async with program.running(*(["--identity", str(identity)] if program.name == "serve" else [])):
        await delivered(mock, 5)
        await asyncio.sleep(0.3)

    if program.name == "serve":
        assert tokens_of(mock) == ["secret-device-token"] * 5
        assert [state for (state,) in program.rows("SELECT state FROM settled ORDER BY place")] == [
            *("delivered", "dropped", "failed", "expired")
        ]
    assert program.rows("SELECT count(*) FROM jobs") == [(0,)]
    copy = program.database.with_name(program.database.name + ".v1")
    with closing(sqlite3.connect(copy)) as old:
        assert old.execute("PRAGMA user_version").fetchone() == (1,)


async def test_a_newer_programs_database_is_refused_with_both_versions(program: Program) -> None:
    in_version_1(program)
    program.execute("PRAGMA user_version = 3")

    process = await program.start(program.name, "--config", str(program.config))
    _, errors = await process.communicate()

    assert process.returncode == 1
    assert "schema version 3, this hushbell knows up to 2" in errors.decode()
    assert not list(program.database.parent.glob("*.v*"))


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


def test_a_damaged_registration_is_listed_until_its_device_registers_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[Any]
) -> None:
    made, program = Made(), Program("serve", tmp_path / "none", tmp_path / "data", tmp_path / "bus.sock")

    async def save(*writes: SaveRegistration) -> None:
        store = SqliteServerStore.open(program.database, program.key_file, random=os.urandom)
        await store.commit(writes)
        await store.close()

    def listed() -> list[dict[str, Any]]:
        assert run(["store", "damaged", "--data", str(program.data), "--json"]) == 0
        found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
        return found

    asyncio.run(save(*(made.save(made.device(number)) for number in (1, 2, 3))))
    assert not listed()
    program.execute("UPDATE registrations SET sealed = zeroblob(99) WHERE owner = ?", made.key_hash(2))

    (row,) = listed()
    assert row == {"id": None, "table": "registrations", "number": None, "app": "server", "at": None} | {
        "why": "a row of registrations does not decrypt"
    }
    assert run(["store", "damaged", "--data", str(program.data)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:5] == ["-", "registrations", "-", "server", "-"]

    asyncio.run(save(made.save(made.device(2), 2, replaces=1)))
    assert not listed()


def test_a_store_in_memory_has_no_damaged_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUSHBELL_STORE__URL", "memory")

    assert run(["store", "damaged", "--data", str(tmp_path)]) == 2

    assert "store.url" in capsys.readouterr().err
