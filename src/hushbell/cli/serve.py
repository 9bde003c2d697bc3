"""``hushbell serve``: the push notification server."""

import logging
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import click

from hushbell import wire
from hushbell.cli.apps import open_server_app, server_files, server_provider_names
from hushbell.cli.event_loop import run_loop
from hushbell.cli.files import identity_path, load_or_create_identity, read_identity, read_settings
from hushbell.cli.lifecycle import DataFolderLock, print_ready, stop_on_signals
from hushbell.cli.open_transport import open_transport
from hushbell.config.settings import Settings
from hushbell.errors import ConfigError, HushbellError
from hushbell.observability.logs import start_logs
from hushbell.observability.metrics import Counters
from hushbell.ports.server_store import ServerStore
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.runtime.server.app import token_types
from hushbell.runtime.server.service import ServerService
from hushbell.stores.at_rest import make_folder
from hushbell.stores.memory.server import MemoryServerStore
from hushbell.stores.sqlite.server import SqliteServerStore
from hushbell.types import KeyPair, PubsubTopic

log = logging.getLogger(__name__)


@click.command(
    "serve", epilog="Example: hushbell serve --gateway http://127.0.0.1:8088 --peer /dns4/node.example.org/tcp/30303"
)
@click.option("--config", metavar="FILE", help="Configuration.  [default: hushbell.toml]")
@click.option("--data", metavar="DIR", help="State and keys; made on first start.")
@click.option(
    "--identity", metavar="FILE", help="Private key, 64 hex digits.  [default: identity.key in the data folder]"
)
@click.option("--gateway", metavar="URL", help="A gorush-compatible gateway elsewhere.")
@click.option("--listen", metavar="MULTIADDR", multiple=True, help="Where its Waku node listens. Repeatable.")
@click.option("--peer", metavar="MULTIADDR", multiple=True, help="A Waku node to stay connected to. Repeatable.")
@click.option("--bus", metavar="SOCKET", help="In place of a node: a Unix socket that carries JSON lines.")
def command(
    *,
    config: str | None,
    data: str | None,
    identity: str | None,
    gateway: str | None,
    listen: tuple[str, ...],
    peer: tuple[str, ...],
    bus: str | None,
) -> int:
    """
    Run the push notification server, with its own Waku node.

    Prints one JSON line when it accepts work. SIGTERM finishes what is in hand and exits; what is in the outbox goes
    out after the next start.
    """
    flags = {
        "server.data": data,
        "server.identity_file": identity,
        "gateway.gorush.url": gateway,
        "transport.bus": bus,
        "node.listen": listen or None,
        "node.peers": peer or None,
    }
    settings = read_settings(config, flags)
    if (listen or peer) and (settings.transport.bus or settings.node.rest):
        other = "transport.bus" if settings.transport.bus else "node.rest"
        raise ConfigError(f"command line: node.{'listen' if listen else 'peers'}: there is no node beside {other}")
    wire.assert_fast()
    start_logs(settings.log)
    # The store's writer thread must get the interpreter soon: at the default of 5 ms a busy loop starves it.
    sys.setswitchinterval(0.0001)
    run_loop(serve(settings))
    return 0


async def serve(settings: Settings) -> None:
    """Compose the service from the settings and run it until a signal comes."""
    folder = Path(settings.server.data)
    make_folder(folder)
    with DataFolderLock(folder):
        identity = _identity(settings)
        counters = Counters()
        clock = SystemClock()
        # The providers first: a wrong setting must be reported before anything is bound or changed.
        app = open_server_app(settings, clock)
        store = _open_store(settings, folder)
        async with AsyncExitStack() as opened:
            # Until the service has them, a mistake found on the way must not leave them open.
            for provider in set(app.providers.values()):
                opened.push_async_callback(provider.close)
            opened.push_async_callback(store.close)
            network = await open_transport(settings, identity.public, folder=folder, clock=clock, counters=counters)
            opened.push_async_callback(network.transport.close)
            service = await ServerService.start(
                identity=identity,
                store=store,
                transport=network.transport,
                app=app,
                clock=clock,
                random=system_random,
                count=counters.count,
                limits=settings.limits,
                token_types=token_types(server_provider_names(settings)),
                pubsub_topics=[PubsubTopic(topic) for topic in settings.server.pubsub_topics],
                workers=settings.server.workers,
                derivations_per_second=settings.server.query_keys_per_second,
                files=server_files(settings),
            )
            opened.pop_all()
        try:
            await network.start(service.route)
        except HushbellError:
            service.stop()
            await service.run()
            raise
        stop_on_signals(service.stop)
        print_ready({"identity": identity.public.hex()} | dict(network.facts()))
        await service.run()
        log.info("stopped")


def _identity(settings: Settings) -> KeyPair:
    """Return the server's key pair; the one in the data folder is made on the first start."""
    path = identity_path(settings)
    return read_identity(path) if settings.server.identity_file else load_or_create_identity(path)


def _open_store(settings: Settings, folder: Path) -> ServerStore:
    if settings.store.url == "memory":
        return MemoryServerStore(random=system_random)
    return SqliteServerStore.open(
        folder / "hushbell.db",
        folder / "at-rest.key",
        random=system_random,
        keep_damaged_days=settings.store.keep_damaged_days,
    )
