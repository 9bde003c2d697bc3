"""``hushbell serve``: the push notification server."""

import asyncio
import fcntl
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Collection
from pathlib import Path

import click

from hushbell import wire
from hushbell.cli.loop import run_loop
from hushbell.cli.reading import identity_path, read_identity, read_settings, write_secret
from hushbell.config.settings import Settings
from hushbell.crypto import secp256k1
from hushbell.errors import ConfigError
from hushbell.observability.logs import start_logs
from hushbell.observability.metrics import Counters
from hushbell.ports.store import Store
from hushbell.providers.opening import open_gateway
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.runtime.service import Service
from hushbell.stores.at_rest import make_folder
from hushbell.stores.memory import MemoryStore
from hushbell.stores.sqlite import SqliteStore
from hushbell.transports.socket import SocketBusServer
from hushbell.types import KeyPair, PubsubTopic, TokenType

log = logging.getLogger(__name__)


@click.command("serve", epilog="Example: hushbell serve --bus /run/hushbell/bus.sock --gateway http://127.0.0.1:8088")
@click.option("--config", metavar="FILE", help="Configuration.  [default: hushbell.toml]")
@click.option("--data", metavar="DIR", help="State and keys; made on first start.")
@click.option(
    "--identity", metavar="FILE", help="Private key, 64 hex digits.  [default: identity.key in the data folder]"
)
@click.option("--gateway", metavar="URL", help="A gorush-compatible gateway elsewhere.")
@click.option("--bus", metavar="SOCKET", help="Listen on a Unix socket that carries envelopes as JSON lines.")
def command(config: str | None, data: str | None, identity: str | None, gateway: str | None, bus: str | None) -> int:
    """
    Run the push notification server.

    Prints one JSON line when it accepts work. SIGTERM finishes what is in hand and exits; what is in the outbox goes
    out after the next start.
    """
    flags = {
        "server.data": data,
        "server.identity_file": identity,
        "gateway.gorush.url": gateway,
        "transport.bus": bus,
    }
    settings = read_settings(config, flags)
    if not settings.transport.bus:
        raise ConfigError("transport.bus: nothing carries the envelopes; give --bus SOCKET")
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
    with _only_server(folder):
        identity = _identity(settings)
        counters = Counters()
        clock = SystemClock()
        # The gateway first: a wrong setting must be told before anything is bound or changed.
        gateway = open_gateway(settings.gateway, clock)
        store = _open_store(settings, folder)
        transport = await SocketBusServer.listen(Path(settings.transport.bus), count=counters.count)
        service = await Service.start(
            identity=identity,
            store=store,
            transport=transport,
            gateway=gateway,
            clock=clock,
            random=system_random,
            count=counters.count,
            limits=settings.limits,
            token_types=_token_types(settings),
            pubsub_topics=[PubsubTopic(topic) for topic in settings.server.pubsub_topics],
            workers=settings.server.workers,
            derivations_per_second=settings.server.query_keys_per_second,
        )
        _stop_on_signals(service)
        _say_ready(identity, settings)
        await service.run()
        log.info("stopped")


def _identity(settings: Settings) -> KeyPair:
    """Return the server's key pair; the one in the data folder is made on the first start."""
    path = identity_path(settings)
    if not settings.server.identity_file and not path.exists():
        write_secret(path, secp256k1.key_pair(system_random).private.hex().encode() + b"\n")
    return read_identity(path)


def _open_store(settings: Settings, folder: Path) -> Store:
    if settings.store.url == "memory":
        return MemoryStore()
    return SqliteStore.open(folder / "hushbell.db", folder / "at-rest.key", random=system_random)


def _token_types(settings: Settings) -> Collection[int]:
    """Return whose devices can be rung. Before a gateway is set, pushes for all of them are kept."""
    if settings.gateway.apns is not None and settings.gateway.gorush is None:
        return (TokenType.APN,)
    return (TokenType.APN, TokenType.FIREBASE)


def _stop_on_signals(service: Service) -> None:
    loop = asyncio.get_running_loop()
    seen: list[int] = []

    def stop(number: int) -> None:
        if seen:
            # Everything acknowledged is on disk already, so leaving at once loses nothing.
            os._exit(1)
        seen.append(number)
        _notify("STOPPING=1")
        service.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)


def _say_ready(identity: KeyPair, settings: Settings) -> None:
    ready = {"ready": True, "identity": identity.public.hex(), "addresses": [], "bus": settings.transport.bus}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    _notify("READY=1")


def _notify(state: str) -> None:
    """Tell systemd, where it started us (sd_notify)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        try:
            notify.connect("\0" + address[1:] if address.startswith("@") else address)
            notify.sendall(state.encode())
        except OSError as error:
            log.warning("systemd cannot be told %s: %s", state, error.strerror)


class _only_server:  # noqa: N801  reads as what it is: with _only_server(folder)
    """Holds the lock of a data folder: two servers on the same data would answer everything twice."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        self._file = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise ConfigError(f"server.data: another hushbell is using {self._folder}") from error

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
