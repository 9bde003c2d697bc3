"""Previews: only the recipient reads them, only the author writes them, and four lengths are all that shows."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.core.client import preview
from hushbell.core.client.preview import Preview
from hushbell.crypto import secp256k1
from hushbell.errors import WireError
from hushbell.types import Millis

DRAW = random.Random(5).randbytes
ALICE, BOB, MALLORY = (secp256k1.key_pair(DRAW) for _ in range(3))
HELLO = Preview(
    message_id=b"m" * 32, chat_id="0x04chat", author=ALICE.public, text="Hello Bob", sent_at=Millis(1_600_000_000_000)
)


def test_the_recipient_reads_what_the_author_wrote() -> None:
    assert preview.open_preview(preview.seal(HELLO, ALICE, BOB.public, DRAW), BOB) == HELLO


@given(st.text(max_size=3000), st.integers(0, 2**53))
def test_any_text_comes_back_whole_or_cut_and_only_four_lengths_are_seen(text: str, at: int) -> None:
    text = text.encode("utf-8", "replace").decode()
    said = replace(HELLO, text=text, sent_at=Millis(at))

    sealed = preview.seal(said, ALICE, BOB.public, DRAW)
    opened = preview.open_preview(sealed, BOB)

    assert len(sealed) in preview.SIZES
    assert text.startswith(opened.text)
    assert opened.cut == (opened.text != text)


def test_a_message_id_alone_takes_the_smallest_size() -> None:
    sealed = preview.seal(replace(HELLO, text=""), ALICE, BOB.public, DRAW)

    assert len(sealed) == preview.SIZES[0]


def test_the_largest_fits_into_what_apple_takes() -> None:
    hexadecimal = 2 + 2 * preview.SIZES[-1]

    assert hexadecimal + 2 * 130 + 300 < 4096  # with the two hashes and the words around them


def test_nobody_else_reads_it() -> None:
    with pytest.raises(WireError):
        preview.open_preview(preview.seal(HELLO, ALICE, BOB.public, DRAW), MALLORY)


def test_nobody_else_writes_in_the_authors_name() -> None:
    with pytest.raises(WireError, match="sign"):
        preview.open_preview(preview.seal(HELLO, MALLORY, BOB.public, DRAW), BOB)


def test_what_was_written_for_one_cannot_be_passed_on_to_another() -> None:
    opened = preview.open_preview(preview.seal(HELLO, ALICE, BOB.public, DRAW), BOB)

    with pytest.raises(WireError, match="sign"):
        preview.open_preview(preview.seal(opened, BOB, MALLORY.public, DRAW), MALLORY)


@given(st.integers(0, preview.SIZES[0] - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, change: int) -> None:
    sealed = bytearray(preview.seal(replace(HELLO, text=""), ALICE, BOB.public, DRAW))
    sealed[place] ^= change

    with pytest.raises(WireError):
        preview.open_preview(bytes(sealed), BOB)


@given(
    st.binary(max_size=400)
    | st.sampled_from(preview.SIZES).flatmap(lambda size: st.binary(min_size=size, max_size=size))
)
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        preview.open_preview(data, BOB)


def test_the_same_words_never_look_the_same() -> None:
    assert preview.seal(HELLO, ALICE, BOB.public, DRAW) != preview.seal(HELLO, ALICE, BOB.public, DRAW)


def test_a_chat_id_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="chat id"):
        preview.seal(replace(HELLO, chat_id="x" * 2000), ALICE, BOB.public, DRAW)


def test_no_text_is_shown_in_logs() -> None:
    assert "Hello" not in repr(HELLO)
    assert "0x04chat" not in repr(HELLO)


VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "preview.json").read_bytes())


@pytest.mark.parametrize("vector", VECTORS["previews"], ids=lambda vector: str(len(vector["sealed"]) // 2))
def test_previews_that_none_of_our_code_made_are_read(vector: dict[str, Any]) -> None:
    recipient = secp256k1.key_pair_from(bytes.fromhex(VECTORS["recipient_private"]))
    fields = vector["fields"]

    opened = preview.open_preview(bytes.fromhex(vector["sealed"]), recipient)

    assert opened.message_id.hex() == fields["id"]
    assert opened.chat_id == fields["chat"]
    assert secp256k1.compress(opened.author).hex() == VECTORS["author"]
    assert (opened.text, opened.cut, opened.sent_at) == (fields.get("text", ""), "cut" in fields, fields["at"])
