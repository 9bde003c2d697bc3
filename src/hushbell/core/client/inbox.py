"""
What a phone does with pushes: which account and chat they are for, what to show, to fetch, to dismiss and to count.

One entry per message, whoever told of it and how often: pushes by two servers, a push and the message itself, a message
that was read on another device before its push came. The count is the number of unread entries, so it cannot lie
(Push Notifications v2: preview, right chat, dismissal, quick actions).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from hushbell.core.client import preview
from hushbell.core.client.preview import Preview
from hushbell.crypto import hashes
from hushbell.errors import Undecodable, WireError
from hushbell.types import Hash64, KeyHash, KeyPair, Millis, PublicKey

MOST_ENTRIES = 10_000  # messages remembered; the oldest read ones are forgotten first
KEPT = 2_592_000_000  # milliseconds, 30 days: a push that comes later for a message that was read shows again
CATEGORY = "message"

# No message id is 68 bytes.
_HINT = b"hint"
_READ = b"read"


class Action(Enum):
    """A button on a notification."""

    REPLY = "reply"
    MARK_READ = "mark_read"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A push as the operating system hands it over: ``publicKey``, ``chatId`` and ``encryptedMessage`` of its data."""

    owner: KeyHash
    chat_hash: Hash64 = field(repr=False)
    message: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Account:
    """An account on this device, and the chats it is in."""

    keys: KeyPair
    chats: Mapping[Hash64, str] = field(default_factory=dict, repr=False)  # by hash; the id of each


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A chat message that the app has, from the network or a store."""

    message_id: bytes
    chat_id: str = field(repr=False)
    author: PublicKey = field(repr=False)
    text: str = field(default="", repr=False)
    sent_at: Millis = Millis(0)


class State(Enum):
    """What became of a message on this device."""

    SHOWN = "shown"  # unread
    HINTED = "hinted"  # unread; a push told of something new in a chat, without saying what
    READ = "read"
    DELETED = "deleted"


_UNREAD = (State.SHOWN, State.HINTED)
_Name = tuple[KeyHash, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A message and its state. A hint stands for whatever is new in its chat, under an id of its own."""

    owner: KeyHash
    message_id: bytes
    chat_hash: Hash64 = field(repr=False)
    state: State
    at: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """Put a notification on the screen, or replace the one of the same id."""

    id: str  # of the notification
    owner: KeyHash
    chat_id: str = field(repr=False)  # "" if the account is in no such chat
    author: PublicKey | None = field(repr=False)  # None: unknown
    text: str = field(repr=False)  # "" means the app's own words for "a new message"
    group: str  # notifications of one chat stand together
    link: str  # opens the chat, at the message if it is known
    category: str = CATEGORY
    badge: int


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Take these notifications from the screen."""

    ids: tuple[str, ...]
    badge: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get the message, or whatever is new in the chat if the id is unknown, from the network."""

    owner: KeyHash
    chat_hash: Hash64 = field(repr=False)
    message_id: bytes | None


@dataclass(frozen=True, slots=True)
class Do:
    """The user chose this without opening the app."""

    action: Action
    owner: KeyHash
    message_id: bytes
    text: str = field(default="", repr=False)  # of a reply


Step = Show | Dismiss | Fetch | Do


def read_data(data: Mapping[str, object]) -> Incoming:
    """
    Return the push in a notification's data, as servers of spec 16 fill it (reference/status-go.md 6.5).

    Raises:
        Undecodable: a field is missing, or not hexadecimal of its length.
    """
    owner, chat = _hex(data, "publicKey", 64), _hex(data, "chatId", 64)
    return Incoming(KeyHash(owner), Hash64(chat), _hex(data, "encryptedMessage", None))


class Inbox:
    """
    All messages of all accounts on a device that pushes told of. Give the entries back to continue after a restart.

    Each method returns the steps to take, in order.
    """

    def __init__(self, entries: Iterable[Entry] = (), *, scheme: str = "hushbell") -> None:
        self._entries: dict[_Name, Entry] = {}
        self._open: dict[_Name, Entry] = {}  # those that are unread
        self._changes: dict[_Name, Entry | None] = {}
        for entry in entries:
            self._keep(entry)
        self._changes.clear()
        self._scheme = scheme

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What must be kept."""
        return tuple(self._entries.values())

    def take_changes(self) -> dict[tuple[KeyHash, bytes], Entry | None]:
        """Return what is new or, as None, gone since this was last asked; to be kept before the steps are taken."""
        changes, self._changes = self._changes, {}
        return changes

    def unread(self, owner: KeyHash | None = None) -> int:
        """Count unread messages, of one account or all."""
        return sum(1 for _ in self._unread(owner))

    def pushed(self, incoming: Incoming, accounts: Mapping[KeyHash, Account], now: Millis) -> list[Step]:
        """Take a push; nothing happens if its account is not on this device."""
        account = accounts.get(incoming.owner)
        if account is None:
            return []
        shown = self._opened(incoming, account)
        if shown is None:
            return self._hint(incoming, account, now)
        steps = self._take(incoming.owner, incoming.chat_hash, shown, now)
        if steps and not shown.text:
            steps.append(Fetch(incoming.owner, incoming.chat_hash, shown.message_id))
        return steps

    def arrived(self, message: Message, account: Account, now: Millis) -> list[Step]:
        """Take a message itself: it fills its notification, and resolves the hint of its chat."""
        owner, chat = hashes.hash_public_key(account.keys.public), hashes.hash_chat_id(message.chat_id)
        steps = self._resolve_hint(owner, chat)
        if message.author == account.keys.public:
            return steps  # written on another of our devices
        shown = Preview(
            message_id=message.message_id,
            chat_id=message.chat_id,
            author=message.author,
            text=message.text,
            sent_at=message.sent_at,
        )
        return steps + self._take(owner, chat, shown, now)

    def read(self, owner: KeyHash, chat_id: str, now: Millis, messages: Iterable[bytes] | None = None) -> list[Step]:
        """
        The chat was seen, here or on another device: these messages, or everything sent until now.

        Also what this device has not heard of yet: its push will come late and show nothing.
        """
        chat = hashes.hash_chat_id(chat_id)
        seen = None if messages is None else set(messages)
        gone = [
            entry
            for entry in self._unread(owner)
            if entry.chat_hash == chat and (seen is None or entry.message_id in seen)
        ]
        steps = self._finish(gone, State.READ)
        for message_id in (_READ + chat,) if seen is None else seen:
            if (owner, message_id) not in self._entries or seen is None:
                self._put(Entry(owner=owner, message_id=message_id, chat_hash=chat, state=State.READ, at=now))
        return steps

    def acted(self, action: Action, owner: KeyHash, message_id: bytes, text: str = "") -> list[Step]:
        """The user chose a button; whatever it was, the message is unread no more."""
        entry = self._entries.get((owner, message_id))
        if entry is None:
            return []
        state = State.DELETED if action is Action.DELETE else State.READ
        return [Do(action, owner, message_id, text), *self._finish([entry], state)]

    def removed(self, owner: KeyHash) -> list[Step]:
        """The account left this device."""
        gone = list(self._unread(owner))
        steps = self._finish(gone, State.DELETED)
        for name in [name for name in self._entries if name[0] == owner]:
            self._drop(name)
        return steps

    def _opened(self, incoming: Incoming, account: Account) -> Preview | None:
        if not incoming.message:
            return None
        try:
            opened = preview.open_preview(incoming.message, account.keys)
        except WireError:
            return None
        # A server could hang somebody's preview under another chat.
        return opened if preview.names_chat(incoming.chat_hash, opened.chat_id) else None

    def _take(self, owner: KeyHash, chat: Hash64, shown: Preview, now: Millis) -> list[Step]:
        known = self._entries.get((owner, shown.message_id))
        if known is not None and (known.state is not State.SHOWN or not shown.text):
            return []
        mark = self._entries.get((owner, _READ + chat))
        if mark is not None and 0 < shown.sent_at <= mark.at:
            return []  # seen on another device, before this one heard of it
        self._put(Entry(owner=owner, message_id=shown.message_id, chat_hash=chat, state=State.SHOWN, at=now))
        return [self._show(owner, chat, shown.chat_id, shown)]

    def _hint(self, incoming: Incoming, account: Account, now: Millis) -> list[Step]:
        entry = Entry(
            owner=incoming.owner,
            message_id=_HINT + incoming.chat_hash,
            chat_hash=incoming.chat_hash,
            state=State.HINTED,
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
        if hint is None or hint.state is not State.HINTED:
            return []
        return [Dismiss((_notification_id(owner, hint.message_id),), self.unread())]

    def _finish(self, gone: Iterable[Entry], state: State) -> list[Step]:
        ids = []
        for entry in gone:
            if entry.state in _UNREAD:
                ids.append(_notification_id(entry.owner, entry.message_id))
            if entry.state is State.HINTED:
                self._drop((entry.owner, entry.message_id))
            else:
                self._keep(replace(entry, state=state))
        return [Dismiss(tuple(ids), self.unread())] if ids else []

    def _unread(self, owner: KeyHash | None = None) -> Iterator[Entry]:
        return (entry for entry in tuple(self._open.values()) if owner in (None, entry.owner))

    def _put(self, entry: Entry) -> None:
        self._drop((entry.owner, entry.message_id))  # to the end: the latest
        self._keep(entry)
        self._make_room(entry.at)

    def _keep(self, entry: Entry) -> None:
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
        """Forget from the front, where the oldest are."""
        while self._entries:
            name = next(iter(self._entries))
            entry = self._entries[name]
            over = entry.state in (State.READ, State.DELETED) and entry.at + KEPT < now
            if not over and len(self._entries) <= MOST_ENTRIES:
                return
            self._drop(name)


def _notification_id(owner: KeyHash, message_id: bytes) -> str:
    return hashes.shake256(owner + message_id)[:16].hex()


def _hex(data: Mapping[str, object], name: str, length: int | None) -> bytes:
    value = data.get(name)
    if not isinstance(value, str) or not value.startswith("0x") or len(value) > 8192:
        raise Undecodable(f"{name} is no hexadecimal")
    try:
        found = bytes.fromhex(value[2:])
    except ValueError:
        raise Undecodable(f"{name} is no hexadecimal") from None
    if length is not None and len(found) != length:
        raise Undecodable(f"{name} has the wrong length")
    return found
