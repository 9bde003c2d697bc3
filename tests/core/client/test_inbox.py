"""The phone's side: the right account and chat, each message once, counts that never lie."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.core.client import inbox, preview
from hushbell.core.client.inbox import (
    Action,
    ChatMessage,
    Dismiss,
    EntryState,
    Fetch,
    Inbox,
    InboxAccount,
    Perform,
    PushData,
    Show,
)
from hushbell.core.client.preview import Preview
from hushbell.crypto import hashes, secp256k1
from hushbell.errors import Undecodable
from hushbell.types import Hash64, KeyPair, Millis

DRAW = random.Random(9).randbytes
ALICE, BOB, WORK = (secp256k1.key_pair(DRAW) for _ in range(3))
NOW = Millis(1_600_000_000_000)
CHAT = hashes.contact_id(ALICE.public)
CHAT_HASH = hashes.hash_chat_id(CHAT)
ACCOUNTS = {hashes.hash_public_key(keys.public): InboxAccount(keys, {CHAT_HASH: CHAT}) for keys in (BOB, WORK)}
OWNER = hashes.hash_public_key(BOB.public)


def push(number: int = 1, text: str = "Hello", to: KeyPair = BOB, chat: str = CHAT, sent_at: int = NOW) -> PushData:
    said = Preview(
        message_id=bytes([number]) * 32, chat_id=chat, author=ALICE.public, text=text, sent_at=Millis(sent_at)
    )
    sealed = preview.seal(said, ALICE, to.public, DRAW)
    return PushData(hashes.hash_public_key(to.public), hashes.hash_chat_id(chat), sealed)


def bare(to: KeyPair = BOB, chat_hash: Hash64 = CHAT_HASH) -> PushData:
    return PushData(hashes.hash_public_key(to.public), chat_hash, b"")


def message(number: int = 1, text: str = "Hello", author: KeyPair = ALICE, sent_at: int = NOW) -> ChatMessage:
    return ChatMessage(
        message_id=bytes([number]) * 32, chat_id=CHAT, author=author.public, text=text, sent_at=Millis(sent_at)
    )


def test_a_push_shows_its_preview_in_the_right_chat_of_the_right_account() -> None:
    box = Inbox()

    (shown,) = box.on_push(push(to=WORK), ACCOUNTS, NOW)

    assert isinstance(shown, Show)
    assert shown.owner == hashes.hash_public_key(WORK.public)
    assert (shown.chat_id, shown.author, shown.text, shown.badge) == (CHAT, ALICE.public, "Hello", 1)
    assert shown.link == f"hushbell://{shown.owner[:8].hex()}/chat/{CHAT_HASH.hex()}/{'01' * 32}"
    assert shown.category == inbox.CATEGORY


def test_an_account_that_is_not_on_this_device_rings_nothing() -> None:
    box = Inbox()

    assert box.on_push(push(to=ALICE), ACCOUNTS, NOW) == []
    assert box.unread() == 0


def test_two_servers_and_the_message_itself_are_one_notification() -> None:
    box = Inbox()
    (first,) = box.on_push(push(), ACCOUNTS, NOW)

    again = box.on_push(push(), ACCOUNTS, NOW)
    arrived = box.on_message(message(), ACCOUNTS[OWNER], NOW)

    assert isinstance(first, Show)
    assert [one.id for one in (*again, *arrived) if isinstance(one, Show)] == [first.id] * 2  # replaced, not added
    assert box.unread() == 1


def test_without_text_the_message_is_fetched_and_replaces_the_notification() -> None:
    box = Inbox()

    shown, fetch = box.on_push(push(text=""), ACCOUNTS, NOW)
    (filled,) = box.on_message(message(), ACCOUNTS[OWNER], NOW)

    assert isinstance(shown, Show)
    assert isinstance(filled, Show)
    assert fetch == Fetch(OWNER, CHAT_HASH, b"\1" * 32)
    assert filled.id == shown.id
    assert filled.text == "Hello"


@pytest.mark.parametrize("garbage", [b"", b"\x01" * 448, b"x"])
def test_a_push_that_says_nothing_readable_is_a_hint_until_the_message_comes(garbage: bytes) -> None:
    box = Inbox()

    hint, fetch = box.on_push(PushData(OWNER, CHAT_HASH, garbage), ACCOUNTS, NOW)
    assert isinstance(hint, Show)
    assert (hint.text, hint.chat_id, hint.badge) == ("", CHAT, 1)
    assert fetch == Fetch(OWNER, CHAT_HASH, None)

    dismissed, shown = box.on_message(message(), ACCOUNTS[OWNER], NOW)
    assert dismissed == Dismiss((hint.id,), 0)
    assert isinstance(shown, Show)
    assert box.unread() == 1


def test_a_preview_hung_under_another_chat_is_not_believed() -> None:
    box = Inbox()
    honest = push()

    hint, _ = box.on_push(PushData(OWNER, hashes.hash_chat_id("other"), honest.message), ACCOUNTS, NOW)

    assert isinstance(hint, Show)
    assert hint.text == ""


def test_reading_dismisses_and_the_other_chats_stay() -> None:
    box = Inbox()
    box.on_push(push(1), ACCOUNTS, NOW)
    box.on_push(push(2, chat="other"), ACCOUNTS, NOW)

    (gone,) = box.mark_read(OWNER, CHAT, NOW)

    assert isinstance(gone, Dismiss)
    assert (len(gone.ids), gone.badge) == (1, 1)
    assert box.mark_read(OWNER, CHAT, NOW) == []


def test_what_was_read_elsewhere_before_its_push_came_is_not_shown() -> None:
    box = Inbox()

    box.mark_read(OWNER, CHAT, NOW, [b"\1" * 32])

    assert box.on_push(push(1), ACCOUNTS, NOW) == []
    assert box.unread() == 0


def test_a_chat_that_was_read_until_now_shows_only_what_was_sent_later() -> None:
    box = Inbox()

    box.mark_read(OWNER, CHAT, NOW)

    assert box.on_push(push(1, sent_at=NOW - 1), ACCOUNTS, NOW) == []
    assert box.on_message(message(2, sent_at=NOW), ACCOUNTS[OWNER], NOW) == []
    assert len(box.on_push(push(3, sent_at=NOW + 1), ACCOUNTS, NOW)) == 1


def test_what_we_wrote_ourselves_on_another_device_is_no_news() -> None:
    box = Inbox()

    assert box.on_message(message(author=BOB), ACCOUNTS[OWNER], NOW) == []


@pytest.mark.parametrize("action", list(Action))
def test_a_button_ends_the_notification_and_tells_the_app(action: Action) -> None:
    box = Inbox()
    box.on_push(push(), ACCOUNTS, NOW)

    done, gone = box.on_action(action, OWNER, b"\1" * 32, "Yes")

    assert done == Perform(action, OWNER, b"\1" * 32, "Yes")
    assert isinstance(gone, Dismiss)
    assert box.unread() == 0
    assert box.on_push(push(), ACCOUNTS, NOW) == []
    assert box.on_action(action, OWNER, b"?" * 32) == []


def test_an_account_that_leaves_takes_its_notifications_with_it() -> None:
    box = Inbox()
    box.on_push(push(1), ACCOUNTS, NOW)
    box.on_push(push(2, to=WORK), ACCOUNTS, NOW)

    (gone,) = box.remove_account(OWNER)

    assert isinstance(gone, Dismiss)
    assert gone.badge == 1
    assert {entry.owner for entry in box.entries} == {hashes.hash_public_key(WORK.public)}


def test_a_restart_remembers_what_was_read() -> None:
    box = Inbox()
    box.on_push(push(1), ACCOUNTS, NOW)
    box.mark_read(OWNER, CHAT, NOW)

    again = Inbox(box.entries)

    assert again.on_push(push(1), ACCOUNTS, NOW) == []


def test_memory_is_bounded() -> None:
    box = Inbox()
    for number in range(inbox.MAX_ENTRIES + 50):
        box.mark_read(OWNER, CHAT, NOW, [number.to_bytes(32)])

    assert len(box.entries) <= inbox.MAX_ENTRIES


@pytest.mark.parametrize(
    "change",
    [
        {"publicKey": None},
        {"publicKey": "0x00"},
        {"publicKey": "00" * 64},
        {"chatId": "0x" + "zz" * 64},
        {"chatId": 5},
        {"encryptedMessage": None},
        {"encryptedMessage": "0x" + "00" * 5000},
    ],
)
def test_data_that_no_server_of_ours_fills_in_is_refused(change: dict[str, Any]) -> None:
    data = {"publicKey": "0x" + "00" * 64, "chatId": "0x" + "11" * 64, "encryptedMessage": "0x"}
    assert inbox.read_data(data).message == b""

    with pytest.raises(Undecodable):
        inbox.read_data(data | change)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(1, 5)),
        st.tuples(st.just("bare"), st.just(0)),
        st.tuples(st.just("message"), st.integers(1, 5)),
        st.tuples(st.just("read"), st.integers(0, 5)),
        st.tuples(st.sampled_from(["reply", "mark_read", "delete"]), st.integers(1, 5)),
    ),
    max_size=20,
)


@given(STEPS)
def test_the_count_is_what_is_on_the_screen(steps: list[tuple[str, int]]) -> None:
    box, screen = Inbox(), dict[str, Show]()
    for at, (step, number) in enumerate(steps):
        now = Millis(NOW + at)
        match step:
            case "push":
                taken = box.on_push(push(number, sent_at=now), ACCOUNTS, now)
            case "bare":
                taken = box.on_push(bare(), ACCOUNTS, now)
            case "message":
                taken = box.on_message(message(number, sent_at=now), ACCOUNTS[OWNER], now)
            case "read":
                taken = box.mark_read(OWNER, CHAT, now, [bytes([number]) * 32] if number else None)
            case _:
                taken = box.on_action(Action(step), OWNER, bytes([number]) * 32)
        for one in taken:
            if isinstance(one, Show):
                screen[one.id] = one
            elif isinstance(one, Dismiss):
                for gone in one.ids:
                    del screen[gone]
            if isinstance(one, Show | Dismiss):
                assert one.badge <= len(screen) + 1
        assert box.unread() == len(screen)
        states = [entry.state for entry in box.entries]
        assert sum(state in (EntryState.SHOWN, EntryState.HINTED) for state in states) == len(screen)
