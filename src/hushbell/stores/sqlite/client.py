"""
A client's facts in a SQLite file, sealed with a key that is not in it.

One row for each fact. Its name is a keyed hash: the file does not tell whom an account knows or rings.
"""

import asyncio
import contextlib
import hmac
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from hushbell.core.client.facts import Change, Fact, Save, key_of
from hushbell.core.client.inbox import Entry
from hushbell.errors import StoreMismatch
from hushbell.ports.client_store import EntryName
from hushbell.stores.at_rest import AtRest, make_folder
from hushbell.stores.sqlite import client_rows
from hushbell.stores.sqlite.errors import mapped
from hushbell.stores.sqlite.server_writes import Statement
from hushbell.stores.sqlite.writer import Writer
from hushbell.types import PublicKey, Random, SymmetricKey

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE fact (
  place INTEGER PRIMARY KEY,
  account BLOB NOT NULL,
  name BLOB NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  content BLOB NOT NULL
);
CREATE INDEX fact_account ON fact (account);
"""
_INBOX = b"inbox"


class SqliteClientStore:
    """Made by ``open``. One process at a time; used from one event loop."""

    def __init__(self, path: Path, connection: sqlite3.Connection, key: SymmetricKey, random: Random) -> None:
        self._path = path
        self._connection = connection
        self._writer = Writer(_connect(path))
        self._at_rest = AtRest(key, random=random)
        self._names = hmac.digest(key, b"hushbell client names 1", "sha256")

    @classmethod
    async def open(cls, path: Path, key: SymmetricKey, *, random: Random) -> Self:
        """
        Open a client's file, or make it.

        Args:
            path: of the database.
            key: 32 bytes that are kept elsewhere, such as in the operating system's key store.
            random: unpredictable bytes.

        Raises:
            StoreError: it cannot be opened.
            StoreMismatch: a newer program wrote it.
        """
        return await asyncio.to_thread(cls._open, path, key, random)

    async def load(self, account: PublicKey) -> Sequence[Fact]:
        """Return an account's facts, in the order in which each was first kept."""
        return await asyncio.to_thread(self._load, self._account(account))

    async def commit(self, account: PublicKey, changes: Sequence[Change]) -> None:
        """Take every change, or none; when this returns they survive a power cut."""
        owner = self._account(account)
        steps = [
            self._save(owner, change.fact) if isinstance(change, Save) else self._remove(owner, repr_of(change.fact))
            for change in changes
        ]
        if steps:
            await self._writer.write(steps)

    async def forget(self, account: PublicKey) -> None:
        """Remove everything about an account."""
        await self._writer.write([Statement("DELETE FROM fact WHERE account = ?", (self._account(account),))])

    async def inbox(self) -> Sequence[Entry]:
        """Return the entries of the inbox, the oldest first."""
        return await asyncio.to_thread(self._load, self._name(_INBOX))

    async def keep_inbox(self, changes: Mapping[EntryName, Entry | None]) -> None:
        """Keep these entries, in order; None removes one."""
        owner = self._name(_INBOX)
        steps: list[Statement] = []
        for (whose, message_id), entry in changes.items():
            steps.append(self._remove(owner, whose + message_id))
            if entry is not None:
                steps.append(self._insert(owner, whose + message_id, entry))
        if steps:
            await self._writer.write(steps)

    async def close(self) -> None:
        """Finish what was accepted."""
        await self._writer.close()
        self._connection.close()

    @classmethod
    def _open(cls, path: Path, key: SymmetricKey, random: Random) -> Self:
        make_folder(path.parent)
        with mapped(), contextlib.ExitStack() as opened:
            connection = opened.enter_context(contextlib.closing(_connect(path)))
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StoreMismatch(f"{path}: schema {version}, and this program knows {SCHEMA_VERSION}: update it")
            if version == 0:
                connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
            opened.pop_all()
        path.chmod(0o600)
        return cls(path, connection, key, random)

    def _load(self, owner: bytes) -> Sequence[Any]:
        with mapped():
            rows = self._connection.execute(
                "SELECT name, kind, content FROM fact WHERE account = ? ORDER BY place", (owner,)
            ).fetchall()
        return [client_rows.read(kind, self._at_rest.open("fact", name, content)) for name, kind, content in rows]

    def _save(self, owner: bytes, fact: Fact) -> Statement:
        return self._insert(owner, repr_of(fact), fact)

    def _insert(self, owner: bytes, what: bytes, fact: Fact | Entry) -> Statement:
        name = self._name(owner + what)
        content = self._at_rest.seal("fact", name, client_rows.write(fact))
        return Statement(
            "INSERT INTO fact (account, name, kind, content) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET content = excluded.content",
            (owner, name, client_rows.KIND_NAMES[type(fact)], content),
        )

    def _remove(self, owner: bytes, what: bytes) -> Statement:
        return Statement("DELETE FROM fact WHERE name = ?", (self._name(owner + what),))

    def _account(self, account: PublicKey) -> bytes:
        return self._name(b"account" + account)

    def _name(self, what: bytes) -> bytes:
        return hmac.digest(self._names, what, "sha256")


def repr_of(fact: Fact) -> bytes:
    """Return what distinguishes a fact from every other of its account."""
    kind, *rest = key_of(fact)
    parts = [client_rows.KIND_NAMES[kind].encode() if isinstance(kind, type) else b""]
    parts += [part if isinstance(part, bytes) else str(part).encode() for part in rest]
    return b"".join(len(part).to_bytes(4) + part for part in parts)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
