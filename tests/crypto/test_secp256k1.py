"""Keys and signatures at the edges of the curve, against other people's values and another implementation."""

from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from hushbell.crypto import message_ids, secp256k1, topics
from hushbell.errors import Unauthentic
from hushbell.types import KeyPair, PrivateKey, PublicKey, PubsubTopic, Signature

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
FIELD = 2**256 - 2**32 - 977
ALICE = secp256k1.key_pair_from(b"\x33" * 32)
BOB = secp256k1.key_pair_from(b"\x44" * 32)
DIGEST = bytes(range(32))
NOT_SCALARS = [b"", b"\x01" * 31, b"\x01" * 33, bytes(32), ORDER.to_bytes(32), b"\xff" * 32]

pairs = st.integers(1, ORDER - 1).map(lambda number: secp256k1.key_pair_from(number.to_bytes(32)))
digests = st.binary(min_size=32, max_size=32)


def independent(pair: KeyPair) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(pair.private), ec.SECP256K1())


def test_go_ethereums_static_shared_secret_is_reproduced() -> None:
    mine = PrivateKey(bytes.fromhex("7ebbc6a8358bc76dd73ebc557056702c8cfc34e5cfcd90eb83af0347575fd2ad"))
    other = PrivateKey(bytes.fromhex("6a3d6396903245bba5837752b9e0348874e72db0c4e11e9c485a81b4ea4353b9"))

    shared = secp256k1.ecdh_x(mine, secp256k1.public_key(other))

    assert shared.hex() == "167ccc13ac5e8a26b131c3446030c60fbfac6aa8e31149d0869f93626a4cdf62"


def test_go_ethereums_key_with_a_leading_zero_keeps_its_length() -> None:
    one = PrivateKey(bytes.fromhex("1adf5c18167d96a1f9a0b1ef63be8aa27eaf6032c233b2b38f7850cf5b859fd9"))
    two = PrivateKey(bytes.fromhex("0097a076fc7fcd9208240668e31c9abee952cbb6e375d1b8febc7499d6e16f1a"))
    assert secp256k1.public_key(one)[1:33].hex() == "1a8ed022ff7aec59dc1b440446bdda5ff6bcb3509a8b109077282b361efffbd8"
    assert secp256k1.public_key(two)[1:33].hex() == "6ab3ac374251f638d0abb3ef596d1dc67955b507c104e5f2009724812dc027b8"

    shared = secp256k1.ecdh_x(one, secp256k1.public_key(two))

    assert shared == secp256k1.ecdh_x(two, secp256k1.public_key(one))
    assert len(shared) == 32


def test_go_ethereums_signature_names_its_signer() -> None:
    digest = bytes.fromhex("ce0677bb30baa8cf067c88db9811f4333d131bf8bcf12fe7065d211dce971008")
    signature = bytes.fromhex(
        "90f27b8b488db00b00606796d2987f6a5f59ae62ea05effe84fef5b8b0e54998"
        "4a691139ad57a3f0b906637673aa2f63d1f55cb1a69199d4009eea23ceaddc9301"
    )

    signer = secp256k1.recover(digest, signature)

    assert signer.hex() == (
        "04e32df42865e97135acfb65f3bae71bdc86f4d49150ad6a440b6f15878109880a"
        "0a2b2667f7e725ceea70c673093bf67663e0312623c8e091b13cf2c0f11ef652"
    )


def test_go_wakus_message_hash_is_reproduced() -> None:
    payload = bytes.fromhex("01020304") + b"TEST" + bytes.fromhex("05060708")
    shard = PubsubTopic("/waku/2/default-waku/proto")

    found = message_ids.message_hash(shard, payload, "/waku/2/default-content/proto", b"", 123456789123456789)

    assert found.hex() == "f0183c2e370e473ff471bbe1028d0d8a940949c02f3007a1ccd21fed356852a0"


@pytest.mark.parametrize(
    "private,number",
    [
        ("c6cbd7d76bc5baca530c875663711b947efa6a86a900a9e8645ce32e5821484e", 4490),
        ("d51dd64ad19ea84968a308dca246012c00d2b2101d41bce740acd1c650acc509", 3991),
    ],
)
def test_status_gos_partitions_are_reproduced(private: str, number: int) -> None:
    assert topics.partition(secp256k1.public_key(PrivateKey(bytes.fromhex(private)))) == number


@pytest.mark.parametrize("private", NOT_SCALARS, ids=len)
def test_what_is_no_scalar_is_refused_everywhere(private: bytes) -> None:
    with pytest.raises(ValueError, match="private key"):
        secp256k1.key_pair_from(private)
    with pytest.raises(ValueError, match="private key"):
        secp256k1.sign(DIGEST, PrivateKey(private))
    with pytest.raises(ValueError, match="private key"):
        secp256k1.ecdh_x(PrivateKey(private), ALICE.public)


NOT_POINTS = {
    "nothing": b"",
    "infinity": b"\x00",
    "infinity, long": bytes(65),
    "zeros": b"\x04" + bytes(64),
    "x not below the field": b"\x02" + FIELD.to_bytes(32),
    "x not below the field, long": b"\x04" + (FIELD + 1).to_bytes(32) + ALICE.public[33:],
    "x of no point": b"\x02" + (5).to_bytes(32),
    "off the curve": ALICE.public[:64] + bytes((ALICE.public[64] ^ 1,)),
    "hybrid": bytes((6 | ALICE.public[64] & 1,)) + ALICE.public[1:],
    "compressed after 04": b"\x04" + ALICE.public[1:33],
    "long after 02": b"\x02" + ALICE.public[1:],
    "one byte short": ALICE.public[:-1],
    "one byte more": ALICE.public + b"\x00",
}


@pytest.mark.parametrize("data", NOT_POINTS.values(), ids=NOT_POINTS.keys())
def test_what_is_no_point_is_refused_everywhere(data: bytes) -> None:
    with pytest.raises(Unauthentic):
        secp256k1.parse_public_key(data)
    with pytest.raises(Unauthentic):
        secp256k1.ecdh_x(ALICE.private, PublicKey(data))


def test_a_key_is_drawn_again_until_it_is_a_scalar() -> None:
    draws = iter([bytes(32), b"\xff" * 32, ALICE.private])

    assert secp256k1.key_pair(lambda _: next(draws)) == ALICE


def test_a_broken_source_of_randomness_does_not_hang() -> None:
    broken = cycle([bytes(32), b"short"])

    with pytest.raises(ValueError, match="randomness"):
        secp256k1.key_pair(lambda _: next(broken))


def test_a_high_s_is_taken_and_names_the_same_key() -> None:
    signature = secp256k1.sign(DIGEST, ALICE.private)
    s = int.from_bytes(signature[32:64])
    assert s <= ORDER // 2

    mirrored = signature[:32] + (ORDER - s).to_bytes(32) + bytes((signature[64] ^ 1,))

    assert secp256k1.recover(DIGEST, mirrored) == ALICE.public


@pytest.mark.parametrize("v", [4, 27, 28, 255])
def test_a_recovery_id_above_three_is_refused(v: int) -> None:
    with pytest.raises(Unauthentic):
        secp256k1.recover(DIGEST, secp256k1.sign(DIGEST, ALICE.private)[:64] + bytes((v,)))


@pytest.mark.parametrize("r,s", [(0, 1), (1, 0), (ORDER, 1), (1, ORDER), (5, 1), (2**256 - 1, 2**256 - 1)])
def test_numbers_out_of_range_are_no_signature(r: int, s: int) -> None:
    with pytest.raises(Unauthentic):
        secp256k1.recover(DIGEST, r.to_bytes(32) + s.to_bytes(32) + b"\x00")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_digest_of_another_length_never_reaches_the_library(length: int) -> None:
    with pytest.raises(ValueError, match="digest"):
        secp256k1.sign(bytes(length), ALICE.private)
    with pytest.raises(ValueError, match="digest"):
        secp256k1.recover(bytes(length), bytes(65))


@given(pairs, digests)
def test_the_signer_is_recovered_and_another_implementation_agrees(pair: KeyPair, digest: bytes) -> None:
    signature = secp256k1.sign(digest, pair.private)

    assert secp256k1.recover(digest, signature) == pair.public
    der = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:64]))
    public = independent(pair).public_key()
    public.verify(der, digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    with pytest.raises(InvalidSignature):
        public.verify(der, bytes((digest[0] ^ 1,)) + digest[1:], ec.ECDSA(Prehashed(hashes.SHA256())))


@given(pairs, pairs)
def test_both_sides_share_the_x_that_another_implementation_computes(one: KeyPair, two: KeyPair) -> None:
    shared = secp256k1.ecdh_x(one.private, two.public)

    assert shared == secp256k1.ecdh_x(two.private, one.public)
    assert shared == independent(one).exchange(ec.ECDH(), independent(two).public_key())


@given(pairs)
def test_both_forms_of_a_key_are_the_same_key(pair: KeyPair) -> None:
    compressed = secp256k1.compress(pair.public)

    assert secp256k1.parse_public_key(compressed) == secp256k1.parse_public_key(pair.public) == pair.public
    with pytest.raises(ValueError, match="65 bytes"):
        secp256k1.compress(PublicKey(compressed))


@given(digests, st.binary(max_size=70) | st.binary(min_size=64, max_size=64).map(lambda b: b + b"\x01"))
def test_any_bytes_are_a_signature_of_some_key_or_refused(digest: bytes, signature: bytes) -> None:
    try:
        public = secp256k1.recover(digest, signature)
    except Unauthentic:
        return

    assert secp256k1.parse_public_key(public) == public


def test_threads_do_not_disturb_each_other() -> None:
    def work(number: int) -> tuple[bytes, bytes, Signature]:
        digest = number.to_bytes(32)
        signature = secp256k1.sign(digest, BOB.private)
        return secp256k1.recover(digest, signature), secp256k1.ecdh_x(ALICE.private, BOB.public), signature

    alone = [work(number) for number in range(300)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(300))) == alone


def test_a_private_key_does_not_show() -> None:
    assert ALICE.private.hex() not in repr(ALICE)
    assert repr(bytes(ALICE.private)) not in repr(ALICE)
