"""``hushbell check``: what a server would do with this configuration."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from hushbell.cli.apps import open_apps, open_server_app
from hushbell.cli.files import DEFAULT_FILE, identity_path, read_identity, read_secret, read_settings
from hushbell.cli.node import node_key_path
from hushbell.config.settings import Settings
from hushbell.crypto.secp256k1 import compress
from hushbell.errors import ConfigError
from hushbell.runtime.clock import SystemClock
from hushbell.waku.node import parse_address


@click.command("check", epilog="Example: hushbell check --config /etc/hushbell.toml")
@click.option("--config", metavar="FILE", help="The file to check.  [default: hushbell.toml]")
@click.option("--data", metavar="DIR", help="The data folder.")
def command(config: str | None, data: str | None) -> None:
    """
    Check the configuration and say what a server would do with it.

    Each mistake is one line: file, line, key, rule.
    """
    settings = read_settings(config, {"server.data": data})
    report = list(_plan(settings))
    problems = [*_unusable_secrets(settings), *_unusable_credentials(settings)]
    if problems:
        raise ConfigError("\n".join(problems))
    named = config or (DEFAULT_FILE if Path(DEFAULT_FILE).exists() else f"no {DEFAULT_FILE}, the defaults")
    click.echo(f"{named}: ok")
    for name, value in report:
        click.echo(f"  {name:<10} {value}")


def _plan(settings: Settings) -> Iterator[tuple[str, str]]:
    path = identity_path(settings)
    store = "in memory: nothing survives a stop" if settings.store.url == "memory" else "SQLite in the data folder"
    yield "data", settings.server.data + ("" if Path(settings.server.data).is_dir() else " (made on first start)")
    yield "identity", f"{path}" + ("" if path.exists() else " (made on first start)")
    yield "store", store
    yield "listens to", ", ".join(settings.server.pubsub_topics)
    yield from _carrier(settings)
    yield "pushes", _pushes(settings)
    yield from _gateway(settings)
    yield "log times", f"rounded down to {settings.log.blur} s"


def _carrier(settings: Settings) -> Iterator[tuple[str, str]]:
    node = settings.node
    if settings.transport.bus:
        yield "transport", f"bus {settings.transport.bus}"
        return
    if node.rest:
        yield "transport", f"the {node.rest_dialect} at {node.rest}"
        return
    path = node_key_path(settings, Path(settings.server.data))
    serves = [name for name in ("filter", "lightpush", "store") if getattr(node, name)]
    yield "transport", f"a Waku node of its own, cluster {node.cluster}, serving " + ", ".join(["relay", *serves])
    yield "node key", f"{path}" + ("" if path.exists() else " (made on first start)")
    yield "listens at", ", ".join(node.listen)
    yield "peers", ", ".join((*node.peers, *node.dns_lists)) or "none named: only those that dial it"


def _pushes(settings: Settings) -> str:
    if settings.server.app:
        return f"through the app {settings.server.app}"
    if settings.gateway.gorush is not None:
        return f"to the gateway {settings.gateway.gorush.url}"
    if settings.gateway.apns is not None:
        return "to Apple" + (", its test environment" if settings.gateway.apns.sandbox else "")
    return "nowhere: neither [gateway.gorush] nor [gateway.apns] is set"


def _gateway(settings: Settings) -> Iterator[tuple[str, str]]:
    """What the program ``hushbell gateway`` would do."""
    if not settings.apps:
        return
    callers = ", ".join(key.name for key in settings.keys) or "anybody who reaches it"
    yield "gateway", f"{settings.gateway.listen} for {callers}"
    for app in settings.apps:
        named = [*app.providers] + [one.provider for one in app.other]
        yield "app", f"{app.name}: {', '.join(named) or 'no provider: its pushes fail'}"


def _unusable_credentials(settings: Settings) -> Iterator[str]:
    """Open every provider as serve and gateway would; none connects before its first push."""
    clock = SystemClock()
    if not settings.server.app and settings.gateway.apns and Path(settings.gateway.apns.key_file).exists():
        try:
            open_server_app(settings, clock)
        except ConfigError as error:
            yield f"gateway.{error}"
    for app in settings.apps:
        try:
            open_apps(replace(settings, apps=(app,)), clock)
        except ConfigError as error:
            yield str(error)


def _unusable_secrets(settings: Settings) -> Iterator[str]:
    path = identity_path(settings)
    try:
        if settings.server.identity_file or path.exists():
            compress(read_identity(path).public)
    except ConfigError as error:
        yield str(error)
    path = node_key_path(settings, Path(settings.server.data))
    try:
        if settings.node.identity_file or path.exists():
            read_identity(path, "node.identity_file")
        for name in ("listen", "peers"):
            for address in getattr(settings.node, name):
                parse_address(address, name)
    except ConfigError as error:
        yield str(error)
    try:
        if settings.gateway.apns is not None:
            read_secret(Path(settings.gateway.apns.key_file), "gateway.apns.key_file")
    except ConfigError as error:
        yield str(error)
