"""The same client over each network: a node within the process, a light client of somebody's node, a bus."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

import hushbell
from hushbell.config.node import NodeSettings, pubsub_topics
from hushbell.crypto import secp256k1
from hushbell.errors import ConfigError
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.simulator.server import run_server
from hushbell.transports.waku.light_client import LightTransport
from hushbell.transports.waku.opening import open_waku
from hushbell.types import KeyPair
from hushbell.waku.node import Node

SETTINGS = NodeSettings(listen=("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws"), store=False)


@dataclass(frozen=True)
class Running:
    """A server with its own node."""

    identity: KeyPair
    addresses: list[str]


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    node = await Node.open(
        SETTINGS,
        key=secp256k1.key_pair(system_random).private,
        folder=None,
        pubsub_topics=pubsub_topics(SETTINGS),
        clock=SystemClock(),
        random=system_random,
        count=lambda _name, _number: None,
    )
    transport = await open_waku(
        node,
        SETTINGS,
        topics={},
        folder=None,
        clock=SystemClock(),
        random=system_random,
        count=lambda _name, _number: None,
    )
    async with run_server(transport) as served:
        await transport.start()
        yield Running(served.identity, list(node.addresses))


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("place", [0, 1], ids=["tcp", "websocket"])
async def test_a_phone_registers_and_another_rings_it(server: Running, light: bool, place: int) -> None:
    peers = [server.addresses[place]]
    bob_phone = hushbell.Client(await hushbell.join(peers, light=light))
    alice_phone = hushbell.Client(await hushbell.join(peers, light=light))
    async with bob_phone, alice_phone:
        bob = await bob_phone.account(hushbell.new_key())
        alice = await alice_phone.account(hushbell.new_key())

        await bob.enable("token", servers=[server.identity.public])
        assert await bob.registered(server.identity.public)
        ended = await alice.ring(b"m" * 32, "chat", [hushbell.Target(bob.identity.public)])

    assert [one.result for one in ended] == [hushbell.Result.ACCEPTED]


async def test_a_light_client_asks_for_its_own_topics_alone(server: Running) -> None:
    transport = await hushbell.join(server.addresses[:1], light=True)
    assert isinstance(transport, LightTransport)
    async with hushbell.Client(transport) as client:
        account = await client.account(hushbell.new_key())
        await account.enable("token", servers=[server.identity.public])
        await account.registered(server.identity.public)

        subscribed = set().union(*transport._subscribed.values())

        assert subscribed
        assert all(client.wants(topic) for topic in subscribed)


async def test_a_client_that_nobody_serves_goes_on_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hushbell.transports.waku.light_client.SUBSCRIBE_TIMEOUT", 0.05)
    monkeypatch.setattr("hushbell.runtime.client.exchange.RETRY_DELAYS", (0.01,))
    lost: list[str] = []
    transport = await hushbell.join(["/ip4/127.0.0.1/tcp/9"], light=True)
    async with hushbell.Client(transport, count=lambda name, _number: lost.append(name)) as client:
        account = await client.account(hushbell.new_key())

        await account.enable("token", servers=[hushbell.new_key().public])
        async with asyncio.timeout(10):
            while "client_envelopes_lost" not in lost:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"peers": ["/ip4/127.0.0.1/tcp/1"], "bus": "b"},
        {"light": True, "dns_lists": ["enrtree://K@d"]},
        {"peers": ["/ip4/127.0.0.1/tcp/1"], "pubsub_topic": "/waku/2/default"},
        {"peers": ["nonsense"]},
    ],
)
async def test_what_makes_no_network_is_reported(how: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await hushbell.join(how.pop("peers", ()), **how)
