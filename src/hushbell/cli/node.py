"""``hushbell node``: a Waku node alone, for a private network or for tests; and how every command opens its node."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

import click

from hushbell import wire
from hushbell.cli.event_loop import run_loop
from hushbell.cli.files import load_or_create_identity, read_identity, read_settings
from hushbell.cli.lifecycle import DataFolderLock, print_ready, stop_on_signals
from hushbell.config.node import pubsub_topics
from hushbell.config.settings import Settings
from hushbell.errors import ConfigError
from hushbell.observability.logs import start_logs
from hushbell.observability.metrics import Counters
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.stores.at_rest import make_folder
from hushbell.types import PrivateKey, PubsubTopic
from hushbell.waku.node import Node

log = logging.getLogger(__name__)


@click.command("node", epilog="Example: hushbell node --data D --listen /ip4/127.0.0.1/tcp/60000")
@click.option("--config", metavar="FILE", help="Configuration.  [default: hushbell.toml]")
@click.option("--data", metavar="DIR", help="Messages and the node's key; made on first start.")
@click.option("--listen", metavar="MULTIADDR", multiple=True, help="Where to listen; port 0 picks one. Repeatable.")
@click.option("--peer", metavar="MULTIADDR", multiple=True, help="A node to stay connected to. Repeatable.")
def command(config: str | None, data: str | None, listen: tuple[str, ...], peer: tuple[str, ...]) -> int:
    """
    Run a Waku node: relay, filter, lightpush, store.

    Without a configuration it is one of the Status network: cluster 16, shard 32, messages up to 1 MiB. Prints one
    JSON line with its addresses when it listens.
    """
    flags = {"server.data": data, "node.listen": listen or None, "node.peers": peer or None}
    settings = read_settings(config, flags)
    if settings.node.rest:
        raise ConfigError("node.rest: another node; this command is one itself")
    wire.assert_fast()
    start_logs(settings.log)
    run_loop(_run(settings))
    return 0


async def _run(settings: Settings) -> None:
    folder = Path(settings.server.data)
    make_folder(folder)
    with DataFolderLock(folder):
        node = await open_node(settings, folder, (), SystemClock(), Counters())
        stopped = asyncio.Event()
        try:
            await node.start()
            stop_on_signals(stopped.set)
            print_ready({"addresses": node.addresses})
            await stopped.wait()
        finally:
            await node.close()
        log.info("stopped")


async def open_node(
    settings: Settings, folder: Path, shards: Sequence[PubsubTopic], clock: SystemClock, counters: Counters
) -> Node:
    """Return the node of the settings, which relays ``shards`` too. Raises ConfigError, StoreError."""
    return await Node.open(
        settings.node,
        key=_node_key(settings, folder),
        folder=folder,
        pubsub_topics=[*pubsub_topics(settings.node), *shards],
        clock=clock,
        random=system_random,
        count=counters.count,
    )


def node_key_path(settings: Settings, folder: Path) -> Path:
    """Return the file of the key that the node's peer id is made of."""
    return Path(settings.node.identity_file or folder / "node.key")


def _node_key(settings: Settings, folder: Path) -> PrivateKey:
    """Return the key of that file; the one in the data folder is made on the first start."""
    read = read_identity if settings.node.identity_file else load_or_create_identity
    return read(node_key_path(settings, folder), "node.identity_file").private
