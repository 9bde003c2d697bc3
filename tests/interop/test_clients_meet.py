"""Our client and the unmodified client of status-go ring each other, through our server and through status-go's."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hushbell.core.client.events import DevicesFound, Result
from hushbell.core.client.registration import Options
from hushbell.crypto import secp256k1
from hushbell.crypto.hashes import contact_id
from hushbell.testing.mock.server import MockProviders
from hushbell.transports.socket import SocketBusServer
from hushbell.types import KeyPair, PublicKey

pytestmark = pytest.mark.interop

OUR_TOKEN, THEIR_TOKEN = "0123456789abcdef" * 4, "f" * 64


@dataclass(frozen=True)
class Hub:
    """A server of either make, and the bus it is on."""

    bus: Path
    key: PublicKey


@pytest.fixture(params=["hushbell", "status-go"])
async def hub(
    request: pytest.FixtureRequest, tmp_path: Path, gorush: MockProviders, start_our_server: Any, start_peer: Any
) -> AsyncIterator[Hub]:
    if request.param == "hushbell":
        server = await start_our_server()
        yield Hub(server.bus, PublicKey(bytes.fromhex(server.identity)))
    else:
        key, path = secp256k1.key_pair(secrets.token_bytes), tmp_path / "hub.sock"
        bus = await SocketBusServer.listen(path)
        await start_peer("server", path, "-gorush", gorush.plain_url, key=key)
        yield Hub(path, key.public)
        await bus.close()


async def status_go(start_peer: Any, hub: Hub, key: KeyPair, *flags: str, options: Any = None) -> Any:
    """Start status-go's client and register it."""
    client = await start_peer("client", hub.bus, *flags, key=key)
    await client.do("add_server", public_key=hub.key.hex(), type="custom")
    await client.do(
        "register", device_token=THEIR_TOKEN, token_type="APN_TOKEN", apn_topic="im.status", options=options or {}
    )
    await client.event("registered")
    return client


async def ours(new_device: Any, hub: Hub, **options: Any) -> Any:
    """Start our client and register it."""
    device = await new_device(hub.bus)
    await device.account.enable(OUR_TOKEN, servers=[hub.key], apn_topic="im.status", options=Options(**options))
    assert await device.account.registered(hub.key)
    return device


async def rung(gorush: MockProviders, number: int = 1) -> list[str]:
    await gorush.wait_for(number, "gorush")
    return [token for posted in gorush.requests for item in posted.json["notifications"] for token in item["tokens"]]


async def first_learnt(device: Any) -> DevicesFound:
    async for one in device.account.events():
        if isinstance(one, DevicesFound):
            return one
    raise AssertionError("the account was closed")


async def test_status_go_rings_us(
    hub: Hub, start_peer: Any, new_device: Any, new_key: Callable[[], KeyPair], gorush: MockProviders
) -> None:
    alice = await ours(new_device, hub)
    bob = await start_peer("client", hub.bus, key=new_key())

    sent = await bob.do(
        "send_notification",
        public_keys=[alice.key.hex()],
        message_id=secrets.token_bytes(32).hex(),
        chat_id=contact_id(alice.key),
        type="MESSAGE",
    )

    response = await bob.event("push_response")
    assert [info["installation_id"] for info in sent["sent_to"]] == [alice.client.installation_id]
    assert [report["success"] for report in response["decoded"]["reports"]] == [True]
    assert await rung(gorush) == [OUR_TOKEN]


async def test_we_ring_status_go(
    hub: Hub, start_peer: Any, new_device: Any, new_key: Callable[[], KeyPair], gorush: MockProviders
) -> None:
    theirs = new_key()
    await status_go(start_peer, hub, theirs)
    alice = await new_device(hub.bus)

    assert len(await alice.account.learn(theirs.public)) == 1
    ended = await alice.ring_key(theirs.public, contact_id(alice.key))

    assert [one.result for one in ended] == [Result.ACCEPTED]
    assert await rung(gorush) == [THEIR_TOKEN]


async def test_contacts_of_either_make_open_the_token_meant_for_them(
    hub: Hub, start_peer: Any, new_device: Any, new_key: Callable[[], KeyPair], gorush: MockProviders
) -> None:
    theirs = new_key()
    alice = await ours(new_device, hub, contacts=(theirs.public,), contacts_only=True)
    bob = await status_go(start_peer, hub, theirs, "-contacts-only", options={"contact_ids": [alice.key.hex()]})

    await bob.do("query", public_key=alice.key.hex())
    await bob.event("query_response")
    ended = await alice.ring_key(theirs.public, contact_id(alice.key))

    assert len((await bob.do("info", public_key=alice.key.hex()))["info"]) == 1
    assert [one.result for one in ended] == [Result.ACCEPTED]
    assert await rung(gorush) == [THEIR_TOKEN]


async def test_a_chat_message_of_status_go_with_a_stale_token_rings_us_in_the_end(
    hub: Hub, start_peer: Any, new_device: Any, new_key: Callable[[], KeyPair], gorush: MockProviders
) -> None:
    theirs, carol = new_key(), new_key()
    alice = await ours(new_device, hub, contacts=(theirs.public, carol.public))
    bob = await start_peer("client", hub.bus, key=theirs)
    await bob.do("send_chat", public_key=alice.key.hex(), text="first")
    await bob.event("push_response")

    await alice.account.set_options(Options(contacts=(theirs.public,)))
    assert await alice.account.registered(hub.key)
    await bob.do("send_chat", public_key=alice.key.hex(), text="second")

    refused, accepted = [await bob.event("push_response", number=number) for number in (2, 3)]
    assert refused["decoded"]["reports"][0]["error"] == "WRONG_TOKEN"
    assert accepted["decoded"]["reports"][0]["success"] is True
    assert await rung(gorush, 2) == [OUR_TOKEN, OUR_TOKEN]


async def test_we_ring_status_go_in_the_end_although_its_token_changed(
    hub: Hub, start_peer: Any, new_device: Any, new_key: Callable[[], KeyPair], gorush: MockProviders
) -> None:
    theirs, carol = new_key(), new_key()
    alice = await new_device(hub.bus)
    both = {"contact_ids": [alice.key.hex(), carol.public.hex()]}
    bob = await status_go(start_peer, hub, theirs, options=both)
    assert await alice.account.learn(theirs.public)

    await bob.do("reregister", options={"contact_ids": [alice.key.hex()]})
    await bob.event("registration_response", number=2)
    ended = await alice.ring_key(theirs.public, contact_id(alice.key))

    assert [one.result for one in ended] == [Result.ACCEPTED]
    assert await rung(gorush) == [THEIR_TOKEN]


async def test_each_takes_the_contact_code_of_the_other_for_an_answer(
    hub: Hub, start_peer: Any, new_device: Any, new_key: Callable[[], KeyPair]
) -> None:
    theirs = new_key()
    bob = await status_go(start_peer, hub, theirs, "-accept-adverts")
    alice = await new_device(hub.bus)
    await alice.account.follow(theirs.public)
    await bob.do("listen_contact_code", public_key=alice.key.hex())
    learning = asyncio.create_task(first_learnt(alice))
    await asyncio.sleep(0)

    await bob.do("publish_contact_code")
    await alice.account.enable(OUR_TOKEN, servers=[hub.key])
    await alice.account.registered(hub.key)

    assert len((await asyncio.wait_for(learning, 30)).devices) == 1
    await bob.event("handled", type="CONTACT_CODE_ADVERTISEMENT", **{"from": alice.key.hex()})
    [info] = (await bob.do("info", public_key=alice.key.hex()))["info"]
    assert info["installation_id"] == alice.client.installation_id


async def test_status_go_hears_of_success_when_our_rules_filter_it(
    hub: Hub, start_peer: Any, new_device: Any, new_key: Callable[[], KeyPair], gorush: MockProviders
) -> None:
    theirs = new_key()
    alice = await ours(new_device, hub, blocked=(contact_id(theirs.public),))
    bob = await start_peer("client", hub.bus, key=theirs)

    await bob.do("send_chat", public_key=alice.key.hex(), text="let me in")

    response = await bob.event("push_response")
    assert [report["success"] for report in response["decoded"]["reports"]] == [True]
    assert not gorush.requests


async def test_when_status_gos_server_falls_silent_ours_rings(
    our_server: Any, start_peer: Any, new_device: Any, new_key: Callable[[], KeyPair], gorush: MockProviders
) -> None:
    key, ours_key = new_key(), PublicKey(bytes.fromhex(our_server.identity))
    theirs = await start_peer("server", our_server.bus, "-gorush", gorush.plain_url, key=key)
    alice, bob = await new_device(our_server.bus), await new_device(our_server.bus)
    await alice.account.enable(OUR_TOKEN, servers=[key.public, ours_key], apn_topic="im.status")
    assert [await alice.account.registered(server) for server in (key.public, ours_key)] == [True, True]
    await bob.ring(alice, "before")
    await bob.account.learn(alice.key)

    await theirs.close()
    ended = [one for _ in range(4) for one in await bob.ring(alice, "after")]

    assert [one.result for one in ended] == [Result.ACCEPTED] * 4
    assert set(await rung(gorush, 5)) == {OUR_TOKEN}
