"""A device of a user: its accounts, and the pushes it receives. Public as ``hushbell.Client``."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Self
from uuid import UUID

from hushbell.core.client import preview
from hushbell.core.client.events import Target
from hushbell.core.client.inbox import Action, ChatMessage, Inbox, InboxAccount, Step, read_data
from hushbell.core.client.preview import Preview
from hushbell.crypto import hashes
from hushbell.errors import Undecodable
from hushbell.ports.client_store import ClientStore
from hushbell.ports.clock import Clock
from hushbell.ports.transport import Transport
from hushbell.runtime.client.account import Account
from hushbell.runtime.client.exchange import Count, EnvelopeExchange, TopicKeys
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.stores.memory.client import MemoryClientStore
from hushbell.types import (
    DEFAULT_PUBSUB_TOPIC,
    Hash64,
    InstallationId,
    KeyHash,
    KeyPair,
    Millis,
    PublicKey,
    PubsubTopic,
    Random,
)


def ignore_counts(_name: str, _times: int) -> None:
    """Count nothing."""


class Client:
    """
    One device with any number of accounts, on any transport: an embedded node, another's node, or a bus.

    Args:
        transport: closed with the client.
        store: keeps accounts and messages across restarts; in memory if not given.
        installation_id: of this device; drawn at random if not given. Give the same one with the same store.
        clock: the time.
        random: unpredictable bytes.
        count: gets names and numbers of dropped items and of bytes sent and received.
        pubsub_topic: the shard of all envelopes.
        topic_keys: may be shared by clients of one process; deriving a key takes 15 ms.
        scheme: of the URLs that notifications open.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        store: ClientStore | None = None,
        installation_id: InstallationId | None = None,
        clock: Clock | None = None,
        random: Random = system_random,
        count: Count = ignore_counts,
        pubsub_topic: PubsubTopic = DEFAULT_PUBSUB_TOPIC,
        topic_keys: TopicKeys | None = None,
        scheme: str = "hushbell",
    ) -> None:
        self.installation_id = installation_id or InstallationId(str(UUID(bytes=random(16), version=4)))
        self._transport = transport
        self._store = store or MemoryClientStore()
        self._clock = clock or SystemClock()
        self._random = random
        self._count = count
        self._exchange = EnvelopeExchange(
            transport,
            clock=self._clock,
            random=random,
            count=count,
            pubsub_topic=pubsub_topic,
            topic_keys=topic_keys,
        )
        self._accounts: dict[PublicKey, Account] = {}
        self._chats: dict[KeyHash, dict[Hash64, str]] = {}
        self._scheme = scheme
        self._inbox = Inbox()
        self._inbox_lock = asyncio.Lock()
        self._exchange_task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._inbox = Inbox(await self._store.inbox(), scheme=self._scheme)
        self._exchange_task = asyncio.create_task(self._exchange.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Finish current decisions, and close the transport and the store."""
        await asyncio.gather(*(account.close() for account in self._accounts.values()))
        await self._transport.close()
        if self._exchange_task is not None:
            await self._exchange_task
        await self._store.close()

    def wants(self, content_topic: str) -> bool:
        """Say whether an account listens to this topic, for transports that discard the other envelopes."""
        return self._exchange.wants(content_topic)

    async def account(self, identity: KeyPair, *, advertises: bool = True, chats: Iterable[str] = ()) -> Account:
        """
        Return the account of a key, with its stored state.

        Args:
            identity: the account's key, which registers and is notified.
            advertises: whether it publishes a contact code; the key of a rotating identity must not.
            chats: ids of its chats, so that pushes can name them.
        """
        self.join_chats(identity.public, chats)
        known = self._accounts.get(identity.public)
        if known is not None:
            return known
        account = Account(
            identity=identity,
            installation_id=self.installation_id,
            exchange=self._exchange,
            store=self._store,
            clock=self._clock,
            random=self._random,
            count=self._count,
            advertises=advertises,
        )
        self._accounts[identity.public] = account
        await account.start()
        return account

    async def remove_account(self, identity: PublicKey) -> Sequence[Step]:
        """Forget an account on this device. Its servers go on notifying it unless it was disabled before."""
        account = self._accounts.pop(identity, None)
        if account is None:
            return ()
        await account.close()
        owner = hashes.hash_public_key(identity)
        self._chats.pop(owner, None)
        await self._store.forget(identity)
        async with self._inbox_lock:
            return await self._store_inbox(self._inbox.remove_account(owner))

    def join_chats(self, identity: PublicKey, chats: Iterable[str]) -> None:
        """Add chats to an account."""
        known = self._chats.setdefault(hashes.hash_public_key(identity), {})
        known.update((hashes.hash_chat_id(chat), chat) for chat in chats)

    def sealed_for(self, author: KeyPair, recipient: PublicKey, shown: Preview) -> Target:
        """Return a target with a preview that only the recipient can read."""
        return Target(recipient, message=preview.seal(shown, author, recipient, self._random))

    async def pushed(self, data: Mapping[str, object]) -> Sequence[Step]:
        """
        Apply the data of a push from the operating system; return the steps for the app. Their effect is stored.

        Data that no push server sends gives no steps.
        """
        try:
            incoming = read_data(data)
        except Undecodable:
            self._count("client_pushes_malformed", 1)
            return ()
        async with self._inbox_lock:
            return await self._store_inbox(self._inbox.on_push(incoming, self._inbox_accounts(), self._clock.now()))

    async def arrived(self, identity: PublicKey, message: ChatMessage) -> Sequence[Step]:
        """Apply a chat message that the app received or fetched; return the steps for the app."""
        self.join_chats(identity, (message.chat_id,))
        account = self._inbox_accounts()[hashes.hash_public_key(identity)]
        async with self._inbox_lock:
            return await self._store_inbox(self._inbox.on_message(message, account, self._clock.now()))

    async def read(self, identity: PublicKey, chat_id: str, messages: Iterable[bytes] | None = None) -> Sequence[Step]:
        """Mark a chat, or some of its messages, as read on this or another device; return the steps for the app."""
        owner = hashes.hash_public_key(identity)
        async with self._inbox_lock:
            return await self._store_inbox(self._inbox.mark_read(owner, chat_id, self._clock.now(), messages))

    async def acted(self, action: Action, owner: KeyHash, message_id: bytes, text: str = "") -> Sequence[Step]:
        """Apply a button of a notification that the user chose; return the steps for the app."""
        async with self._inbox_lock:
            return await self._store_inbox(self._inbox.on_action(action, owner, message_id, text))

    @property
    def unread(self) -> int:
        """The number of unread messages of all accounts."""
        return self._inbox.unread()

    @property
    def now(self) -> Millis:
        """The client's time in milliseconds."""
        return self._clock.now()

    async def _store_inbox(self, steps: Sequence[Step]) -> Sequence[Step]:
        changes = self._inbox.pop_changes()
        if changes:
            await self._store.keep_inbox(changes)
        return steps

    def _inbox_accounts(self) -> dict[KeyHash, InboxAccount]:
        owners = ((hashes.hash_public_key(account.identity.public), account) for account in self._accounts.values())
        return {owner: InboxAccount(account.identity, self._chats.get(owner, {})) for owner, account in owners}
