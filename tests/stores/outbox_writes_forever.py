"""
A process that fills the gateway's queue and says so, until somebody kills it. Started by test_durability.py.

Arguments: the folder, how many jobs (0: without end), and ``careless`` to sync less than it should. Prints
``ack NUMBER`` after each commit has returned, one write to standard output for each. Every second job ends with the
commit after its own.
"""

import asyncio
import os
import sys
from pathlib import Path

from hushbell.core.delivery.changes import Changes
from hushbell.core.delivery.job import Job, JobResult
from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.state import State
from hushbell.errors import StoreError
from hushbell.stores.sqlite.outbox import SqliteOutbox
from hushbell.types import Millis

NOW = Millis(1_800_000_000_000)


async def main(folder: Path, count: int, *, careless: bool) -> None:
    queue = SqliteOutbox.open(folder / "data" / "gateway.db", folder / "keys" / "at-rest", random=os.urandom)
    connection = queue.writer._connection
    if careless:
        connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 20")  # pages; so that a short run has many
    ended: list[JobResult] = []
    for number in range(count or 1 << 62):
        first, idents = queue.reserve(1)
        message = Message(provider="apns", body=os.urandom(3_000))
        note = Notification(
            ident=idents[0],
            app="chat",
            target_kind="token",
            targets=("token",),
            message=message,
            reference=str(number),
            expires_at=NOW,
        )
        done: asyncio.Future[StoreError | None] = asyncio.get_running_loop().create_future()
        queue.commit(Changes(jobs=[Job(first, "chat", NOW, (note,))], results=ended), done.set_result)
        assert await done is None
        os.write(1, b"ack %d\n" % number)
        over = JobResult(first, "chat", NOW, NOW, (1,), bytes([State.ACCEPTED]), b"\1", ((0, str(number)),))
        ended = [over] if number % 2 else []
    os.kill(os.getpid(), 9)  # nothing is tidied up


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), careless="careless" in sys.argv[3:]))
