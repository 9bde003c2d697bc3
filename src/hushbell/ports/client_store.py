"""The storage of a client: the facts of its accounts, and its inbox."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from hushbell.core.client.facts import Change, Fact
from hushbell.core.client.inbox import Entry
from hushbell.types import KeyHash, PublicKey

EntryName = tuple[KeyHash, bytes]
"""Key hash of the account, and id of the message."""


class ClientStore(Protocol):
    """Every adapter passes every test in tests/contracts/test_client_store.py."""

    async def load(self, account: PublicKey) -> Sequence[Fact]:
        """Return an account's facts, in the order in which each was first saved."""

    async def commit(self, account: PublicKey, changes: Sequence[Change]) -> None:
        """
        Take every change, or none; when this returns they survive a power cut.

        Raises:
            StoreUnavailable: nothing was written; trying again is safe.
        """

    async def forget(self, account: PublicKey) -> None:
        """Remove everything about an account."""

    async def inbox(self) -> Sequence[Entry]:
        """Return the entries of the inbox, the oldest first."""

    async def keep_inbox(self, changes: Mapping[EntryName, Entry | None]) -> None:
        """Keep these entries, in order; None removes one. Durable when this returns. Raises StoreUnavailable."""

    async def close(self) -> None:
        """Finish what was accepted, and close."""
