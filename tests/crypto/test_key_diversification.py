"""Keys of epochs: what contacts compute is what the owner holds, and the published vectors stay true."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.crypto import key_diversification, secp256k1
from hushbell.errors import Unauthentic
from hushbell.types import PublicKey

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "anonymous-mode.json").read_bytes())
SCALARS = st.integers(1, key_diversification.ORDER - 1).map(lambda scalar: scalar.to_bytes(32))
SECRETS = st.binary(min_size=32, max_size=32)


@pytest.mark.parametrize("vector", VECTORS["epochs"], ids=lambda vector: str(vector["epoch"]))
def test_the_published_vectors_are_reproduced(vector: dict[str, str]) -> None:
    root = secp256k1.key_pair_from(bytes.fromhex(VECTORS["root_private"]))
    secret = bytes.fromhex(vector["secret"])

    key = key_diversification.period_key(root, secret)

    assert key.private.hex() == vector["private"]
    assert secp256k1.compress(key.public).hex() == vector["address"]
    assert key_diversification.period_address(root.public, secret) == key.public
    assert key_diversification.next_secret(secret).hex() == vector["next_secret"]


@given(SCALARS, SECRETS)
def test_a_contact_computes_the_address_of_the_owners_key(private: bytes, secret: bytes) -> None:
    root = secp256k1.key_pair_from(private)

    assert (
        key_diversification.period_address(root.public, secret) == key_diversification.period_key(root, secret).public
    )


@given(SCALARS, SECRETS)
def test_epochs_share_nothing_that_can_be_seen(private: bytes, secret: bytes) -> None:
    root = secp256k1.key_pair_from(private)

    today = key_diversification.period_key(root, secret)
    tomorrow = key_diversification.period_key(root, key_diversification.next_secret(secret))

    assert len({root.public, today.public, tomorrow.public}) == 3


def test_two_personas_of_one_secret_are_strangers() -> None:
    one, other = (secp256k1.key_pair_from(bytes([n]) * 32) for n in (1, 2))
    secret = bytes(32)

    assert key_diversification.period_key(one, secret).private != key_diversification.period_key(other, secret).private


@pytest.mark.parametrize("secret", [b"", bytes(31), bytes(33)])
def test_a_secret_of_another_length_is_refused(secret: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        key_diversification.next_secret(secret)


def test_what_is_no_point_has_no_address() -> None:
    with pytest.raises(Unauthentic):
        key_diversification.period_address(PublicKey(b"\x04" + bytes(64)), bytes(32))
