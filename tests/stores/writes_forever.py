"""
A process that commits and says so, until somebody kills it. Started by test_durability.py.

Arguments: the folder, how many commits (0: without end), and ``careless`` to sync less than it should. Prints
``ack NUMBER`` after each commit has returned, one write to standard output for each.
"""

import asyncio
import os
import sys
from pathlib import Path

from hushbell.core.server.facts import MarkNotified, SaveResponse
from hushbell.stores.sqlite.server import SqliteServerStore
from hushbell.types import MessageId, Millis, NotificationKey

NOW = Millis(1_800_000_000_000)


async def commit(store: SqliteServerStore, number: int) -> None:
    name = number.to_bytes(32, "big")
    answer = SaveResponse(MessageId(name), os.urandom(3_000), NOW)
    await store.commit([answer, MarkNotified(NotificationKey(name), NOW)])
    os.write(1, b"ack %d\n" % number)


async def main(folder: Path, count: int, *, careless: bool) -> None:
    store = SqliteServerStore.open(folder / "data" / "hushbell.db", folder / "keys" / "at-rest", random=os.urandom)
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
