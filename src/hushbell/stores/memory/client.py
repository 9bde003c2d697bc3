"""A client's facts in memory alone."""

from collections.abc import Mapping, Sequence

from hushbell.core.client.facts import Change, Fact, Key, Save, key_of
from hushbell.core.client.inbox import Entry
from hushbell.ports.client_store import EntryName
from hushbell.types import PublicKey


class MemoryClientStore:
    """Forgets everything when the process ends."""

    def __init__(self) -> None:
        self._facts: dict[PublicKey, dict[Key, Fact]] = {}
        self._inbox: dict[EntryName, Entry] = {}

    async def load(self, account: PublicKey) -> Sequence[Fact]:
        """Return an account's facts, in the order in which each was first kept."""
        return tuple(self._facts.get(account, {}).values())

    async def commit(self, account: PublicKey, changes: Sequence[Change]) -> None:
        """Take every change."""
        facts = self._facts.setdefault(account, {})
        for change in changes:
            if isinstance(change, Save):
                facts[key_of(change.fact)] = change.fact
            else:
                facts.pop(key_of(change.fact), None)

    async def forget(self, account: PublicKey) -> None:
        """Remove everything about an account."""
        self._facts.pop(account, None)

    async def inbox(self) -> Sequence[Entry]:
        """Return the entries of the inbox, the oldest first."""
        return tuple(self._inbox.values())

    async def keep_inbox(self, changes: Mapping[EntryName, Entry | None]) -> None:
        """Keep these entries, in order; None removes one."""
        for name, entry in changes.items():
            self._inbox.pop(name, None)
            if entry is not None:
                self._inbox[name] = entry

    async def close(self) -> None:
        """Nothing to finish."""
