"""A device of a user: its accounts and personas, and the pushes that reach it. Public as ``hushbell.Client``."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Self
from uuid import UUID

from hushbell.core.client import preview
from hushbell.core.client.events import Target
from hushbell.core.client.inbox import Account as InboxAccount
from hushbell.core.client.inbox import Action, Inbox, Message, Step, read_data
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


def no_count(_name: str, _times: int) -> None:
    """Count nothing."""


class Client:
    """
    One device, with any number of accounts, on any transport: the embedded node, somebody's node, or a bus.

    Args:
        transport: closed with the client.
        store: what the device must not forget; in memory if not given.
        installation_id: which of its user's devices this is; drawn if not given, so give one with a store that lasts.
        clock: the time.
        random: unpredictable bytes.
        count: gets the names of what was dropped, and of bytes sent and received.
        pubsub_topic: the shard everything travels on.
        topic_keys: may be shared by clients of one process: deriving one takes 15 ms.
        scheme: of the links that notifications open.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        store: ClientStore | None = None,
        installation_id: InstallationId | None = None,
        clock: Clock | None = None,
        random: Random = system_random,
        count: Count = no_count,
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
        self._inbox_turn = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._inbox = Inbox(await self._store.inbox(), scheme=self._scheme)
        self._reading = asyncio.create_task(self._exchange.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Finish what is in hand and leave the transport and the store."""
        await asyncio.gather(*(account.close() for account in self._accounts.values()))
        await self._transport.close()
        if self._reading is not None:
            await self._reading
        await self._store.close()

    def wants(self, content_topic: str) -> bool:
        """Say whether anybody on this device listens there, for a transport that can spare the rest."""
        return self._exchange.wants(content_topic)

    async def account(self, identity: KeyPair, *, advertises: bool = True, chats: Iterable[str] = ()) -> Account:
        """
        Return the account of this key, as it was left in the store.

        Args:
            identity: the account's key, which registers and is rung.
            advertises: whether its contact code tells everybody how to ring it; a persona's key does not.
            chats: those it is in, so that pushes find them.
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
        """Forget an account on this device. Its servers go on ringing unless it was disabled before."""
        account = self._accounts.pop(identity, None)
        if account is None:
            return ()
        await account.close()
        owner = hashes.hash_public_key(identity)
        self._chats.pop(owner, None)
        await self._store.forget(identity)
        async with self._inbox_turn:
            return await self._kept(self._inbox.removed(owner))

    def join_chats(self, identity: PublicKey, chats: Iterable[str]) -> None:
        """Tell which chats an account is in."""
        known = self._chats.setdefault(hashes.hash_public_key(identity), {})
        known.update((hashes.hash_chat_id(chat), chat) for chat in chats)

    def sealed_for(self, author: KeyPair, recipient: PublicKey, shown: Preview) -> Target:
        """Return a target that gets a preview only it can read."""
        return Target(recipient, message=preview.seal(shown, author, recipient, self._random))

    async def pushed(self, data: Mapping[str, object]) -> Sequence[Step]:
        """
        Take the data of a push, as the operating system hands it over, and return what to do, already durable.

        A push that no server of ours can have sent leads to nothing.
        """
        try:
            incoming = read_data(data)
        except Undecodable:
            self._count("client_pushes_malformed", 1)
            return ()
        async with self._inbox_turn:
            return await self._kept(self._inbox.pushed(incoming, self._inbox_accounts(), self._clock.now()))

    async def arrived(self, identity: PublicKey, message: Message) -> Sequence[Step]:
        """Take a chat message that the app got from the network or fetched."""
        self.join_chats(identity, (message.chat_id,))
        account = self._inbox_accounts()[hashes.hash_public_key(identity)]
        async with self._inbox_turn:
            return await self._kept(self._inbox.arrived(message, account, self._clock.now()))

    async def read(self, identity: PublicKey, chat_id: str, messages: Iterable[bytes] | None = None) -> Sequence[Step]:
        """Take that the user saw a chat, or these of its messages, here or on another device."""
        owner = hashes.hash_public_key(identity)
        async with self._inbox_turn:
            return await self._kept(self._inbox.read(owner, chat_id, self._clock.now(), messages))

    async def acted(self, action: Action, owner: KeyHash, message_id: bytes, text: str = "") -> Sequence[Step]:
        """Take that the user chose a button of a notification."""
        async with self._inbox_turn:
            return await self._kept(self._inbox.acted(action, owner, message_id, text))

    @property
    def unread(self) -> int:
        """How many messages are unread, of all accounts."""
        return self._inbox.unread()

    @property
    def now(self) -> Millis:
        """The client's time."""
        return self._clock.now()

    async def _kept(self, steps: Sequence[Step]) -> Sequence[Step]:
        changes = self._inbox.take_changes()
        if changes:
            await self._store.keep_inbox(changes)
        return steps

    def _inbox_accounts(self) -> dict[KeyHash, InboxAccount]:
        owners = ((hashes.hash_public_key(account.identity.public), account) for account in self._accounts.values())
        return {owner: InboxAccount(account.identity, self._chats.get(owner, {})) for owner, account in owners}
