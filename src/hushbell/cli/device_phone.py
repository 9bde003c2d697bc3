"""The phone of one command: its folder, network and account."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from hushbell.cli.event_loop import run_loop
from hushbell.cli.files import load_or_create_identity, write_new
from hushbell.cli.lifecycle import DataFolderLock
from hushbell.cli.open_transport import OpenTransport, open_network
from hushbell.config.settings import Settings
from hushbell.errors import ConfigError, TransportError
from hushbell.observability.metrics import Counters
from hushbell.runtime.client.account import Account
from hushbell.runtime.client.client import Client
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.simulator.reconnecting_bus import ReconnectingBus
from hushbell.stores.at_rest import load_or_create_key, make_folder
from hushbell.stores.sqlite.client import SqliteClientStore
from hushbell.types import InstallationId, KeyPair


@dataclass(frozen=True, slots=True)
class PhoneOptions:
    """The options before the subcommand."""

    settings: Settings
    folder: Path
    bus: str
    patience: float


@dataclass(frozen=True, slots=True)
class ClientSession:
    """The client and the account of a subcommand."""

    client: Client
    account: Account


def run_phone(
    common: PhoneOptions,
    work: Callable[[ClientSession], Awaitable[bool]],
    *,
    online: bool = True,
    patient: bool = True,
) -> int:
    """
    Run the work of a subcommand and return the exit code.

    Args:
        common: the options before the subcommand.
        work: returns whether it succeeded.
        online: whether it needs a network.
        patient: whether it must end within the patience.
    """
    is_success = False

    async def main() -> None:
        nonlocal is_success
        make_folder(common.folder)
        with DataFolderLock(common.folder):
            async with _client(common, online=online) as phone:
                async with asyncio.timeout(common.patience + 5 if patient else None):
                    is_success = await work(phone)

    try:
        run_loop(main())
    except TimeoutError:
        raise TransportError(f"no answer within {common.patience:g} seconds (--patience)") from None
    return 0 if is_success else 1


@asynccontextmanager
async def _client(common: PhoneOptions, *, online: bool) -> AsyncIterator[ClientSession]:
    key = load_or_create_key(common.folder / "at-rest.key", random=system_random)
    identity = load_or_create_phone_key(common.folder)
    installation = load_or_create(common.folder / "installation", lambda: str(UUID(bytes=system_random(16), version=4)))
    network = await open_phone_network(common, identity) if online else OpenTransport(_OfflineTransport(), dict)
    store = await SqliteClientStore.open(common.folder / "client.db", key, random=system_random)
    client = Client(network.transport, store=store, installation_id=InstallationId(installation))
    async with client:
        await network.start(client.wants)
        yield ClientSession(client, await client.account(identity))


async def open_phone_network(common: PhoneOptions, identity: KeyPair) -> OpenTransport:
    """Return the phone's transport. Raises ConfigError: no network is named."""
    if common.bus:
        return OpenTransport(ReconnectingBus(Path(common.bus)), dict)
    if not common.settings.node.peers and not common.settings.node.dns_lists and not common.settings.node.rest:
        raise ConfigError("command line: name a network: --peer MULTIADDR, or --bus SOCKET")
    return await open_network(
        common.settings, identity.public, folder=common.folder, clock=SystemClock(), counters=Counters()
    )


class _OfflineTransport:
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


def load_or_create_phone_key(folder: Path) -> KeyPair:
    """Return the phone's key pair, which is created if missing."""
    return load_or_create_identity(folder / "identity.key", "identity.key")


def load_or_create(path: Path, draw: Callable[[], str]) -> str:
    """Return the content of a file, which is created with a drawn text if missing."""
    if not path.exists():
        write_new(path, draw().encode(), mode=0o600)
    return path.read_text().strip()
