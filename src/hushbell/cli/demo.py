"""``hushbell demo``: the main job on one machine, as a timeline."""

import asyncio
import logging
import tempfile
import time
from pathlib import Path

import click

from hushbell.cli.event_loop import run_loop
from hushbell.demo.story import Story

PAUSE = 3.0  # seconds between two rings


@click.command("demo", epilog="Example: hushbell demo --once")
@click.option("--once", is_flag=True, help="Stop after one complete run: exit 0, or say what failed.")
def command(*, once: bool) -> int:
    """
    Show the main job: simulated phones ring each other through a real server.

    Everything runs in this process and on loopback; Apple is a stand-in that speaks HTTP/2 over TLS.
    """
    logging.getLogger("hushbell").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="hushbell-demo-") as folder:
        story = Story(Path(folder), _Timeline())
        run_loop(story.once() if once else _until_interrupted(story))
    click.echo("\nOne complete run: every step went as it must.")
    return 0


async def _until_interrupted(story: Story) -> None:
    try:
        await story.for_ever(PAUSE)
    except asyncio.CancelledError:
        click.echo("\nstopped")


class _Timeline:
    """Prints who does what, with the milliseconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, who: str, what: str) -> None:
        milliseconds = (time.monotonic() - self._started) * 1000
        click.echo(f"{milliseconds:9.1f} ms  {who:<14} {what}")
