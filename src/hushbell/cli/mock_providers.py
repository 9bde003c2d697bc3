"""``hushbell mock-providers``: a mock of Apple, Google and the others, for tests and measurements."""

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path

import click

from hushbell.cli.event_loop import run_loop
from hushbell.cli.lifecycle import listen_error
from hushbell.config.rules import NUMBERS
from hushbell.stores.at_rest import make_folder
from hushbell.testing.mock.listener import MAX_STREAMS
from hushbell.testing.mock.server import MAX_KEPT_REQUESTS, MockProviders


@click.command("mock-providers", epilog="Example: hushbell mock-providers --listen 127.0.0.1:8443 --dir /tmp/mock")
@click.option("--listen", metavar="HOST:PORT", default="127.0.0.1:0", show_default=True, help="TLS, HTTP/2 or 1.1.")
@click.option(
    "--control",
    metavar="PORT",
    type=click.IntRange(0, NUMBERS),
    default=0,
    help="Plain HTTP for rules, log and counts.  [default: any]",
)
@click.option("--dir", "folder", metavar="DIR", help="Keys, credentials and CA file.  [default: a temporary one]")
@click.option("--streams", default=MAX_STREAMS, show_default=True, help="Side by side on one connection.")
@click.option("--keep", default=MAX_KEPT_REQUESTS, show_default=True, help="Requests that the log remembers.")
@click.option("--log", "log_file", metavar="FILE", help="Gets each request's log line before the response is sent.")
@click.option("--bare", is_flag=True, help="Good answers of Apple's carry no apns-id.")
def command(listen: str, control: int, folder: str | None, log_file: str | None, **options: int) -> int:
    """
    Stand in for every push provider.

    Prints one JSON line when it listens: where, and with which files a provider finds it. Rules come by
    ``PUT CONTROL/_mock/rules``.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > NUMBERS:
        raise click.BadParameter("must look like HOST:PORT", param_hint="--listen")
    directory = Path(folder) if folder else None
    if directory is not None:
        make_folder(directory)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(Path(log_file).open("ab", buffering=0)) if log_file else None
        mock = MockProviders(
            host=host.strip("[]"),
            port=int(port),
            control_port=control,
            directory=directory,
            streams=options["streams"],
            keep=options["keep"],
            keep_bodies=False,
            log=log,
            echo_apns_id=not options["bare"],
        )
        try:
            run_loop(_serve(mock))
        except OSError as error:
            raise listen_error(f"{listen}, or for --control", error) from error
    return 0


async def _serve(mock: MockProviders) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with mock:
        sys.stdout.write(json.dumps(mock.ready()) + "\n")
        sys.stdout.flush()
        await stopped.wait()
