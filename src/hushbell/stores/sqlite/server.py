"""The server's facts in one SQLite file: embedded, durable, sealed."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from hushbell.core.push import Pending
from hushbell.core.server.facts import Facts, FactsNeeded, Write
from hushbell.errors import StoreMismatch, StoreUnavailable
from hushbell.stores.at_rest import AtRest
from hushbell.stores.sqlite.database import open_database
from hushbell.stores.sqlite.errors import mapped
from hushbell.stores.sqlite.server_reads import Reads
from hushbell.stores.sqlite.server_writes import Statement, statements
from hushbell.stores.sqlite.writer import Writer
from hushbell.types import MILLIS_PER_DAY, KeyHash, Millis, NotificationId, PrivateKey, Random, SymmetricKey

FORGET_STEP = 1_000  # rows dropped in one transaction, so that forgetting never holds up an answer for long


class SqliteServerStore:
    """
    A Store in one file. One process, one event loop.

    Writes go through one thread that commits what waits together; reads run where they are called.
    """

    def __init__(self, writer: Writer, connection: sqlite3.Connection, at_rest: AtRest) -> None:
        """Take over open connections; use :meth:`open`."""
        self._writer = writer
        self._connection = connection
        self._at_rest = at_rest
        self._reads = Reads(connection, at_rest)
        self._closed = False

    @classmethod
    def open(cls, path: Path, key_path: Path, *, random: Random) -> Self:
        """
        Open the database, or make it and its key file (32 bytes, mode 0600).

        Raises:
            ConfigError: the folder or the key file cannot be used; says what to do.
            StoreMismatch: the key file is missing or another database's, or the database is a newer program's.
            StoreUnavailable: the file is locked or cannot be read or written.
            StoreCorrupt: the file is damaged.
        """
        opened = open_database(path, key_path, random=random)
        return cls(Writer(opened.writing), opened.reading, opened.at_rest)

    async def load(self, needed: FactsNeeded, *, byte_limit: int) -> Facts:
        """See :meth:`hushbell.ports.server_store.Store.load`; bytes are counted unsealed."""
        self._check_open()
        with mapped():
            return self._reads.load(needed, byte_limit)

    async def commit(self, writes: Sequence[Write]) -> None:
        """See :meth:`hushbell.ports.server_store.Store.commit`."""
        if writes:
            await self._writer.write(statements(writes, self._at_rest))

    async def due(self, now: Millis, limit: int, *, after: NotificationId | None = None) -> Sequence[Pending]:
        """See :meth:`hushbell.ports.server_store.Store.due`."""
        self._check_open()
        with mapped():
            return self._reads.due(now, limit, after)

    async def next_due(self, now: Millis) -> Millis | None:
        """See :meth:`hushbell.ports.server_store.Store.next_due`."""
        self._check_open()
        with mapped():
            return self._reads.next_due(now)

    async def push_state(self, notification_id: NotificationId) -> str | None:
        """See :meth:`hushbell.ports.server_store.Store.push_state`."""
        self._check_open()
        with mapped():
            return self._reads.push_state(notification_id)

    async def owners(self) -> Sequence[KeyHash]:
        """See :meth:`hushbell.ports.server_store.Store.owners`."""
        self._check_open()
        with mapped():
            return self._reads.owners()

    async def query_key(self, owner: KeyHash) -> SymmetricKey | None:
        """See :meth:`hushbell.ports.server_store.Store.query_key`."""
        self._check_open()
        with mapped():
            key = self._reads.query_key(owner)
        return None if key is None else SymmetricKey(key)

    async def keep_query_key(self, owner: KeyHash, key: SymmetricKey) -> None:
        """See :meth:`hushbell.ports.server_store.Store.keep_query_key`."""
        sealed = self._at_rest.seal("query_keys", owner, key)
        keep = "INSERT OR REPLACE INTO query_keys (owner, sealed) VALUES (?, ?)"
        await self._writer.write([Statement(keep, (owner, sealed))])

    async def identity(self) -> PrivateKey | None:
        """See :meth:`hushbell.ports.server_store.Store.identity`."""
        self._check_open()
        with mapped():
            key = self._reads.secret("identity")
        return None if key is None else PrivateKey(key)

    async def pin_identity(self, identity: PrivateKey) -> None:
        """See :meth:`hushbell.ports.server_store.Store.pin_identity`."""
        sealed = self._at_rest.seal("secrets", b"identity", identity)
        pin = "INSERT OR IGNORE INTO secrets (name, sealed) VALUES ('identity', ?)"
        await self._writer.write([Statement(pin, (sealed,))])
        if await self.identity() != identity:
            raise StoreMismatch("the data belongs to another server identity")

    async def forget(self, before: Millis) -> int:
        """See :meth:`hushbell.ports.server_store.Store.forget`; goes in small steps that other writes may overtake."""
        first = before // MILLIS_PER_DAY  # the first day that is kept
        forgotten = 0
        for table, key in (("answers", "wrapper_id"), ("rings", "ring_id"), ("settled", "notification_id")):
            some = f"SELECT {key} FROM {table} WHERE day < ? LIMIT {FORGET_STEP}"  # noqa: S608
            step = Statement(f"DELETE FROM {table} WHERE {key} IN ({some})", (first,))  # noqa: S608
            while dropped := await self._writer.write([step]):
                forgotten += dropped
        return forgotten

    async def close(self) -> None:
        """Finish what was accepted and let go of the files."""
        self._closed = True
        await self._writer.close()
        self._connection.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")
