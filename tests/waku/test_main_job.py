"""The main job over libp2p: phones in this process ring each other through a server in another."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

import hushbell
from hushbell.core.client.events import Result, Target
from hushbell.crypto import secp256k1
from hushbell.runtime.client.account import Account
from hushbell.runtime.client.client import Client
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.simulator.waku_transport import join_waku
from hushbell.testing.child_processes import kill_with_parent
from hushbell.testing.mock.server import MockProviders
from hushbell.types import PublicKey

SOURCES = Path(hushbell.__file__).parents[1]
TOKEN = "0123456789abcdef" * 4
NewAccount = Callable[[str], Awaitable[Account]]


@pytest.fixture
async def gateway() -> AsyncIterator[MockProviders]:
    async with MockProviders() as made:
        yield made


@pytest.fixture
async def server(tmp_path: Path, gateway: MockProviders) -> AsyncIterator[dict[str, Any]]:
    """A server with its own node, reached over TCP and over WebSocket; yields its ready line."""
    command = [
        sys.executable,
        "-m",
        "hushbell.cli",
        "serve",
        "--data",
        str(tmp_path / "data"),
        "--gateway",
        gateway.plain_url,
    ]
    command += ["--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/tcp/0/ws"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(SOURCES)}
    )
    kill_with_parent(process.pid)
    assert process.stdout is not None
    yield json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0


@pytest.fixture
async def new_account() -> AsyncIterator[NewAccount]:
    async with AsyncExitStack() as stack:

        async def made(address: str) -> Account:
            client = Client(await join_waku([address], clock=SystemClock(), random=system_random))
            await stack.enter_async_context(client)
            return await client.account(secp256k1.key_pair(system_random))

        yield made


async def test_bob_rings_alice_over_tcp_and_websocket(
    server: dict[str, Any], gateway: MockProviders, new_account: NewAccount
) -> None:
    tcp, websocket = server["addresses"]
    identity = PublicKey(bytes.fromhex(server["identity"]))
    alice, bob = await new_account(tcp), await new_account(websocket)

    await alice.enable(TOKEN, servers=[identity])
    assert await alice.registered(identity)
    ended = await bob.ring(b"m" * 32, "chat", [Target(alice.identity.public)])

    assert [one.result for one in ended] == [Result.ACCEPTED]
    await gateway.wait_for(1, "gorush")
    assert gateway.requests[0].json["notifications"][0]["tokens"] == [TOKEN]
