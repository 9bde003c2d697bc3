"""
A process that commits and says so, until somebody kills it. Started by test_durability.py.

Arguments: the folder, how many commits (0: without end), and ``careless`` to sync less than it should. Prints
``ack NUMBER`` after each commit has returned, one write to standard output for each.
"""

import asyncio
import os
import sys
from pathlib import Path

from hushbell.core.server.facts import RememberAnswer, RememberRing
from hushbell.stores.sqlite.server import SqliteStore
from hushbell.types import MessageId, Millis, RingId

NOW = Millis(1_800_000_000_000)


async def commit(store: SqliteStore, number: int) -> None:
    name = number.to_bytes(32, "big")
    answer = RememberAnswer(MessageId(name), os.urandom(3_000), NOW)
    await store.commit([answer, RememberRing(RingId(name), NOW)])
    os.write(1, b"ack %d\n" % number)


async def main(folder: Path, count: int, *, careless: bool) -> None:
    store = SqliteStore.open(folder / "data" / "hushbell.db", folder / "keys" / "at-rest", random=os.urandom)
    if careless:
        store._writer._connection.execute("PRAGMA synchronous = NORMAL")
    store._writer._connection.execute("PRAGMA wal_autocheckpoint = 20")  # pages; so that a short run has many
    numbers = iter(range(count or 1 << 62))

    async def worker() -> None:
        for number in numbers:
            await commit(store, number)

    await asyncio.gather(*(worker() for _ in range(4)))
    os.kill(os.getpid(), 9)  # nothing is tidied up


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), careless="careless" in sys.argv[3:]))
