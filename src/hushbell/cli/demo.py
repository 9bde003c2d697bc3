"""``hushbell demo``: the main job on one machine, as a timeline."""

import asyncio
import logging
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import click

from hushbell.cli.event_loop import run_loop
from hushbell.cli.lifecycle import stop_on_signals
from hushbell.demo.story import Story, run_repeatedly

PAUSE = 3.0  # seconds between two runs


@click.command("demo", epilog="Example: hushbell demo --once")
@click.option("--once", is_flag=True, help="Stop after one complete run: exit 0, or say what failed.")
def command(*, once: bool) -> int:
    """
    Show the main job: simulated phones ring each other through a real server.

    Everything runs in this process and on loopback; Apple is a stand-in that speaks HTTP/2 over TLS.
    """
    logging.getLogger("hushbell").setLevel(logging.CRITICAL)
    run_loop(_run_once() if once else _run_until_stopped())
    return 0


async def _run_once() -> None:
    with tempfile.TemporaryDirectory(prefix="hushbell-demo-") as folder:
        await Story(Path(folder), _Timeline()).run()
    click.echo("\nOne complete run: every step went as it must.")


async def _run_until_stopped() -> None:
    runs = asyncio.create_task(run_repeatedly(_Timeline(), PAUSE))
    stop_on_signals(runs.cancel)
    with suppress(asyncio.CancelledError):
        await runs
    click.echo("\nstopped")


class _Timeline:
    """Prints who does what, with the milliseconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, who: str, what: str) -> None:
        milliseconds = (time.monotonic() - self._started) * 1000
        click.echo(f"{milliseconds:9.1f} ms  {who:<14} {what}")
