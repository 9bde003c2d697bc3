"""The unmodified client of status-go against our server: register, re-register, query, send, be refused."""

import secrets
import uuid
from typing import Any

import pytest

pytestmark = pytest.mark.interop

DEVICE_TOKEN = "0123456789abcdef" * 4


def options(**lists: Any) -> dict[str, Any]:
    return lists


async def registered(start_peer: Any, our_server: Any, key: Any = None, **arguments: Any) -> Any:
    client = await start_peer("client", our_server.bus, *arguments.pop("flags", ()), key=key)
    await client.do("add_server", public_key=our_server.identity, type="custom")
    await client.do(
        "register", device_token=DEVICE_TOKEN, token_type="APN_TOKEN", apn_topic="im.status.ethereum", **arguments
    )
    await client.event("registered")
    return client


async def test_status_go_registers_and_registers_again(start_peer: Any, our_server: Any) -> None:
    bob = await registered(start_peer, our_server)

    await bob.do("register", device_token="f" * 64, token_type="APN_TOKEN", apn_topic="im.status.ethereum")

    answer = await bob.event("registration_response", number=2)
    assert answer["decoded"]["success"] is True


async def test_status_go_finds_and_rings_a_phone_through_us(
    start_peer: Any, our_server: Any, gorush: Any, new_key: Any
) -> None:
    bobs_key = new_key()
    await registered(start_peer, our_server, key=bobs_key)
    alice = await start_peer("client", our_server.bus)
    message_id = secrets.token_bytes(32)

    sent = await alice.do(
        "send_notification",
        public_keys=[bobs_key.public.hex()],
        message_id=message_id.hex(),
        chat_id="0x" + bobs_key.public.hex(),
        type="MESSAGE",
    )

    response = await alice.event("push_response")
    assert len(sent["sent_to"]) == 1
    assert response["decoded"]["message_id"] == message_id.hex()
    assert [report["success"] for report in response["decoded"]["reports"]] == [True]
    await gorush.wait_for(1, "gorush")
    body = gorush.requests[0].json
    assert body["notifications"][0]["tokens"] == [DEVICE_TOKEN]
    assert body["notifications"][0]["message"] == "You have a new message"


async def test_a_chat_message_with_a_stale_token_is_refused_then_asked_for_and_sent_again(
    start_peer: Any, our_server: Any, gorush: Any, new_key: Any
) -> None:
    bobs_key, alices_key, carols_key = new_key(), new_key(), new_key()
    both = [alices_key.public.hex(), carols_key.public.hex()]
    bob = await registered(start_peer, our_server, key=bobs_key, options=options(contact_ids=both))
    alice = await start_peer("client", our_server.bus, key=alices_key)
    await alice.do("send_chat", public_key=bobs_key.public.hex(), text="first")
    await alice.event("push_response")

    await bob.do("reregister", options=options(contact_ids=both[:1]))
    await bob.event("registration_response", number=2)
    await alice.do("send_chat", public_key=bobs_key.public.hex(), text="second")

    refused = await alice.event("push_response", number=2)
    accepted = await alice.event("push_response", number=3)
    assert refused["decoded"]["reports"][0]["error"] == "WRONG_TOKEN"
    assert accepted["decoded"]["reports"][0]["success"] is True
    await gorush.wait_for(2, "gorush")


async def test_contacts_only_lets_a_contact_ring_and_nobody_else(
    start_peer: Any, our_server: Any, gorush: Any, new_key: Any
) -> None:
    bobs_key, alices_key = new_key(), new_key()
    await registered(
        start_peer,
        our_server,
        key=bobs_key,
        flags=("-contacts-only",),
        options=options(contact_ids=[alices_key.public.hex()]),
    )
    alice = await start_peer("client", our_server.bus, key=alices_key)
    mallory = await start_peer("client", our_server.bus)

    await mallory.do("query", public_key=bobs_key.public.hex())
    await alice.do("query", public_key=bobs_key.public.hex())
    await alice.event("query_response")
    await mallory.event("query_response")

    assert len((await alice.do("info", public_key=bobs_key.public.hex()))["info"]) == 1
    assert (await mallory.do("info", public_key=bobs_key.public.hex()))["info"] == []


async def test_unregistering_stops_the_ringing(start_peer: Any, our_server: Any, new_key: Any) -> None:
    bobs_key = new_key()
    bob = await registered(start_peer, our_server, key=bobs_key)

    await bob.do("unregister")

    answer = await bob.event("registration_response", number=2)
    assert answer["decoded"]["success"] is True


@pytest.mark.parametrize(
    "message, extra, error",
    [
        pytest.param({"version": 0}, {}, "VERSION_MISMATCH", id="version 0"),
        pytest.param({"installation_id": "abc"}, {}, "MALFORMED_MESSAGE", id="no UUID"),
        pytest.param({"device_token": ""}, {}, "MALFORMED_MESSAGE", id="no device token"),
        pytest.param({}, {"grant_token": str(uuid.uuid4())}, "MALFORMED_MESSAGE", id="grant for another token"),
        pytest.param({"token_type": 9}, {}, "UNSUPPORTED_TOKEN_TYPE", id="unknown token type"),
        pytest.param({}, {"plaintext_hex": "ffffff"}, "MALFORMED_MESSAGE", id="garbage inside"),
    ],
)
async def test_status_go_is_refused_with_the_code_of_the_rule(
    start_peer: Any, our_server: Any, message: dict[str, Any], extra: dict[str, Any], error: str
) -> None:
    client = await start_peer("client", our_server.bus)
    complete = {
        "token_type": 1,
        "device_token": DEVICE_TOKEN,
        "installation_id": str(uuid.uuid4()),
        "access_token": str(uuid.uuid4()),
        "enabled": True,
        "version": 1,
    }

    await client.do("raw_register", server=our_server.identity, message={**complete, **message}, **extra)

    answer = await client.event("registration_response")
    assert answer["decoded"].get("success", False) is False
    assert answer["decoded"]["error"] == error
