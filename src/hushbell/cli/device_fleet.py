"""Many phones for one command, and their figures."""

import time
from collections.abc import Sequence

import click

from hushbell.cli.device_phone import PhoneOptions, load_or_create_phone_key, open_phone_network
from hushbell.cli.event_loop import run_loop
from hushbell.runtime.clock import SystemClock, system_random
from hushbell.simulator.fleet import Fleet
from hushbell.stores.at_rest import make_folder
from hushbell.types import PublicKey

REPORT_EVERY = 1.0  # seconds between two lines of progress


def run_fleet(common: PhoneOptions, count: int, servers: Sequence[PublicKey]) -> int:
    """Run ``count`` phones against the servers, print the figures, and return the exit code."""
    is_success = False

    async def main() -> None:
        nonlocal is_success
        make_folder(common.folder)
        network = await open_phone_network(common, load_or_create_phone_key(common.folder))
        fleet = Fleet(network.transport, count, clock=SystemClock(), random=system_random, progress=_Progress())
        await network.start(fleet.wants)
        figures = await fleet.run(servers)
        for name, value, unit in (
            ("phones", figures.phones, ""),
            ("registered", figures.registered, ""),
            ("rung", figures.notified, ""),
            ("registrations_per_second", figures.registered / figures.register_seconds, "/s"),
            ("rings_per_second", figures.notified / figures.ring_seconds, "/s"),
            ("cpu", figures.cpu_seconds, "s"),
            ("memory", figures.memory / 2**20, "MiB"),
            ("sent_per_phone", figures.bytes_sent / figures.phones, "bytes"),
            ("received_per_phone", figures.bytes_received / figures.phones, "bytes"),
        ):
            click.echo(f"{name} {value:.6g} {unit}".rstrip())
        is_success = figures.registered == figures.notified == count

    run_loop(main())
    return 0 if is_success else 1


class _Progress:
    """A line on standard error every second, and at the end of each part."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, what: str, done: int, of: int) -> None:
        now = time.monotonic()
        if now - self._last >= REPORT_EVERY or done == of:
            self._last = now
            click.echo(f"{done:7} of {of} {what}", err=True)
