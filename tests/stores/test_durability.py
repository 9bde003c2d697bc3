"""
Nothing that was acknowledged is lost: not by kill -9, and not by a power cut.

The power cut is played back from the system calls of a real process: what a file holds after the cut is what had
been synced before an acknowledgement was written, and besides that any part of what had not.
"""

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import hushbell
from hushbell.core.delivery.job import JobOnDisk, JobResult
from hushbell.core.server.facts import FactsNeeded
from hushbell.stores.sqlite.outbox import SqliteOutbox
from hushbell.stores.sqlite.server import SqliteServerStore
from hushbell.testing.child_processes import kill_with_parent
from hushbell.types import MessageId, NotificationKey

WRITER = Path(__file__).parent / "writes_forever.py"
QUEUE_WRITER = Path(__file__).parent / "outbox_writes_forever.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(hushbell.__file__).parents[1])}
CALLS = "openat,write,pwrite64,ftruncate,fsync,fdatasync,link,linkat,rename,renameat,renameat2,unlink,unlinkat,close"
needs_strace = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("strace") is None,
    reason="strace records what is synced; get it with: apt-get install strace",
)


async def missing(folder: Path, acknowledged: set[int]) -> set[int]:
    """Return which acknowledged commits a database does not have, or has only half of."""
    store = SqliteServerStore.open(folder / "data" / "hushbell.db", folder / "keys" / "at-rest", random=os.urandom)
    names = {number: number.to_bytes(32, "big") for number in acknowledged}
    needed = FactsNeeded(
        requests=frozenset(MessageId(name) for name in names.values()),
        notification_keys=frozenset(NotificationKey(name) for name in names.values()),
    )
    facts = await store.load(needed, byte_limit=1 << 30)
    await store.close()
    return {number for number, name in names.items() if name not in facts.responses or name not in facts.notified}


async def missing_jobs(folder: Path, acknowledged: set[int]) -> set[int]:
    """Return which acknowledged jobs a queue does not have: neither open, nor with their end."""
    queue = SqliteOutbox.open(folder / "data" / "gateway.db", folder / "keys" / "at-rest", random=os.urandom)
    open_jobs = await queue.read([waiting.number for waiting in await queue.open_jobs()])
    kept = {int(note.reference) for row in open_jobs if isinstance(row, JobOnDisk) for note in row.job.notifications}
    first = 1 << 40  # numbers of the first opening
    for number in range(max(acknowledged, default=0) + 1):
        found = await queue.find(first + number)
        if isinstance(found, JobResult):
            assert number not in kept, "what ended is not open"
            kept.add(int(found.reasons[0][1]))
    await queue.close()
    return acknowledged - kept


Missing = Callable[[Path, set[int]], Awaitable[set[int]]]
BOTH = pytest.mark.parametrize(
    "writer,missing", [(WRITER, missing), (QUEUE_WRITER, missing_jobs)], ids=["store", "queue"]
)


@BOTH
@pytest.mark.parametrize("acknowledged_before", [1, 7, 40, 160])
async def test_kill_9_loses_nothing_that_was_acknowledged(
    tmp_path: Path, acknowledged_before: int, writer: Path, missing: Missing
) -> None:
    command = [sys.executable, str(writer), str(tmp_path), "0"]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE) as process:  # noqa: ASYNC220
        kill_with_parent(process.pid)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(acknowledged_before)]
        process.kill()
        lines += process.stdout.readlines()

    acknowledged = {int(line.split()[1]) for line in lines if line.endswith(b"\n")}

    assert len(acknowledged) >= acknowledged_before
    assert not await missing(tmp_path, acknowledged)


@dataclass(slots=True)
class File:
    """What programs see, and what survives."""

    seen: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    unsynced: list[tuple[int, bytes]] = field(default_factory=list)  # offset, data; -1: cut to a length

    def write(self, offset: int, data: bytes) -> None:
        self.seen.extend(bytes(max(0, offset + len(data) - len(self.seen))))
        self.seen[offset : offset + len(data)] = data
        self.unsynced.append((offset, data))

    def cut(self, length: int) -> None:
        del self.seen[length:]
        self.seen.extend(bytes(length - len(self.seen)))
        self.unsynced.append((-1, length.to_bytes(8, "big")))

    def sync(self) -> None:
        self.synced = bytes(self.seen)
        self.unsynced.clear()

    def after_power_cut(self, chance: random.Random, share: float) -> bytes:
        """Return the synced bytes and, of every other write, some."""
        survivor = File(bytearray(self.synced))
        for offset, data in self.unsynced:
            if chance.random() < share:
                survivor.cut(int.from_bytes(data, "big")) if offset < 0 else survivor.write(offset, data)
        return bytes(survivor.seen)


class Disk:
    """Plays system calls back, and knows at each moment what a power cut would leave."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._open: dict[int, tuple[str, int]] = {}  # descriptor → path, where the next plain write goes
        self._names: dict[str, File] = {}
        self.durable: dict[str, File] = {}  # the names that survive
        self.acknowledged: set[int] = set()

    def play(self, call: str, arguments: str, result: int) -> bool:
        """Take one call; say whether it was an acknowledgement."""
        texts = [bytes.fromhex(text.replace("\\x", "")) for text in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', arguments)]
        numbers = [int(number) for number in re.findall(r"(?:^|, )(-?\d+)(?=,|$)", re.sub(r'"[^"]*"', '""', arguments))]
        if call == "write" and numbers[0] == 1:
            self.acknowledged.update(int(number) for number in re.findall(rb"ack (\d+)\n", texts[0]))
            return texts[0].startswith(b"ack ")
        if call == "openat":
            self._opened(texts[0].decode(), arguments, result)
        elif call in {"link", "linkat", "rename", "renameat", "renameat2"}:
            self._named(texts[0].decode(), texts[1].decode(), keeps_old="link" in call)
        elif call in {"unlink", "unlinkat"}:
            self._names.pop(texts[0].decode(), None)
        elif numbers and numbers[0] in self._open:
            self._on_file(call, numbers, texts)
        return False

    def seen(self, path: Path) -> bytes:
        """Return what programs see in a file."""
        file = self._names.get(str(path))
        return bytes(file.seen) if file else b""

    def _opened(self, path: str, arguments: str, descriptor: int) -> None:
        self._open.pop(descriptor, None)
        if not path.startswith(self._folder):
            return
        self._open[descriptor] = (path, 0)
        if "O_CREAT" in arguments:
            file = self._names.setdefault(path, File())
            if "O_TRUNC" in arguments:
                file.cut(0)

    def _named(self, old: str, new: str, *, keeps_old: bool) -> None:
        if old in self._names:
            self._names[new] = self._names[old] if keeps_old else self._names.pop(old)

    def _on_file(self, call: str, numbers: list[int], texts: list[bytes]) -> None:
        descriptor = numbers[0]
        path, place = self._open[descriptor]
        file = self._names.get(path)
        if call == "close":
            del self._open[descriptor]
        elif call in {"fsync", "fdatasync"}:
            if file is None:  # a folder: its names survive from now on
                kept = {name: file for name, file in self.durable.items() if str(Path(name).parent) != path}
                inside = {name: file for name, file in self._names.items() if str(Path(name).parent) == path}
                self.durable = kept | inside
            else:
                file.sync()
        elif file is None:
            return
        elif call == "pwrite64":
            file.write(numbers[-1], texts[0])
        elif call == "write":
            file.write(place, texts[0])
            self._open[descriptor] = (path, place + len(texts[0]))
        elif call == "ftruncate":
            file.cut(numbers[1])

    def cut_power(self, into: Path, chance: random.Random, share: float) -> None:
        """Write out what is left. The shared-memory file means nothing after a restart."""
        shutil.rmtree(into, ignore_errors=True)
        for name, file in self.durable.items():
            if not name.endswith("-shm"):
                path = into / Path(name).relative_to(self._folder)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch(0o600)
                path.write_bytes(file.after_power_cut(chance, share))


def record(folder: Path, writer: Path, *options: str) -> list[tuple[str, str, int]]:
    """Return the system calls of a process that makes 60 commits, in order."""
    trace = folder / "trace"
    strace = ["strace", "-f", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(trace)]
    command = [*strace, sys.executable, str(writer), str(folder / "disk"), "60", *options]
    subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.PIPE, check=False, timeout=60)
    return list(calls(trace))


def calls(trace: Path) -> Iterator[tuple[str, str, int]]:
    """
    Parse a trace. Of a call that another thread interrupted, a sync counts from when it returned.

    An acknowledgement counts from when it began: somebody may have read it already.
    """
    begun: dict[str, str] = {}
    with trace.open() as lines:
        for line in lines:
            thread, _, rest = line.rstrip("\n").partition(" ")
            rest = rest.strip()
            if rest.endswith("<unfinished ...>"):
                begun[thread] = rest.removesuffix("<unfinished ...>").rstrip()
                if begun[thread].startswith("write(1, "):
                    yield "write", begun[thread].removeprefix("write(").rstrip(","), 0
                continue
            if rest.startswith("<... "):
                rest = begun.pop(thread, "") + rest.partition(" resumed>")[2]
            match = re.fullmatch(r"(\w+)\((.*)\)\s+= (-?\d+).*", rest)
            if match and int(match[3]) >= 0:
                yield match[1], match[2], int(match[3])


async def lost(trace: list[tuple[str, str, int]], folder: Path, missing: Missing, *, share: float) -> set[int]:
    """Cut the power after every fourth acknowledgement, and return what was acknowledged and is gone."""
    disk, chance = Disk(folder / "disk"), random.Random(1)
    gone: set[int] = set()
    moments = 0
    for call, arguments, result in trace:
        if disk.play(call, arguments, result):
            moments += 1
            if moments % 4 == 1:
                disk.cut_power(folder / "after", chance, share)
                gone |= await missing(folder / "after", disk.acknowledged)
    assert len(disk.acknowledged) == 60
    return gone


@needs_strace
@BOTH
async def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path, writer: Path, missing: Missing) -> None:
    trace = record(tmp_path, writer)

    assert not await lost(trace, tmp_path, missing, share=0.0)
    assert not await lost(trace, tmp_path, missing, share=0.5)


@needs_strace
@BOTH
async def test_the_power_cut_finds_a_store_that_does_not_sync(tmp_path: Path, writer: Path, missing: Missing) -> None:
    trace = record(tmp_path, writer, "careless")

    assert await lost(trace, tmp_path, missing, share=0.0)


@needs_strace
def test_the_key_survives_a_power_cut_before_anything_is_sealed_with_it(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk")
    key = str(tmp_path / "disk" / "keys" / "at-rest")
    wal = tmp_path / "disk" / "data" / "hushbell.db-wal"

    for call, arguments, result in record(tmp_path, WRITER):
        disk.play(call, arguments, result)
        if call == "pwrite64" and disk.seen(wal):
            break

    assert disk.seen(wal), "the first sealed value goes to the log"
    assert len(disk.durable[key].synced) == 32
