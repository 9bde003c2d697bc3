"""``hushbell store``: what an operator does with the databases while no program uses them."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import click

from hushbell.cli.files import read_settings
from hushbell.cli.lifecycle import DataFolderLock
from hushbell.config.settings import Settings
from hushbell.core.delivery.changes import QuarantinedRow
from hushbell.errors import ConfigError, StoreMismatch
from hushbell.ports.outbox import Outbox
from hushbell.runtime.clock import system_random
from hushbell.stores.sqlite.outbox import SqliteOutbox
from hushbell.stores.sqlite.server import SqliteServerStore


@click.group("store", epilog="Example: hushbell store damaged --data hushbell-data")
def command() -> None:
    """Look after the databases of serve and gateway."""


@command.command("damaged", epilog="Example: hushbell store damaged --release gateway-3")
@click.option("--config", metavar="FILE", help="Configuration.  [default: hushbell.toml]")
@click.option("--data", metavar="DIR", help="The data folder.")
@click.option("--release", metavar="ID", help="Put a row back; it is read after the next start.")
@click.option("--discard", metavar="ID", help="Erase a row for ever.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def damaged(config: str | None, data: str | None, release: str | None, discard: str | None, *, as_json: bool) -> None:
    """
    List rows that cannot be read, most of them put aside.

    Serve and gateway must not be running. A released row that fails again returns to this list. A damaged
    registration has no ID here: it stays in its place until its device registers again.
    """
    settings = read_settings(config, {"server.data": data})
    if release is not None and discard is not None:
        raise click.UsageError("--release and --discard exclude each other")
    if settings.store.url != "sqlite":
        raise ConfigError(f"store.url: {settings.store.url} keeps nothing on the disk, so nothing can be damaged")
    folder = Path(settings.server.data)
    if not folder.is_dir():
        raise ConfigError(f"server.data: there is no folder {folder}")
    with DataFolderLock(folder):
        gateway = folder / "gateway"
        with DataFolderLock(gateway) if gateway.is_dir() else nullcontext():
            asyncio.run(_run(settings, release, discard, as_json=as_json))


async def _run(settings: Settings, release: str | None, discard: str | None, *, as_json: bool) -> None:
    async with _open(settings) as (outboxes, server):
        if release is not None or discard is not None:
            row = release if release is not None else discard or ""
            await _change(outboxes, row, is_release=release is not None)
            click.echo(f"{'released' if release is not None else 'discarded'} {row}")
            return
        rows = [
            _fields(f"{name}-{row.id}", row) for name, outbox in outboxes.items() for row in await outbox.quarantined()
        ]
        reasons = await server.damaged_registrations() if server is not None else ()
        rows += [dict(zip(_NAMES, (None, "registrations", None, "server", None, why), strict=True)) for why in reasons]
    if as_json:
        click.echo(json.dumps(rows))
    elif not rows:
        click.echo("no damaged rows")
    else:
        for line in (_HEADINGS, *(tuple(row.values()) for row in rows)):
            click.echo(
                "  ".join(
                    f"{'-' if value is None else value!s:<{width}}" for value, width in zip(line, _WIDTHS, strict=True)
                ).rstrip()
            )


_HEADINGS = ("ID", "TABLE", "NUMBER", "APP", "PUT ASIDE", "WHY")
_NAMES = ("id", "table", "number", "app", "at", "why")
_WIDTHS = (12, 20, 19, 12, 20, 0)


def _fields(name: str, row: QuarantinedRow) -> dict[str, str | int | None]:
    at = datetime.fromtimestamp(row.at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return dict(zip(_NAMES, (name, row.source, row.number, row.app, at, row.why), strict=True))


async def _change(outboxes: Mapping[str, Outbox], row: str, *, is_release: bool) -> None:
    name, _, number = row.rpartition("-")
    outbox = outboxes.get(name)
    if outbox is None or not number.isdecimal() or int(number) >= 1 << 63:
        raise ConfigError(f"{row}: no damaged row has this id; list them with: hushbell store damaged")
    if is_release:
        if not await outbox.release(int(number)):
            raise StoreMismatch(f"{row}: there is no such damaged row, or its place is taken by a newer one")
    elif not await outbox.discard(int(number)):
        raise StoreMismatch(f"{row}: there is no such damaged row")


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[tuple[Mapping[str, Outbox], SqliteServerStore | None]]:
    """Open the databases that exist; yield their outboxes by the names of their programs, and the server's store."""
    opened: dict[str, Outbox] = {}
    server = None
    try:
        for name, path in _databases(settings):
            at_rest, keep = path.with_name("at-rest.key"), settings.store.keep_damaged_days
            if name == "serve":
                server = SqliteServerStore.open(path, at_rest, random=system_random, keep_damaged_days=keep)
                opened[name] = server.outbox
            else:
                opened[name] = SqliteOutbox.open(path, at_rest, random=system_random, keep_damaged_days=keep)
        yield opened, server
    finally:
        for outbox in opened.values():
            await outbox.close()


def _databases(settings: Settings) -> Sequence[tuple[str, Path]]:
    folder = Path(settings.server.data)
    found = (("serve", folder / "hushbell.db"), ("gateway", folder / "gateway" / "gateway.db"))
    return [(name, path) for name, path in found if path.exists()]
