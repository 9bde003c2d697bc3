"""Wrappers around application messages that are no encryption."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hushbell.errors import TooLarge
from hushbell.wire import ApplicationMessage, ProtocolMessage, encode, is_datasync, unwrap_protocol_message

INNER = encode(ApplicationMessage(signature=bytes(65), payload=b"\xff\xfe", type=15))


def test_a_public_message_is_unwrapped_with_or_without_bundles() -> None:
    assert unwrap_protocol_message(encode(ProtocolMessage(public_message=INNER))) == INNER
    assert unwrap_protocol_message(encode(ProtocolMessage(installation_id="a", public_message=INNER))) == INNER


@given(
    st.builds(
        ApplicationMessage, signature=st.binary(max_size=70), payload=st.binary(max_size=99), type=st.integers(0, 99)
    )
)
def test_a_bare_application_message_is_left_as_it_is(message: ApplicationMessage) -> None:
    assert unwrap_protocol_message(encode(message)) == encode(message)


def test_a_payload_that_reads_as_text_is_left_as_it_is() -> None:
    data = encode(ApplicationMessage(signature=bytes(65), payload=b"plain text", type=18))

    assert unwrap_protocol_message(data) == data


@given(st.binary(max_size=99))
def test_any_bytes_pass_or_are_unwrapped(data: bytes) -> None:
    found = unwrap_protocol_message(data)

    assert found == data or found in data


def test_an_encrypted_message_is_left_as_it_is() -> None:
    data = encode(ProtocolMessage(installation_id="a", encrypted_message={"b": b"secret"}))

    assert unwrap_protocol_message(data) == data


def test_what_is_too_large_is_refused() -> None:
    with pytest.raises(TooLarge):
        unwrap_protocol_message(bytes(11), limit=10)


@pytest.mark.parametrize("number", [5001, 5002, 5003, 5004, 5005])
def test_data_synchronisation_is_recognised(number: int) -> None:
    tag = number << 3 | 2
    field = bytes([tag & 0x7F | 0x80, tag >> 7 & 0x7F | 0x80, tag >> 14]) + b"\x02ab"

    assert is_datasync(field)
    assert not is_datasync(field, limit=2)
    assert not is_datasync(field[:-1])


@given(st.binary(max_size=99))
def test_any_bytes_are_data_synchronisation_or_not(data: bytes) -> None:
    assert is_datasync(data) in (True, False)
    assert not is_datasync(INNER)
    assert not is_datasync(b"")
