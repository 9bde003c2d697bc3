"""Message encryption for browsers, against the appendix of RFC 8291."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hushbell.crypto import web_push

PLAINTEXT = b"When I grow up, I want to be a watermelon"
RECEIVER = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
SENDER = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
    "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


KEY = ec.derive_private_key(int.from_bytes(raw(SENDER), "big"), ec.SECP256R1())
TO = web_push.receiver(raw(RECEIVER))


def test_the_example_of_the_rfc_comes_out_byte_for_byte() -> None:
    assert web_push.encrypt(PLAINTEXT, TO, raw(AUTH), KEY, raw(SALT)) == raw(BODY)


def test_padding_lengthens_a_message_to_what_is_allowed() -> None:
    body = web_push.encrypt(b"hi", TO, raw(AUTH), KEY, raw(SALT), padding=web_push.MAX_PLAINTEXT - 2)

    assert len(body) == 4096
    with pytest.raises(ValueError):
        web_push.encrypt(b"hi", TO, raw(AUTH), KEY, raw(SALT), padding=web_push.MAX_PLAINTEXT - 1)


@pytest.mark.parametrize(
    "point", [b"", bytes(65), b"\x04" + bytes(64), raw(RECEIVER)[:-1], b"\x02" + raw(RECEIVER)[1:33]]
)
def test_what_is_no_point_is_no_key(point: bytes) -> None:
    with pytest.raises(ValueError):
        web_push.receiver(point)


@pytest.mark.parametrize("unpredictable", [bytes(48), b"\xff" * 48])
def test_any_randomness_makes_a_key(unpredictable: bytes) -> None:
    key = web_push.new_key(lambda size: unpredictable[:size])

    assert len(web_push.public_bytes(key.public_key())) == 65
