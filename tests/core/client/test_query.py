"""Asking how to ring somebody, and which answers are believed."""

from dataclasses import replace

import pytest

from hushbell import wire
from hushbell.core.client.query import build_query, read_response
from hushbell.core.envelope import OpenedEnvelope, open_application
from hushbell.crypto.grants import make_grant
from hushbell.crypto.hashes import hash_public_key
from hushbell.crypto.secp256k1 import key_pair_from
from hushbell.errors import Unauthentic
from hushbell.types import AccessToken, InstallationId, MessageId, PublicKey

ALICE, BOB, SERVER, MALLORY = (key_pair_from(bytes([n]) * 32) for n in range(1, 5))
EPHEMERAL = key_pair_from(b"e" * 32)
PHONE, TABLET = InstallationId("phone"), InstallationId("tablet")
TOKEN = AccessToken("b6ae4fde-bb65-11ea-b3de-0242ac130004")
ASKED = MessageId(b"q" * 32)
PENDING = {ASKED: ALICE.public}
TOLD = wire.QueryInfo(
    access_token=TOKEN,
    installation_id=PHONE,
    public_key=hash_public_key(ALICE.public),
    grant=make_grant(ALICE, SERVER.public, TOKEN),
    version=1,
)


def answered(info: wire.QueryInfo, *, server: PublicKey = SERVER.public, asked: MessageId = ASKED) -> OpenedEnvelope:
    payload = wire.encode(wire.QueryResponse(info=(info,), message_id=asked, success=True))
    return OpenedEnvelope(server, MessageId(b""), wire.ApplicationType.PUSH_NOTIFICATION_QUERY_RESPONSE, payload)


def test_a_query_is_signed_by_the_ephemeral_key_and_readable_by_every_server_of_the_topic() -> None:
    asked = build_query(ALICE.public, EPHEMERAL)

    opened = open_application(asked.application)
    assert (opened.sender, opened.message_id) == (EPHEMERAL.public, asked.message_id)
    assert wire.decode(wire.Query, opened.payload).public_keys == (hash_public_key(ALICE.public),)


def test_an_answer_is_believed_with_the_grant_of_its_server() -> None:
    [info] = read_response(answered(TOLD), PENDING, BOB.private)

    assert (info.target, info.server, info.access_token) == (ALICE.public, SERVER.public, TOKEN)


@pytest.mark.parametrize(
    "told, server",
    [
        (TOLD, MALLORY.public),
        (replace(TOLD, grant=b""), SERVER.public),
        (replace(TOLD, grant=make_grant(MALLORY, SERVER.public, TOKEN)), SERVER.public),
        (replace(TOLD, access_token="c6ae4fde-bb65-11ea-b3de-0242ac130004"), SERVER.public),
    ],
    ids=["another server's grant", "no grant", "granted by another", "another token"],
)
def test_an_answer_without_a_grant_that_covers_it_is_not_believed(told: wire.QueryInfo, server: PublicKey) -> None:
    assert read_response(answered(told, server=server), PENDING, BOB.private) == ()


def test_an_answer_to_nobodys_query_is_not_believed() -> None:
    with pytest.raises(Unauthentic):
        read_response(answered(TOLD, asked=MessageId(b"x" * 32)), PENDING, BOB.private)
