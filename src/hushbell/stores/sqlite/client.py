"""
A client's facts in a SQLite file, sealed with a key that is not in it.

One row for each fact. Its name is a keyed hash: the file does not show whom an account knows or notifies.
"""

import asyncio
import hmac
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from hushbell.core.client.facts import Change, Fact, Save, key_of
from hushbell.core.client.inbox import Entry
from hushbell.ports.client_store import EntryName
from hushbell.stores.sqlite import client_rows
from hushbell.stores.sqlite.database import Database, open_with_key
from hushbell.stores.sqlite.errors import mapped
from hushbell.stores.sqlite.migrations import CLIENT_SCHEMA
from hushbell.stores.sqlite.writer import Step, Writer
from hushbell.types import PublicKey, Random, SymmetricKey

_INBOX = b"inbox"


class SqliteClientStore:
    """Made by ``open``. One process at a time; used from one event loop."""

    def __init__(self, database: Database) -> None:
        """Take over an open database; use :meth:`open`."""
        self._reading = database.reading
        self._writer = Writer(database.writing)
        self._at_rest = database.at_rest
        self._names = hmac.digest(database.key, b"hushbell client names 1", "sha256")

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
        return cls(await asyncio.to_thread(open_with_key, path, key, CLIENT_SCHEMA, random=random))

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
        await self._writer.write([Step("DELETE FROM fact WHERE account = ?", [(self._account(account),)])])

    async def inbox(self) -> Sequence[Entry]:
        """Return the entries of the inbox, the oldest first."""
        return await asyncio.to_thread(self._load, self._name(_INBOX))

    async def keep_inbox(self, changes: Mapping[EntryName, Entry | None]) -> None:
        """Keep these entries, in order; None removes one."""
        owner = self._name(_INBOX)
        steps: list[Step] = []
        for (whose, message_id), entry in changes.items():
            steps.append(self._remove(owner, whose + message_id))
            if entry is not None:
                steps.append(self._insert(owner, whose + message_id, entry))
        if steps:
            await self._writer.write(steps)

    async def close(self) -> None:
        """Finish what was accepted."""
        await asyncio.to_thread(self._writer.close)
        self._reading.close()

    def _load(self, owner: bytes) -> Sequence[Any]:
        with mapped():
            rows = self._reading.execute(
                "SELECT name, kind, content FROM fact WHERE account = ? ORDER BY place", (owner,)
            ).fetchall()
        return [client_rows.read(kind, self._at_rest.open("fact", name, content)) for name, kind, content in rows]

    def _save(self, owner: bytes, fact: Fact) -> Step:
        return self._insert(owner, repr_of(fact), fact)

    def _insert(self, owner: bytes, what: bytes, fact: Fact | Entry) -> Step:
        name = self._name(owner + what)
        content = self._at_rest.seal("fact", name, client_rows.write(fact))
        return Step(
            "INSERT INTO fact (account, name, kind, content) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET content = excluded.content",
            [(owner, name, client_rows.KIND_NAMES[type(fact)], content)],
        )

    def _remove(self, owner: bytes, what: bytes) -> Step:
        return Step("DELETE FROM fact WHERE name = ?", [(self._name(owner + what),)])

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
