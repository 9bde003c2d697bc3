"""Where what the server must not forget is kept."""

from collections.abc import Sequence
from typing import Protocol

from hushbell.core.server.facts import Facts, FactsNeeded, Write
from hushbell.ports.outbox import Outbox
from hushbell.types import KeyHash, Millis, PrivateKey, SymmetricKey


class ServerStore(Protocol):
    """
    Every adapter passes every test in tests/contracts/test_server_store.py.

    A row that cannot be read costs its own contents alone: a registration is named in ``Facts.damaged`` until its
    device registers again; an answer or a query key is put aside, logged once, and counts as absent.
    """

    @property
    def outbox(self) -> Outbox:
        """Return the outbox beside these facts: one commit of it writes facts (``Changes.server``) and jobs."""

    async def load(self, needed: FactsNeeded, *, byte_limit: int) -> Facts:
        """
        Return the facts that are named.

        Registrations beyond ``byte_limit`` bytes in total are left out and named in ``omitted``, so that
        nobody can make the server load what does not fit into memory.
        """

    async def commit(self, writes: Sequence[Write]) -> None:
        """
        Apply every write, or none; when this returns they survive a power cut.

        Raises:
            VersionConflict: a stored version is no longer the write's ``replaces``, or an answer or a ring is known.
            StoreUnavailable: nothing was written; trying again is safe.
        """

    async def key_hashes(self) -> Sequence[KeyHash]:
        """Return every owner with a live registration, each once."""

    async def query_key(self, key_hash: KeyHash) -> SymmetricKey | None:
        """Return the symmetric key of an owner's query topic, if it was derived before."""

    async def keep_query_key(self, key_hash: KeyHash, key: SymmetricKey) -> None:
        """Keep a derived key. Losing it costs one derivation, so it need not survive a power cut."""

    async def identity(self) -> PrivateKey | None:
        """Return the server identity this data belongs to, if it has one."""

    async def pin_identity(self, identity: PrivateKey) -> None:
        """
        Bind the data to a server identity. Grants in it are worthless to any other.

        Raises:
            StoreMismatch: the data is another identity's.
        """

    async def forget(self, before: Millis) -> int:
        """Drop responses and notification keys of days that ended before ``before``; return how many."""

    async def close(self) -> None:
        """Finish the accepted commits and close the files."""
