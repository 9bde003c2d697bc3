"""Whatever is sealed opens, whatever is altered does not, and no bytes from outside cause any other error."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.crypto import access_tokens, ciphers, ecies, grants, hashes, message_ids, secp256k1, signatures, topics
from hushbell.errors import Unauthentic, WireError
from hushbell.types import AccessToken, PublicKey, PubsubTopic, SymmetricKey

ALICE = secp256k1.key_pair_from(b"\x33" * 32)
BOB = secp256k1.key_pair_from(b"\x44" * 32)
MALLORY = secp256k1.key_pair_from(b"\x66" * 32)
KEY = SymmetricKey(b"\x55" * 32)
TOKEN = AccessToken("b6ae4fde-bb65-11ea-b3de-0242ac130004")
NONCE = bytes(range(12))
IV = bytes(range(16))

SEALERS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "gcm": (lambda text: ciphers.seal_gcm(KEY, NONCE, text), lambda data: ciphers.open_gcm(KEY, data)),
    "symmetric": (lambda t: ciphers.seal_symmetric(KEY, t, NONCE), lambda data: ciphers.open_symmetric(KEY, data)),
    "ecies": (lambda t: ecies.encrypt(ALICE.public, t, BOB, IV), lambda data: ecies.decrypt(ALICE.private, data)),
}
each_sealer = pytest.mark.parametrize("seal,unseal", SEALERS.values(), ids=SEALERS.keys())


@each_sealer
@given(text=st.binary(max_size=600))
def test_what_is_sealed_opens(seal: Callable[[bytes], bytes], unseal: Callable[[bytes], bytes], text: bytes) -> None:
    assert unseal(seal(text)) == text


@each_sealer
@given(text=st.binary(max_size=40), place=st.integers(0), bit=st.integers(0, 7))
def test_one_altered_bit_anywhere_is_noticed(
    seal: Callable[[bytes], bytes], unseal: Callable[[bytes], bytes], text: bytes, place: int, bit: int
) -> None:
    data = bytearray(seal(text))
    data[place % len(data)] ^= 1 << bit

    with pytest.raises(Unauthentic):
        unseal(bytes(data))


@each_sealer
@given(data=st.binary(max_size=200) | st.binary(max_size=120).map(lambda rest: BOB.public + rest))
def test_any_bytes_open_or_are_refused(
    seal: Callable[[bytes], bytes], unseal: Callable[[bytes], bytes], data: bytes
) -> None:
    with pytest.raises(WireError):
        unseal(data)


@each_sealer
def test_every_shortened_message_is_refused(seal: Callable[[bytes], bytes], unseal: Callable[[bytes], bytes]) -> None:
    whole = seal(b"ring")

    for length in range(len(whole)):
        with pytest.raises(Unauthentic):
            unseal(whole[:length])


def test_keys_and_nonces_of_a_wrong_shape_are_our_own_mistake() -> None:
    zero, short = SymmetricKey(bytes(32)), SymmetricKey(b"\x01" * 16)

    for call in (
        lambda: ciphers.seal_symmetric(zero, b"", NONCE),
        lambda: ciphers.open_symmetric(zero, bytes(40)),
        lambda: ciphers.seal_gcm(short, NONCE, b""),
        lambda: ciphers.open_gcm(short, bytes(40)),
        lambda: ciphers.seal_gcm(KEY, NONCE[:8], b""),
        lambda: ecies.encrypt(ALICE.public, b"", BOB, IV[:12]),
        lambda: topics.content_topic(b"abc"),
        lambda: topics.partition(PublicKey(b"short")),
        lambda: message_ids.message_id(PublicKey(b"short"), b""),
        lambda: message_ids.message_hash(PubsubTopic(""), b"", "", b"", 1 << 63),
    ):
        with pytest.raises(ValueError):
            call()


def test_an_unsigned_message_is_named_by_its_bytes_alone() -> None:
    assert message_ids.message_id(None, b"message") == hashes.keccak256(b"message")


@given(st.binary(max_size=300))
def test_payload_and_frame_signers_are_recovered(data: bytes) -> None:
    assert signatures.recover_signer(data, signatures.sign_payload(data, ALICE.private)) == ALICE.public
    assert signatures.recover_frame_signer(data, signatures.sign_frame(data, BOB.private)) == BOB.public


@given(st.binary(max_size=80), st.binary(max_size=70), st.text(max_size=40))
def test_a_grant_check_answers_whatever_it_is_given(grant: bytes, key: bytes, token: str) -> None:
    assert not grants.grant_is_valid(grant, PublicKey(key), BOB.public, AccessToken(token))
    assert not grants.grant_is_valid(grant, ALICE.public, PublicKey(key), AccessToken(token))


def test_only_contacts_read_the_access_token() -> None:
    nonces = iter([NONCE, NONCE[::-1]])
    entries = access_tokens.allowed_key_list(TOKEN, ALICE.private, [BOB.public, ALICE.public], lambda _: next(nonces))

    assert [len(entry) for entry in entries] == [64, 64]
    assert access_tokens.open_access_token([b"", *entries], BOB.private, ALICE.public) == TOKEN
    assert access_tokens.open_access_token(entries, MALLORY.private, ALICE.public) is None


def test_an_entry_that_decrypts_to_no_text_is_passed_over() -> None:
    key = SymmetricKey(secp256k1.ecdh_x(ALICE.private, BOB.public))
    binary = ciphers.seal_gcm(key, NONCE, b"\xff" * 36)
    control = ciphers.seal_gcm(key, NONCE, b"\n" * 36)
    good = access_tokens.seal_access_token(TOKEN, ALICE.private, BOB.public, NONCE)

    assert access_tokens.open_access_token([binary, control], BOB.private, ALICE.public) is None
    assert access_tokens.open_access_token([binary, control, good], BOB.private, ALICE.public) == TOKEN


def test_a_list_of_allowed_keys_is_bounded_both_ways() -> None:
    good = access_tokens.seal_access_token(TOKEN, ALICE.private, BOB.public, NONCE)
    junk = [b"junk"] * access_tokens.LIST_ENTRIES

    assert access_tokens.open_access_token([*junk[1:], good], BOB.private, ALICE.public) == TOKEN
    assert access_tokens.open_access_token([*junk, good], BOB.private, ALICE.public) is None
    with pytest.raises(ValueError, match="4096"):
        access_tokens.allowed_key_list(
            TOKEN, ALICE.private, [BOB.public] * (access_tokens.LIST_ENTRIES + 1), lambda _: NONCE
        )
    with pytest.raises(ValueError, match="36"):
        access_tokens.seal_access_token(AccessToken("short"), ALICE.private, BOB.public, NONCE)


@given(st.binary(min_size=4, max_size=4))
def test_a_content_topic_is_read_back(topic: bytes) -> None:
    assert topics.parse_content_topic(topics.content_topic(topic)) == topic


@given(st.text(max_size=40) | st.from_regex(r"/waku/[12]/0x[0-9a-fA-F]{7,9}/rfc26\n?", fullmatch=True))
def test_only_the_exact_form_is_a_content_topic(text: str) -> None:
    found = topics.parse_content_topic(text)

    assert found is None or topics.content_topic(found) == text


def test_keccak_is_not_sha3(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes.self_test()

    monkeypatch.setattr(hashes, "keccak256", hashes.shake256)

    with pytest.raises(ImportError, match="Keccak"):
        hashes.self_test()
