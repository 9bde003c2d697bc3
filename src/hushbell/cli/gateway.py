"""``hushbell gateway``: gorush's API and ours in front of a queue that does not forget."""

import asyncio
import ipaddress
import logging
import signal
import sys
from pathlib import Path
from typing import Protocol

import click

from hushbell import __version__
from hushbell.api.app import GatewayApi
from hushbell.cli import import_gorush
from hushbell.cli.apps import credential_files, open_apps
from hushbell.cli.event_loop import run_loop
from hushbell.cli.files import read_settings
from hushbell.cli.lifecycle import DataFolderLock, listen_error, print_ready, stop_on_signals
from hushbell.config.gateway import HttpSettings
from hushbell.config.settings import Settings
from hushbell.errors import ConfigError, TransportError
from hushbell.http.curl import CurlHttp
from hushbell.http.ssrf import SsrfGuard
from hushbell.observability.logs import start_logs
from hushbell.observability.metrics import Counters
from hushbell.ports.outbox import Outbox
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.runtime.delivery.engine import DeliveryEngine
from hushbell.runtime.delivery.service import DeliveryService, GatewayService
from hushbell.runtime.delivery.webhooks import GorushEventPrivacy, Webhooks, feedback_webhook
from hushbell.stores.at_rest import make_folder
from hushbell.stores.memory.outbox import MemoryOutbox
from hushbell.stores.sqlite.outbox import SqliteOutbox

log = logging.getLogger(__name__)


@click.group("gateway", invoke_without_command=True, epilog="Example: hushbell gateway --config hushbell.toml")
@click.option("--config", metavar="FILE", help="Configuration.  [default: hushbell.toml]")
@click.option("--data", metavar="DIR", help="State and keys; made on first start.")
@click.option("--http", metavar="HOST:PORT", help="HTTP API.  [default: 127.0.0.1:8088]")
@click.option("--grpc", metavar="HOST:PORT", help="gRPC API.  [default: off]")
@click.pass_context
def command(context: click.Context, config: str | None, data: str | None, http: str | None, grpc: str | None) -> int:
    """
    Push for apps, as gorush does, from a queue on the disk.

    Prints one JSON line when it accepts work. SIGHUP reads credentials again; SIGTERM finishes what is in hand and
    exits; what is open goes out after the next start.
    """
    if context.invoked_subcommand is not None:
        return 0
    flags = {"server.data": data, "gateway.listen": http, "gateway.grpc": grpc}
    settings = read_settings(config, flags)
    _must_be_closed(settings)
    start_logs(settings.log)
    # The queue's writer thread must get the interpreter soon: at the default of 5 ms a busy loop starves it.
    sys.setswitchinterval(0.0001)
    run_loop(serve(settings))
    return 0


command.add_command(import_gorush.command)


async def serve(settings: Settings) -> None:
    """Compose the gateway from the settings and run it until a signal comes."""
    folder = Path(settings.server.data) / "gateway"
    make_folder(folder)
    with DataFolderLock(folder):
        counters, clock = Counters(), SystemClock()
        # Providers first: a wrong setting must be reported before anything is bound or changed.
        apps = open_apps(settings, clock)
        queue = open_queue(settings, folder)
        engine = DeliveryEngine(outbox=queue, apps=apps, clock=clock, random=system_random)
        hook_http = CurlHttp(HttpSettings(connections=2))
        hooks = Webhooks(
            outbox=queue,
            commits=engine.commits,
            http=hook_http,
            guard=SsrfGuard(settings.ssrf.allow),
            clock=clock,
            random=system_random,
            feedback=[
                feedback_webhook(app.name, app.feedback_url, app.feedback_headers)
                for app in settings.apps
                if app.feedback_url
            ],
            privacy=GorushEventPrivacy(
                hides_token=settings.gateway.hide_token, hides_text=settings.gateway.hide_messages
            ),
        )
        engine.add_listener(hooks)
        await engine.start()
        http = GatewayApi(engine, settings, clock=clock, random=system_random, counters=counters, version=__version__)
        rpc = _grpc(settings, http) if settings.gateway.grpc else None
        delivery = DeliveryService(
            engine=engine,
            outbox=queue,
            clock=clock,
            keep_days=settings.gateway.keep_days,
            files={key: files for app in settings.apps for key, files in credential_files(app).items()},
        )
        service = GatewayService(
            delivery=delivery,
            webhooks=hooks,
            webhook_http=hook_http,
            servers=[http.server.close, *([rpc.close] if rpc else [])],
        )
        try:
            ready = await _listen(settings, http, rpc)
        except TransportError:
            service.stop()
            await service.run()
            raise
        stop_on_signals(service.stop)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, service.reload)
        print_ready(ready)
        await service.run()
        log.info("stopped")


def open_queue(settings: Settings, folder: Path) -> Outbox:
    """Return the queue of the gateway in its folder, or one that a stop empties."""
    if settings.store.url == "memory":
        return MemoryOutbox(random=system_random)
    return SqliteOutbox.open(
        folder / "gateway.db",
        folder / "at-rest.key",
        random=system_random,
        keep_damaged_days=settings.store.keep_damaged_days,
    )


class Rpc(Protocol):
    """The gRPC front."""

    async def listen(self, host: str, port: int) -> int:
        """Accept calls; return the port."""

    async def close(self, grace: float) -> None:
        """Take no more calls."""


def _grpc(settings: Settings, http: GatewayApi) -> Rpc:
    from hushbell.api.gorush.grpc import GrpcServer  # its library takes memory that is not needed without it

    return GrpcServer(http.push, http.keys, max_message=settings.gateway.body)


async def _listen(settings: Settings, http: GatewayApi, rpc: Rpc | None) -> dict[str, object]:
    """Take requests; return where. Raises TransportError: an address cannot be had."""
    where = settings.gateway.listen
    try:
        host, _, port = where.rpartition(":")
        addresses: dict[str, object] = {
            "http": f"http://{host}:{await http.server.listen(host.strip('[]'), int(port))}"
        }
        where = settings.gateway.grpc
        if rpc is not None:
            host, _, port = where.rpartition(":")
            addresses["grpc"] = f"{host}:{await rpc.listen(host, int(port))}"
    except OSError as error:
        raise listen_error(where, error) from error
    return addresses


def _must_be_closed(settings: Settings) -> None:
    """Refuse an API without keys on a network address, unless the configuration allows it by name."""
    if settings.keys or settings.gateway.anonymous:
        return
    for name in ("listen", "grpc"):
        where = getattr(settings.gateway, name)
        if where and not _is_loopback(where.rpartition(":")[0].strip("[]")):
            raise ConfigError(
                f"gateway.{name}: {where} is open to others: add [[keys]], or set gateway.anonymous = true"
            )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
