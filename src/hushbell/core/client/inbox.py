"""
The rules for pushes on a phone: which account and chat one is for, what to show, fetch and dismiss, and the badge.

A message has one entry, also if two servers push it, if it arrives by itself as well, or if it was read on another
device before its push. The badge is the number of unread entries (Push Notifications v2: preview, right chat,
dismissal, quick actions).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from hushbell.core.client import preview
from hushbell.core.client.preview import Preview
from hushbell.crypto import hashes
from hushbell.errors import Undecodable, WireError
from hushbell.types import MILLIS_PER_DAY, Hash64, KeyHash, KeyPair, Millis, PublicKey

MAX_ENTRIES = 10_000  # the oldest are forgotten first
READ_ENTRY_LIFE = 30 * MILLIS_PER_DAY  # a later push for a message that was read shows it again
CATEGORY = "message"

# Prefixes of ids of 68 bytes, which no message has.
_HINT = b"hint"
_READ = b"read"


class Action(Enum):
    """A button on a notification."""

    REPLY = "reply"
    MARK_READ = "mark_read"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class PushData:
    """The data of a push: ``publicKey``, ``chatId`` and ``encryptedMessage``."""

    owner: KeyHash
    chat_hash: Hash64 = field(repr=False)
    message: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class InboxAccount:
    """An account on this device, and its chats."""

    keys: KeyPair
    chats: Mapping[Hash64, str] = field(default_factory=dict, repr=False)  # the id by its hash


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage:
    """A chat message that the app received or fetched."""

    message_id: bytes
    chat_id: str = field(repr=False)
    author: PublicKey = field(repr=False)
    text: str = field(default="", repr=False)
    sent_at: Millis = Millis(0)


class EntryState(Enum):
    """State of a message on this device. The values are on the disk."""

    SHOWN = "shown"  # unread
    HINTED = "hinted"  # unread; a push without a preview: something is new in the chat
    READ = "read"
    DELETED = "deleted"


_UNREAD = (EntryState.SHOWN, EntryState.HINTED)
_Name = tuple[KeyHash, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A message and its state. A hint, which has an id of its own, stands for all new messages of its chat."""

    owner: KeyHash
    message_id: bytes
    chat_hash: Hash64 = field(repr=False)
    state: EntryState
    at: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """Show a notification, or replace the one of the same id."""

    id: str  # of the notification
    owner: KeyHash
    chat_id: str = field(repr=False)  # "" if the account has no such chat
    author: PublicKey | None = field(repr=False)  # None: unknown
    text: str = field(repr=False)  # "": the app's own text for "a new message"
    group: str  # the same for all notifications of a chat
    link: str  # URL that opens the chat, at the message if it is known
    category: str = CATEGORY
    badge: int


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Remove notifications from the screen."""

    ids: tuple[str, ...]
    badge: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """Fetch the message, or all new messages of the chat if the id is None."""

    owner: KeyHash
    chat_hash: Hash64 = field(repr=False)
    message_id: bytes | None


@dataclass(frozen=True, slots=True)
class Perform:
    """Carry out what the user chose on a notification without opening the app."""

    action: Action
    owner: KeyHash
    message_id: bytes
    text: str = field(default="", repr=False)  # of a reply


Step = Show | Dismiss | Fetch | Perform


def read_data(data: Mapping[str, object]) -> PushData:
    """
    Parse the data of a push of a server of spec 16 (reference/status-go.md 6.5).

    Raises:
        Undecodable: a field is missing, or not hexadecimal of its length.
    """
    owner, chat = _hex(data, "publicKey", 64), _hex(data, "chatId", 64)
    return PushData(KeyHash(owner), Hash64(chat), _hex(data, "encryptedMessage", None))


class Inbox:
    """
    The entries of all accounts on a device.

    Each method returns the steps to carry out, in order.

    Args:
        entries: those kept before a restart.
        scheme: of the links that open a chat.
    """

    def __init__(self, entries: Iterable[Entry] = (), *, scheme: str = "hushbell") -> None:
        self._entries: dict[_Name, Entry] = {}
        self._open: dict[_Name, Entry] = {}  # the unread ones
        self._changes: dict[_Name, Entry | None] = {}
        for entry in entries:
            self._store(entry)
        self._changes.clear()
        self._scheme = scheme

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, oldest first."""
        return tuple(self._entries.values())

    def pop_changes(self) -> dict[tuple[KeyHash, bytes], Entry | None]:
        """Return the entries that changed since the last call, None for removed ones. Store them before the steps."""
        changes, self._changes = self._changes, {}
        return changes

    def unread(self, owner: KeyHash | None = None) -> int:
        """Return the number of unread messages, of one account or all."""
        return sum(1 for _ in self._unread(owner))

    def on_push(self, incoming: PushData, accounts: Mapping[KeyHash, InboxAccount], now: Millis) -> list[Step]:
        """Apply a push. One for an account that is not on this device has no effect."""
        account = accounts.get(incoming.owner)
        if account is None:
            return []
        shown = self._open_preview(incoming, account)
        if shown is None:
            return self._hint(incoming, account, now)
        steps = self._show_message(incoming.owner, incoming.chat_hash, shown, now)
        if steps and not shown.text:
            steps.append(Fetch(incoming.owner, incoming.chat_hash, shown.message_id))
        return steps

    def on_message(self, message: ChatMessage, account: InboxAccount, now: Millis) -> list[Step]:
        """Apply a message that the app received: it fills its notification and replaces the hint of its chat."""
        owner, chat = hashes.hash_public_key(account.keys.public), hashes.hash_chat_id(message.chat_id)
        steps = self._resolve_hint(owner, chat)
        if message.author == account.keys.public:
            return steps  # sent from another device of the account
        shown = Preview(
            message_id=message.message_id,
            chat_id=message.chat_id,
            author=message.author,
            text=message.text,
            sent_at=message.sent_at,
        )
        return steps + self._show_message(owner, chat, shown, now)

    def mark_read(
        self, owner: KeyHash, chat_id: str, now: Millis, messages: Iterable[bytes] | None = None
    ) -> list[Step]:
        """
        Mark messages of a chat, or all that were sent until now, as read on this or another device.

        Messages without an entry are marked as well: a later push for them shows nothing.
        """
        chat = hashes.hash_chat_id(chat_id)
        ids = None if messages is None else set(messages)
        matching = [
            entry
            for entry in self._unread(owner)
            if entry.chat_hash == chat and (ids is None or entry.message_id in ids)
        ]
        steps = self._finish(matching, EntryState.READ)
        for message_id in (_READ + chat,) if ids is None else ids:
            if (owner, message_id) not in self._entries or ids is None:
                self._put(Entry(owner=owner, message_id=message_id, chat_hash=chat, state=EntryState.READ, at=now))
        return steps

    def on_action(self, action: Action, owner: KeyHash, message_id: bytes, text: str = "") -> list[Step]:
        """Apply a button that the user chose. The message is no longer unread."""
        entry = self._entries.get((owner, message_id))
        if entry is None:
            return []
        state = EntryState.DELETED if action is Action.DELETE else EntryState.READ
        return [Perform(action, owner, message_id, text), *self._finish([entry], state)]

    def remove_account(self, owner: KeyHash) -> list[Step]:
        """Forget the entries of an account that is no longer on this device."""
        matching = list(self._unread(owner))
        steps = self._finish(matching, EntryState.DELETED)
        for name in [name for name in self._entries if name[0] == owner]:
            self._drop(name)
        return steps

    def _open_preview(self, incoming: PushData, account: InboxAccount) -> Preview | None:
        if not incoming.message:
            return None
        try:
            opened = preview.open_preview(incoming.message, account.keys)
        except WireError:
            return None
        # A server could send the preview of another chat.
        return opened if preview.names_chat(incoming.chat_hash, opened.chat_id) else None

    def _show_message(self, owner: KeyHash, chat: Hash64, shown: Preview, now: Millis) -> list[Step]:
        known = self._entries.get((owner, shown.message_id))
        if known is not None and (known.state is not EntryState.SHOWN or not shown.text):
            return []
        mark = self._entries.get((owner, _READ + chat))
        if mark is not None and 0 < shown.sent_at <= mark.at:
            return []  # read on another device before this push
        self._put(Entry(owner=owner, message_id=shown.message_id, chat_hash=chat, state=EntryState.SHOWN, at=now))
        return [self._show(owner, chat, shown.chat_id, shown)]

    def _hint(self, incoming: PushData, account: InboxAccount, now: Millis) -> list[Step]:
        entry = Entry(
            owner=incoming.owner,
            message_id=_HINT + incoming.chat_hash,
            chat_hash=incoming.chat_hash,
            state=EntryState.HINTED,
            at=now,
        )
        self._put(entry)
        chat_id = account.chats.get(incoming.chat_hash, "")
        fetch = Fetch(incoming.owner, incoming.chat_hash, None)
        return [self._show(incoming.owner, incoming.chat_hash, chat_id, None), fetch]

    def _show(self, owner: KeyHash, chat: Hash64, chat_id: str, shown: Preview | None) -> Show:
        message_id = shown.message_id if shown else _HINT + chat
        group = f"{owner[:8].hex()}-{chat[:8].hex()}"
        link = f"{self._scheme}://{owner[:8].hex()}/chat/{chat.hex()}"
        return Show(
            id=_notification_id(owner, message_id),
            owner=owner,
            chat_id=chat_id,
            author=shown.author if shown else None,
            text=shown.text if shown else "",
            group=group,
            link=f"{link}/{shown.message_id.hex()}" if shown else link,
            badge=self.unread(),
        )

    def _resolve_hint(self, owner: KeyHash, chat: Hash64) -> list[Step]:
        hint = self._drop((owner, _HINT + chat))
        if hint is None or hint.state is not EntryState.HINTED:
            return []
        return [Dismiss((_notification_id(owner, hint.message_id),), self.unread())]

    def _finish(self, matching: Iterable[Entry], state: EntryState) -> list[Step]:
        ids = []
        for entry in matching:
            if entry.state in _UNREAD:
                ids.append(_notification_id(entry.owner, entry.message_id))
            if entry.state is EntryState.HINTED:
                self._drop((entry.owner, entry.message_id))
            else:
                self._store(replace(entry, state=state))
        return [Dismiss(tuple(ids), self.unread())] if ids else []

    def _unread(self, owner: KeyHash | None = None) -> Iterator[Entry]:
        return (entry for entry in tuple(self._open.values()) if owner in (None, entry.owner))

    def _put(self, entry: Entry) -> None:
        self._drop((entry.owner, entry.message_id))  # moves it to the end: the latest
        self._store(entry)
        self._make_room(entry.at)

    def _store(self, entry: Entry) -> None:
        name = entry.owner, entry.message_id
        self._entries[name] = entry
        self._changes.pop(name, None)
        self._changes[name] = entry
        if entry.state in _UNREAD:
            self._open[name] = entry
        else:
            self._open.pop(name, None)

    def _drop(self, name: _Name) -> Entry | None:
        self._open.pop(name, None)
        if name in self._entries:
            self._changes[name] = None
        return self._entries.pop(name, None)

    def _make_room(self, now: Millis) -> None:
        """Forget the oldest entries, which come first."""
        while self._entries:
            name = next(iter(self._entries))
            entry = self._entries[name]
            over = entry.state in (EntryState.READ, EntryState.DELETED) and entry.at + READ_ENTRY_LIFE < now
            if not over and len(self._entries) <= MAX_ENTRIES:
                return
            self._drop(name)


def _notification_id(owner: KeyHash, message_id: bytes) -> str:
    return hashes.shake256(owner + message_id)[:16].hex()


def _hex(data: Mapping[str, object], name: str, length: int | None) -> bytes:
    value = data.get(name)
    if not isinstance(value, str) or not value.startswith("0x") or len(value) > 8192:
        raise Undecodable(f"{name} is not hexadecimal")
    try:
        found = bytes.fromhex(value[2:])
    except ValueError:
        raise Undecodable(f"{name} is not hexadecimal") from None
    if length is not None and len(found) != length:
        raise Undecodable(f"{name} has the wrong length")
    return found
