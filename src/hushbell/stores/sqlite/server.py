"""The server's facts in a SQLite file, with the outbox that its pushes leave from: embedded, durable, sealed."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Self

from hushbell.core.delivery.changes import Changes
from hushbell.core.server.facts import Facts, FactsNeeded, Write
from hushbell.errors import StoreMismatch
from hushbell.ports.outbox import committed
from hushbell.stores.sqlite.database import Database, open_database
from hushbell.stores.sqlite.errors import mapped
from hushbell.stores.sqlite.migrations import SERVER_SCHEMA
from hushbell.stores.sqlite.outbox import SqliteOutbox
from hushbell.stores.sqlite.quarantine import KEEP_DAMAGED_DAYS
from hushbell.stores.sqlite.server_reads import ServerReads
from hushbell.stores.sqlite.server_writes import server_steps
from hushbell.stores.sqlite.writer import Step
from hushbell.types import MILLIS_PER_DAY, KeyHash, Millis, NotificationId, PrivateKey, Random, SymmetricKey

FORGET_STEP = 1_000  # rows dropped in one transaction, so that forgetting never holds up an answer for long


class SqliteServerStore:
    """
    A ServerStore and its outbox in one file. One process, one event loop.

    Writes go through the outbox's thread; reads run where they are called.
    """

    def __init__(self, database: Database, *, keep_damaged_days: int) -> None:
        """Take over an open database; use :meth:`open`."""
        self._at_rest = database.at_rest
        steps = partial(server_steps, at_rest=database.at_rest)
        self.outbox = SqliteOutbox(database, keep_damaged_days=keep_damaged_days, server_steps=steps)
        self._writer = self.outbox.writer
        self._reads = ServerReads(database.reading, database.at_rest, self.outbox.quarantine)

    @classmethod
    def open(cls, path: Path, key_path: Path, *, random: Random, keep_damaged_days: int = KEEP_DAMAGED_DAYS) -> Self:
        """Open ``hushbell.db``, or make it and its key file; raises as ``database.open_database`` does."""
        database = open_database(path, key_path, SERVER_SCHEMA, random=random)
        return cls(database, keep_damaged_days=keep_damaged_days)

    async def load(self, needed: FactsNeeded, *, byte_limit: int) -> Facts:
        """See :meth:`hushbell.ports.server_store.ServerStore.load`; bytes are counted unsealed."""
        self.outbox.check_open()
        with mapped():
            return self._reads.load(needed, byte_limit)

    async def commit(self, writes: Sequence[Write]) -> None:
        """See :meth:`hushbell.ports.server_store.ServerStore.commit`."""
        if writes:
            await committed(self.outbox, Changes(server=list(writes)))

    async def final_state(self, notification_id: NotificationId) -> str | None:
        """Return the final state of a push that ended before this file had an outbox, until it is forgotten."""
        self.outbox.check_open()
        with mapped():
            return self._reads.final_state(notification_id)

    async def damaged_registrations(self) -> Sequence[str]:
        """Return the reason for each registration that cannot be read; it stays until its device registers again."""
        self.outbox.check_open()
        with mapped():
            return list(self._reads.damaged_registrations())

    async def key_hashes(self) -> Sequence[KeyHash]:
        """See :meth:`hushbell.ports.server_store.ServerStore.owners`."""
        self.outbox.check_open()
        with mapped():
            return self._reads.key_hashes()

    async def query_key(self, key_hash: KeyHash) -> SymmetricKey | None:
        """See :meth:`hushbell.ports.server_store.ServerStore.query_key`."""
        self.outbox.check_open()
        with mapped():
            key = self._reads.query_key(key_hash)
        return None if key is None else SymmetricKey(key)

    async def keep_query_key(self, key_hash: KeyHash, key: SymmetricKey) -> None:
        """See :meth:`hushbell.ports.server_store.ServerStore.keep_query_key`."""
        sealed = self._at_rest.seal("query_keys", key_hash, key)
        keep = "INSERT OR REPLACE INTO query_keys (owner, sealed) VALUES (?, ?)"
        await self._writer.write([Step(keep, [(key_hash, sealed)])])

    async def identity(self) -> PrivateKey | None:
        """See :meth:`hushbell.ports.server_store.ServerStore.identity`."""
        self.outbox.check_open()
        with mapped():
            key = self._reads.secret("identity")
        return None if key is None else PrivateKey(key)

    async def pin_identity(self, identity: PrivateKey) -> None:
        """See :meth:`hushbell.ports.server_store.ServerStore.pin_identity`."""
        sealed = self._at_rest.seal("secrets", b"identity", identity)
        pin = "INSERT OR IGNORE INTO secrets (name, sealed) VALUES ('identity', ?)"
        await self._writer.write([Step(pin, [(sealed,)])])
        if await self.identity() != identity:
            raise StoreMismatch("the data belongs to another server identity")

    async def forget(self, before: Millis) -> int:
        """See :meth:`hushbell.ports.server_store.ServerStore.forget`; in small steps that other writes may overtake."""
        first = before // MILLIS_PER_DAY  # the first day that is kept
        forgotten = 0
        for table, key in (("answers", "wrapper_id"), ("rings", "ring_id"), ("settled", "notification_id")):
            some = f"SELECT {key} FROM {table} WHERE day < ? LIMIT {FORGET_STEP}"  # noqa: S608
            step = Step(f"DELETE FROM {table} WHERE {key} IN ({some})", [(first,)])  # noqa: S608
            while dropped := await self._writer.write([step]):
                forgotten += dropped
        await self.outbox.quarantine.forget()
        return forgotten

    async def close(self) -> None:
        """Finish the accepted commits and close the files."""
        await self.outbox.close()
