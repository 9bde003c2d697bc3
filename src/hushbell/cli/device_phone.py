"""A phone composed for one command: its folder, its network, its account."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from hushbell.cli.event_loop import run_loop
from hushbell.cli.files import made_identity, write_new
from hushbell.cli.lifecycle import only_one
from hushbell.cli.open_transport import OpenTransport, open_network
from hushbell.config.settings import Settings
from hushbell.errors import ConfigError, TransportError
from hushbell.observability.metrics import Counters
from hushbell.runtime.client.account import Account
from hushbell.runtime.client.client import Client
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.simulator.reconnecting import ReconnectingBus
from hushbell.stores.at_rest import load_or_create_key, make_folder
from hushbell.stores.sqlite.client import SqliteClientStore
from hushbell.types import InstallationId, KeyPair


@dataclass(frozen=True, slots=True)
class Where:
    """What the options before the subcommand say."""

    settings: Settings
    folder: Path
    bus: str
    patience: float


@dataclass(frozen=True, slots=True)
class Phone:
    """What a subcommand works with."""

    client: Client
    account: Account


def run_phone(
    where: Where,
    work: Callable[[Phone], Awaitable[bool]],
    *,
    online: bool = True,
    patient: bool = True,
) -> int:
    """
    Run a subcommand's work with its phone and return the exit code.

    Args:
        where: what the options say.
        work: says whether all went well.
        online: whether it needs a network.
        patient: whether it ends by itself, and must within the patience.
    """
    went = False

    async def main() -> None:
        nonlocal went
        make_folder(where.folder)
        with only_one(where.folder):
            async with _client(where, online=online) as phone:
                async with asyncio.timeout(where.patience + 5 if patient else None):
                    went = await work(phone)

    try:
        run_loop(main())
    except TimeoutError:
        raise TransportError(f"no answer within {where.patience:g} seconds (--patience)") from None
    return 0 if went else 1


@asynccontextmanager
async def _client(where: Where, *, online: bool) -> AsyncIterator[Phone]:
    key = load_or_create_key(where.folder / "at-rest.key", random=system_random)
    identity = identity_of(where.folder)
    installation = kept(where.folder / "installation", lambda: str(UUID(bytes=system_random(16), version=4)))
    network = await open_phone_network(where, identity) if online else OpenTransport(_Nowhere(), dict)
    store = await SqliteClientStore.open(where.folder / "client.db", key, random=system_random)
    client = Client(network.transport, store=store, installation_id=InstallationId(installation))
    async with client:
        await network.start(client.wants)
        yield Phone(client, await client.account(identity))


async def open_phone_network(where: Where, identity: KeyPair) -> OpenTransport:
    """Return the phone's transport. Raises ConfigError: no network is named."""
    if where.bus:
        return OpenTransport(ReconnectingBus(Path(where.bus)), dict)
    if not where.settings.node.peers and not where.settings.node.dns_lists and not where.settings.node.rest:
        raise ConfigError("command line: name a network: --peer MULTIADDR, or --bus SOCKET")
    return await open_network(
        where.settings, identity.public, folder=where.folder, clock=SystemClock(), counters=Counters()
    )


class _Nowhere:
    """The transport of a phone that is offline."""

    def __init__(self) -> None:
        self._closed = asyncio.Event()

    async def receive(self, limit: int) -> Sequence[Any]:  # noqa: ARG002  the port's signature
        await self._closed.wait()
        return ()

    async def publish(self, envelopes: Sequence[Any]) -> None:
        if envelopes:
            raise TransportError("this phone is offline")

    async def close(self) -> None:
        self._closed.set()


def identity_of(folder: Path) -> KeyPair:
    """Return the phone's key; it is made on first use."""
    return made_identity(folder / "identity.key", "identity.key")


def kept(path: Path, draw: Callable[[], str]) -> str:
    """Return what a file holds; it is drawn on first use."""
    if not path.exists():
        write_new(path, draw().encode(), mode=0o600)
    return path.read_text().strip()
